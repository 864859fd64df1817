"""The log of one step: written line by line, stored in batches, never with a secret."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from temporalio import activity

from activities.messages import StepReference
from domain.redaction import Redactor
from store.logs import LogStore

FLUSH_SECONDS = 0.15
MOST_LINES = 50_000
MOST_CHARACTERS = 16 * 1024**2
"""Of one step. A command that prints without end must fill neither the worker's memory nor the disk."""

LAST_LINES = 500
LAST_CHARACTERS = 512 * 1024
"""What is shown of the end of a longer log, because there it says what went wrong."""

Write = Callable[[str], None]
Line = tuple[datetime, str]


class BoundedLog:
    """Takes lines as they come, and of too many keeps the beginning and the end."""

    def __init__(self) -> None:
        self.pending: list[Line] = []
        self._lines_left = MOST_LINES
        self._characters_left = MOST_CHARACTERS
        self._last: deque[Line] = deque()
        self._last_characters = 0
        self._left_out = 0

    def add(self, text: str) -> None:
        """Makes the line pending, or holds it back as one of the last."""
        line = (datetime.now(UTC), text)
        self._lines_left -= 1
        self._characters_left -= len(text)
        if self._lines_left >= 0 and self._characters_left >= 0:
            self.pending.append(line)
            return
        self._lines_left = 0
        self._last.append(line)
        self._last_characters += len(text)
        while len(self._last) > LAST_LINES or self._last_characters > LAST_CHARACTERS:
            _, dropped = self._last.popleft()
            self._last_characters -= len(dropped)
            self._left_out += 1

    def finish(self) -> None:
        """Makes the last lines pending too, after a word about those between."""
        if self._left_out:
            self.pending.append((datetime.now(UTC), f"… {self._left_out} lines are left out here …"))
        self.pending.extend(self._last)
        self._last.clear()


@contextlib.asynccontextmanager
async def step_log(logs: LogStore, step: StepReference, redact: Redactor) -> AsyncIterator[Write]:
    """Gives a function that takes a line. What older attempts of this step wrote is replaced.

    All lines are stored when the block ends, also when it ends by an error or a cancellation; of a log
    beyond `MOST_LINES` or `MOST_CHARACTERS`, its beginning and its end.
    """
    attempt = activity.info().attempt
    await logs.open(step.deployment_id, step.name, step.server, attempt)
    log = BoundedLog()
    ended = asyncio.Event()

    async def keep_storing() -> None:
        at_the_end = False
        while not at_the_end:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), FLUSH_SECONDS)
            # Looked at before the lines are taken: those that come while they are stored need another turn.
            at_the_end = ended.is_set()
            lines = list(log.pending)
            await logs.append(step.deployment_id, step.name, step.server, attempt, lines)
            del log.pending[: len(lines)]

    def write(line: str) -> None:
        log.add(redact(line))

    storing = asyncio.create_task(keep_storing())
    try:
        yield write
    finally:
        log.finish()
        ended.set()
        await asyncio.shield(storing)
