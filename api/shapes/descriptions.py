"""Names and descriptions that people write."""

from __future__ import annotations

from domain.errors import InvalidInput
from domain.names import validate_name

MAXIMUM_DESCRIPTION_LENGTH = 4096


def checked_name(given: str | None) -> str | None:
    """The name, tidied; None stays None. Raises InvalidInput."""
    return None if given is None else validate_name(given)


def checked_description(given: str | None) -> str:
    """The description, trimmed. Raises InvalidInput."""
    text = (given or "").strip()
    if "\0" in text or len(text) > MAXIMUM_DESCRIPTION_LENGTH:
        raise InvalidInput(
            f"A description has at most {MAXIMUM_DESCRIPTION_LENGTH} characters, none of them null.",
            field="description",
        )
    return text
