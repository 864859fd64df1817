"""Moments as people write them on the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from domain.errors import InvalidInput

BeforeOption = Annotated[
    str | None,
    typer.Option(
        "--before", metavar="TIME", help="Only earlier than this: 2026-01-31T18:00, or with a zone."
    ),
]


def moment(text: str | None, field: str) -> datetime | None:
    """The moment of a time in ISO 8601; without a zone in this machine's, as tables show it.

    Raises InvalidInput for the field.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"--{field} takes a time in ISO 8601, such as 2026-01-31T18:00:00 or 2026-01-31T17:00:00Z; not "
            f"'{text}'.",
            field=field,
        ) from error
