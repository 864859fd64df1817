"""The log of one step: written line by line, stored in batches, never with a secret."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
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

PAUSE_SECONDS = 1.0
LAST_TRIES = 5
"""How often, at the end of a step, a database that takes no lines is asked again."""

Write = Callable[[str], None]
Line = tuple[datetime, str]
logger = logging.getLogger("seaway")


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


class _Storing:
    """Brings lines from a log to the store, until it has ended."""

    def __init__(self, logs: LogStore, step: StepReference, attempt: int) -> None:
        self.log = BoundedLog()
        self.ended = asyncio.Event()
        self._logs, self._step, self._attempt = logs, step, attempt

    async def run(self) -> None:
        """Stores lines as they come; returns when the log has ended and there is nothing more to do."""
        at_the_end = False
        while not at_the_end:
            await self._pause(FLUSH_SECONDS)
            # Looked at before the lines are taken: those that come while they are stored need another turn.
            at_the_end = self.ended.is_set()
            lines = list(self.log.pending)
            if await self._store(lines):
                del self.log.pending[: len(lines)]
            else:
                await self._pause(PAUSE_SECONDS)
        if self.log.pending:
            await self._store_the_rest()

    async def _store_the_rest(self) -> None:
        for _ in range(LAST_TRIES):
            await asyncio.sleep(PAUSE_SECONDS)
            if await self._store(self.log.pending):
                return
        await self._store([(datetime.now(UTC), f"… {len(self.log.pending)} lines could not be stored …")])

    async def _store(self, lines: list[Line]) -> bool:
        name, deployment_id = self._step.name, self._step.deployment_id
        try:
            await self._logs.append(deployment_id, name, self._step.server, self._attempt, lines)
        except SQLAlchemyError as error:
            # Not the whole error, which holds the lines.
            reason = getattr(error, "orig", None) or type(error).__name__
            logger.warning("the log of %s of deployment %s is not stored: %s", name, deployment_id, reason)
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)


@contextlib.asynccontextmanager
async def step_log(logs: LogStore, step: StepReference, redact: Redactor) -> AsyncIterator[Write]:
    """Gives a function that takes a line. What older attempts of this step wrote is replaced.

    All lines are stored when the block ends, also when it ends by an error or a cancellation; of a log
    beyond `MOST_LINES` or `MOST_CHARACTERS`, its beginning and its end. A database that takes none for a
    moment is asked again, and no step fails because of its log: in place of lines that cannot be stored, the
    log says how many are missing.
    """
    attempt = activity.info().attempt
    await logs.open(step.deployment_id, step.name, step.server, attempt)
    storing = _Storing(logs, step, attempt)

    def write(line: str) -> None:
        storing.log.add(redact(line))

    task = asyncio.create_task(storing.run())
    try:
        yield write
    finally:
        storing.log.finish()
        storing.ended.set()
        await asyncio.shield(task)
