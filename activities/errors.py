"""The tree of errors as Temporal sees it: the one place where they are mapped.

They are benign to Temporal's client, which would else put a stack trace for each into the log: whoever
raises them has told already, in one line, what its owner can mend.
"""

from __future__ import annotations

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain.errors import SeawayError

TRANSIENT_ATTEMPTS = 6
"""So often is something tried that may pass; with the waits between, for about half a minute."""

UNEXPECTED_ATTEMPTS = 3
UNEXPECTED_CODE = "internal"
LONGEST_MESSAGE = 4000
"""Characters. What a server said may be in it, and Temporal takes no failure of megabytes."""


class ActivityFailure(ApplicationError):
    """An error on its way to Temporal, which keeps its message; `evidence` stays on this side.

    Raise it `from None`: a history would keep the text of every error that it is raised from, and those
    hold what was being worked on (the values of an SQL statement, the answer of a server).
    """

    evidence: str = ""


def application_error(
    error: SeawayError, *, attempt: int, relentless: bool, is_lost: bool = False
) -> ActivityFailure:
    """The error for Temporal. `relentless` is for compensation, which gives up on a lost server only."""
    may_help = not is_lost and (relentless or (error.retryable and attempt < TRANSIENT_ATTEMPTS))
    failure = ActivityFailure(
        error.message[:LONGEST_MESSAGE],
        type=error.code,
        non_retryable=not may_help,
        category=ApplicationErrorCategory.BENIGN,
    )
    failure.evidence = error.detail
    return failure


def unexpected_error(activity: str, error: Exception, *, attempt: int, relentless: bool) -> ActivityFailure:
    """A fault of Seaway itself: tried again a few times, and named as what it is."""
    may_help = relentless or attempt < UNEXPECTED_ATTEMPTS
    return ActivityFailure(
        f"Seaway itself failed in '{activity}' ({type(error).__name__}). "
        "This is not your application's fault; the worker's log says more.",
        type=UNEXPECTED_CODE,
        non_retryable=not may_help,
        category=ApplicationErrorCategory.BENIGN,
    )
