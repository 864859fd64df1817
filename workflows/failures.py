"""What went wrong, in the words of the activity that failed."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeout

CANCELLED_CODE = "cancelled"
LOST_CODE = "deadline_exceeded"


@dataclass(frozen=True)
class Failure:
    """A code for programs, a message for people, and evidence."""

    code: str = ""
    message: str = ""
    detail: str = ""


def failure_of(error: BaseException) -> Failure:
    """The failure behind whatever a workflow caught."""
    if is_cancelled_exception(error):
        return Failure(CANCELLED_CODE, "Cancelled; everything was put back, and what ran before still runs.")
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        detail = cause.details[0] if cause.details else ""
        return Failure(cause.type or "deployment_failed", cause.message, str(detail))
    if isinstance(cause, ActivityTimeout):
        step = error.activity_type if isinstance(error, ActivityError) else "step"
        return Failure(
            LOST_CODE,
            f"'{step}' did not end within its limit. Look at the worker's log, then deploy again.",
        )
    return Failure("deployment_failed", str(cause or error))
