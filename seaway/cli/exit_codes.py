"""The exit codes of `seaway`: part of its interface, so scripts may rely on them."""

from __future__ import annotations

from enum import IntEnum

from domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    SeawayError,
    TooManyRequests,
    TransientError,
    Unauthenticated,
)


class ExitCode(IntEnum):
    """What became of a command."""

    SUCCESS = 0
    FAILED = 1
    WRONG_INPUT = 2
    REPLACED = 3
    NO_ACCESS = 4
    NOT_FOUND = 5
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.SUCCESS: "Done. For `deploy`: the new version serves.",
    ExitCode.FAILED: "The deployment or operation failed, or Seaway refused it in the present state.",
    ExitCode.WRONG_INPUT: "Wrong usage or input.",
    ExitCode.REPLACED: "The deployment was cancelled, or superseded by a newer one.",
    ExitCode.NO_ACCESS: "Seaway cannot be reached, cannot answer now, or does not accept the token.",
    ExitCode.NOT_FOUND: "There is no such application, deployment or other thing.",
    ExitCode.INTERRUPTED: "Interrupted with Ctrl-C. A deployment that was started goes on.",
}

_OF_ERRORS: tuple[tuple[type[SeawayError], ExitCode], ...] = (
    (InvalidInput, ExitCode.WRONG_INPUT),
    (Conflict, ExitCode.WRONG_INPUT),
    (NotFound, ExitCode.NOT_FOUND),
    (Unauthenticated, ExitCode.NO_ACCESS),
    (Forbidden, ExitCode.NO_ACCESS),
    (TooManyRequests, ExitCode.NO_ACCESS),
    (TransientError, ExitCode.NO_ACCESS),
)


def exit_code_of(error: SeawayError) -> ExitCode:
    """The exit code that an error ends the command with."""
    for kind, code in _OF_ERRORS:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED
