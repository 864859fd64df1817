"""The output of each container or service, read once for all who follow it in this process."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial

from adapters.docker.states import LogEntry
from domain.errors import SeawayError, ServerUnreachable
from seaway.replica_logs import LINES_AT_ONCE, Placed, Stream

logger = logging.getLogger("seaway")

STREAMS_OF_A_SERVER = 32
"""Each holds one of the threads that deployments read the server's engine with (64)."""

LINES_AHEAD = 16
"""So many are read before the fastest listener takes them; each may have 256 KiB."""

KEPT_LINES = 1000
KEPT_CHARACTERS = 1024 * 1024
"""Beyond what is kept for slower listeners, they lose lines."""


class SharedLog:
    """Goes as fast as the fastest of its listeners, and ends when none is left."""

    def __init__(self, entries: AsyncIterator[LogEntry], name: str, on_unused: Callable[[], object]) -> None:
        """`name` is what tells of unexpected errors; `on_unused` hears when the last listener goes."""
        self.is_over = False
        self._on_unused = on_unused
        self._problem: SeawayError | None = None
        self._listeners: set[Listener] = set()
        self._kept: deque[LogEntry] = deque()
        self._characters = 0
        self._first = 0
        self._room, self._news = asyncio.Event(), asyncio.Event()
        self.reading = asyncio.create_task(self._read(entries, name))

    @property
    def end(self) -> int:
        """The number of the next line that comes."""
        return self._first + len(self._kept)

    def listener(self) -> Listener:
        """Somebody who hears every line from now on."""
        listener = Listener(self)
        self._listeners.add(listener)
        # It is ahead of all who are slow: what waited for them to go on has room again.
        self._room.set()
        return listener

    async def leave(self, listener: Listener) -> None:
        """The listener hears no more. May be said twice."""
        self._listeners.discard(listener)
        self._room.set()
        if not self._listeners and not self.reading.done():
            self._on_unused()
            self.reading.cancel()
            await asyncio.wait([self.reading])

    async def take(self, number: int) -> tuple[int, LogEntry] | None:
        """The line of that number, or the first after it that is kept, and its number; None at the end.

        Raises what ended the log before its end.
        """
        while number >= self.end and not self.is_over:
            await self._news.wait()
        if number < self.end:
            found = max(number, self._first)
            return found, self._kept[found - self._first]
        if self._problem is not None:
            raise self._problem
        return None

    def was_taken(self) -> None:
        """A listener has gone on: there may be room for more, and what all have is kept no longer."""
        self._room.set()
        self._forget(min((one.number for one in self._listeners), default=self.end))

    async def _read(self, entries: AsyncIterator[LogEntry], name: str) -> None:
        try:
            async with aclosing(entries):  # type: ignore[type-var]
                async for entry in entries:
                    while self.end >= self._fastest() + LINES_AHEAD:
                        self._room.clear()
                        await self._room.wait()
                    self._keep(entry)
        except SeawayError as problem:
            self._problem = problem
        except Exception:
            logger.exception("the log of %s cannot be read", name)
            self._problem = ServerUnreachable(f"The log of {name} cannot be read.")
        finally:
            self.is_over = True
            self._news.set()

    def _fastest(self) -> int:
        return max((one.number for one in self._listeners), default=self._first)

    def _keep(self, entry: LogEntry) -> None:
        self._kept.append(entry)
        self._characters += len(entry.text)
        fastest = self._fastest()
        while len(self._kept) > KEPT_LINES or self._characters > KEPT_CHARACTERS:
            if self._first >= fastest:
                break  # the fastest loses nothing: it is waited for
            self._forget(self._first + 1)
        self._news.set()
        self._news = asyncio.Event()

    def _forget(self, until: int) -> None:
        while self._kept and self._first < until:
            self._characters -= len(self._kept.popleft().text)
            self._first += 1


class Listener:
    """Somebody who follows a shared log; to be closed."""

    def __init__(self, log: SharedLog) -> None:
        self._log = log
        self.number = log.end
        self.hears_begin = self.number == 0

    async def entries(self) -> AsyncIterator[LogEntry | None]:
        """Each line; None where some are missing, because this listener was too slow for them.

        Raises what ended the log before its end.
        """
        while (found := await self._log.take(self.number)) is not None:
            number, entry = found
            if number > self.number:
                yield None
            self.number = number + 1
            self._log.was_taken()
            yield entry

    async def close(self) -> None:
        """Hears no more. May be said twice."""
        await self._log.leave(self)


class SharedLogs:
    """The logs that are followed at this moment, on all servers."""

    def __init__(self) -> None:
        self.streams: Counter[str] = Counter()
        self._logs: dict[Stream, SharedLog] = {}

    def listen(self, placed: Placed) -> Listener | None:
        """Somebody who hears the replica's stream; None when too many of that server are open."""
        stream = placed.stream
        log = self._logs.get(stream)
        if log is None or log.is_over:
            if self.streams[placed.server_id] >= STREAMS_OF_A_SERVER:
                return None
            # One more than is read at once, which was read, shows that none is missing between.
            entries = placed.source.follow_logs(placed.state.name, LINES_AT_ONCE + 1)
            log = SharedLog(entries, placed.state.name, partial(self._logs.pop, stream, None))
            self._logs[stream] = log
            self.streams[placed.server_id] += 1
            log.reading.add_done_callback(partial(self._closed, stream, log))
        return log.listener()

    def _closed(self, stream: Stream, log: SharedLog, _reading: asyncio.Task[None]) -> None:
        self.streams[stream[0]] -= 1
        if self._logs.get(stream) is log:
            del self._logs[stream]
