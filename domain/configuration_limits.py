"""How much an application may be configured to have: each release keeps all of it, and carries it about."""

from __future__ import annotations

from typing import Final

from domain.errors import InvalidInput

MEBIBYTE: Final = 1024**2
MOST_BYTES: Final = 16 * MEBIBYTE
MOST_STORAGES: Final = 100
MOST_VARIABLES: Final = 1000


def check_size(size: int, *, before: int) -> None:
    """Raises InvalidInput for a configuration that is too large and does not become smaller."""
    if size > max(MOST_BYTES, before):
        raise InvalidInput(
            f"The configuration of an application has at most {MOST_BYTES // MEBIBYTE} MiB, the content of "
            f"its files included; this would be {size / MEBIBYTE:.1f} MiB. Bring large files with the image, "
            "or in a volume.",
            field="configuration",
        )


def check_storages(count: int, *, before: int) -> None:
    """Raises InvalidInput for too many storages that do not become fewer."""
    if count > max(MOST_STORAGES, before):
        raise InvalidInput(f"An application has at most {MOST_STORAGES} storages.", field="storages")


def check_variables(count: int, size: int, *, count_before: int, size_before: int) -> None:
    """Raises InvalidInput for variables that are too many, or too large together, and do not become less."""
    if count > max(MOST_VARIABLES, count_before):
        raise InvalidInput(
            f"An application has at most {MOST_VARIABLES:,} environment variables.", field="variables"
        )
    if size > max(MOST_BYTES, size_before):
        raise InvalidInput(
            f"The variables of an application have at most {MOST_BYTES // MEBIBYTE} MiB together.",
            field="variables",
        )
