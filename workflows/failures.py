"""What went wrong, in the words of the activity that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeout

from domain.errors import CommandFailed, ReleaseUnhealthy

CANCELLED_CODE = "cancelled"
LOST_CODE = "deadline_exceeded"
WITHOUT_AN_END = frozenset({CANCELLED_CODE, ReleaseUnhealthy.code, CommandFailed.code})
"""After these, people ask first what their visitors get now."""


@dataclass(frozen=True)
class Failure:
    """A code for programs, a message for people, and evidence."""

    code: str = ""
    message: str = ""
    detail: str = ""


def told_at_the_end(failure: Failure, *, has_served: bool, had_to_stop: bool, lost: Sequence[str]) -> Failure:
    """The failure with what visitors get now, which is known once all is undone.

    `has_served` is whether there was a version before, `had_to_stop` whether it was not to run beside the new
    one, and `lost` names the servers where something may be left.
    """
    if failure.code not in WITHOUT_AN_END:
        return failure
    if lost:
        end = f"What is left on {', '.join(lost)} goes once it is usable again."
    elif has_served:
        end = "The old version serves." if had_to_stop else "The old version keeps serving."
    else:
        return failure
    return replace(failure, message=f"{failure.message} {end}")


def failure_of(error: BaseException) -> Failure:
    """The failure behind whatever a workflow caught."""
    if is_cancelled_exception(error):
        return Failure(CANCELLED_CODE, "Cancelled.")
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        detail = cause.details[0] if cause.details else ""
        return Failure(cause.type or "deployment_failed", cause.message, str(detail))
    if isinstance(cause, ActivityTimeout):
        step = error.activity_type if isinstance(error, ActivityError) else "step"
        return Failure(
            LOST_CODE,
            f"'{step}' did not end within its limit. Look at the worker's log, then try again.",
        )
    return Failure("deployment_failed", str(cause or error))
