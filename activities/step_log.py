"""The log of one step: written line by line, stored in batches, never with a secret."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from temporalio import activity

from activities.messages import StepReference
from domain.redaction import Redactor
from store.logs import LogStore

FLUSH_SECONDS = 0.15
Write = Callable[[str], None]


@contextlib.asynccontextmanager
async def step_log(logs: LogStore, step: StepReference, redact: Redactor) -> AsyncIterator[Write]:
    """Gives a function that takes a line. What older attempts of this step wrote is replaced.

    All lines are stored when the block ends, also when it ends by an error or a cancellation.
    """
    attempt = activity.info().attempt
    await logs.open(step.deployment_id, step.name, step.server, attempt)
    pending: list[tuple[datetime, str]] = []
    ended = asyncio.Event()

    async def keep_storing() -> None:
        at_the_end = False
        while not at_the_end:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), FLUSH_SECONDS)
            # Looked at before the lines are taken: those that come while they are stored need another turn.
            at_the_end = ended.is_set()
            lines = list(pending)
            await logs.append(step.deployment_id, step.name, step.server, attempt, lines)
            del pending[: len(lines)]

    def write(line: str) -> None:
        pending.append((datetime.now(UTC), redact(line)))

    storing = asyncio.create_task(keep_storing())
    try:
        yield write
    finally:
        ended.set()
        await asyncio.shield(storing)
