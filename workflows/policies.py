"""Every timeout and retry of the workflows, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio.common import RetryPolicy

HEARTBEAT = timedelta(seconds=10)
"""How long a dead worker goes unnoticed."""

MARGIN = timedelta(minutes=5)
"""What a step may need beyond its own limit: a lost worker, a retry, a slow engine."""

PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)
"""Without a number of attempts: a lost worker must not end a deployment. Activities themselves turn a
transient error into a final one after `TRANSIENT_ATTEMPTS`."""

RELENTLESS = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
"""For what must happen in the end: compensation, and the record of how it ended."""


@dataclass(frozen=True)
class Policy:
    """How one activity is tried. Without `limit` it is tried for ever."""

    attempt: timedelta
    limit: timedelta | None
    retry: RetryPolicy


def within(limit: timedelta) -> Policy:
    """A step that ends itself after `limit`; the engine ends it somewhat later, should it hang."""
    return Policy(attempt=limit + MARGIN, limit=2 * (limit + MARGIN), retry=PATIENT)


SHORT = within(timedelta(minutes=2))
SERVER_STEP = Policy(attempt=timedelta(minutes=3), limit=SHORT.limit, retry=PATIENT)
"""One try ends itself after two minutes. The limit of all includes the time while no worker runs."""

RESOLVE = within(timedelta(minutes=5))
INSTALL = within(timedelta(minutes=20))
"""Of packages from a slow mirror, while another program may hold the lock of the package manager."""

LOOK = Policy(attempt=timedelta(minutes=2), limit=None, retry=RELENTLESS)
"""Answers how something stands, also when it stands badly; it is tried again when a worker was lost."""

RECORD = Policy(attempt=timedelta(seconds=30), limit=None, retry=RELENTLESS)
UNDO = Policy(attempt=timedelta(minutes=20), limit=None, retry=RELENTLESS)
"""What takes longer goes on where it was: an engine goes on stopping what it was asked to stop (an hour of
grace is the most that is accepted), and a drain has a deadline. What would begin anew has a shorter limit."""
