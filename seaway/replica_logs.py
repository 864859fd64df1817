"""The output of all replicas of an application: what they wrote, and what they write now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from itertools import chain
from typing import NamedTuple

from adapters.docker.states import ContainerState, LogEntry
from api.context import RuntimeLine
from domain.errors import NotFound, SeawayError, ServerUnreachable
from seaway.service_view import LogSource

logger = logging.getLogger("seaway")

LOGS_LIMIT_SECONDS = 15.0
"""A log's driver, or a Swarm's node, may never answer."""

STREAMS_OF_A_SERVER = 32
"""Each holds one of the threads that deployments read the server's engine with (64)."""

TOO_MANY_STREAMS = "Too many logs are followed at this moment, so some are missing here. Close some of them."

LOOK_SECONDS = 2.0
"""So soon the replicas of a new release are followed."""

LINES_OF_A_NEW_REPLICA = 1000
LINES_AHEAD = 16
"""So many are read before somebody takes them; each may have 256 KiB."""


class Placed(NamedTuple):
    """A replica: its server, where its output comes from, and how it stands."""

    server_id: str
    source: LogSource
    state: ContainerState

    @property
    def stream(self) -> tuple[str, str]:
        """What is followed for it: its container or, with all other tasks, its service."""
        return self.server_id, self.state.name.partition(".")[0]


async def entries_of(replicas: Sequence[Placed], lines: int) -> list[list[LogEntry]]:
    """The last lines of each replica. Raises ServerUnreachable when a server does not answer in time."""
    try:
        async with asyncio.timeout(LOGS_LIMIT_SECONDS):
            return await asyncio.gather(*(one.source.log_entries(one.state.name, lines) for one in replicas))
    except TimeoutError as error:
        raise ServerUnreachable(
            f"Not all servers of this application sent its log within {LOGS_LIMIT_SECONDS:g} s."
        ) from error


def merged(logs: Sequence[Sequence[LogEntry]], lines: int) -> list[LogEntry]:
    """The last lines of all together, in order of time."""
    return sorted(chain.from_iterable(logs), key=lambda entry: entry.at)[-lines:]


class LogFollower:
    """Follows every replica that there is, those of later releases too, until the application is gone."""

    def __init__(self, find: Callable[[], Awaitable[Sequence[Placed]]], streams: Counter[str]) -> None:
        """`find` tells the replicas of now; `streams` counts those open on each server, for all followers."""
        self._find = find
        self._streams = streams
        self._readers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._newest: dict[tuple[str, str], datetime] = {}
        self._lines: asyncio.Queue[RuntimeLine] = asyncio.Queue(LINES_AHEAD)
        self._has_said_too_many = False

    async def lines(self, last: int, after: datetime | None = None) -> AsyncIterator[RuntimeLine]:
        """The last lines, only those `after` if given, then every new one as it comes.

        Raises ServerUnreachable when a server does not answer at the beginning.
        """
        replicas = await self._find()
        try:
            for entry in await self._written(replicas, last, after):
                yield RuntimeLine(entry.text, entry.at)
            while True:
                if self._follow(replicas):
                    yield RuntimeLine(TOO_MANY_STREAMS)
                look = time.monotonic() + LOOK_SECONDS
                while (line := await self._next(look)) is not None:
                    yield line
                try:
                    replicas = await self._find()
                except NotFound:
                    return
                except SeawayError:
                    continue  # a server is silent; what is followed elsewhere goes on
        finally:
            for reader in self._readers.values():
                reader.cancel()
            await asyncio.gather(*self._readers.values(), return_exceptions=True)

    async def _written(
        self, replicas: Sequence[Placed], last: int, after: datetime | None
    ) -> Sequence[LogEntry]:
        logs = await entries_of(replicas, last)
        for placed, entries in zip(replicas, logs, strict=True):
            if entries:
                known = self._newest.get(placed.stream, entries[-1].at)
                self._newest[placed.stream] = max(known, entries[-1].at)
        return [one for one in merged(logs, last) if after is None or one.at > after]

    async def _next(self, until: float) -> RuntimeLine | None:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._lines.get()
        except TimeoutError:
            return None

    def _follow(self, replicas: Sequence[Placed]) -> bool:
        """Opens what is not followed yet, or no more; whether that was too much, said once."""
        is_too_much = False
        for placed in replicas:
            reader = self._readers.get(placed.stream)
            if reader is not None and not reader.done():
                continue
            if self._streams[placed.server_id] >= STREAMS_OF_A_SERVER:
                is_too_much = True
                continue
            self._streams[placed.server_id] += 1
            reader = asyncio.create_task(self._read(placed))
            reader.add_done_callback(partial(self._close, placed.server_id))
            self._readers[placed.stream] = reader
        said, self._has_said_too_many = self._has_said_too_many, self._has_said_too_many or is_too_much
        return is_too_much and not said

    def _close(self, server_id: str, _reader: asyncio.Task[None]) -> None:
        self._streams[server_id] -= 1

    async def _read(self, placed: Placed) -> None:
        """Until the replica ends, or its server is lost: the next look opens it anew if it is still there."""
        since = self._newest.get(placed.stream)
        entries = placed.source.follow_logs(placed.state.name, LINES_OF_A_NEW_REPLICA, since)
        try:
            async with aclosing(entries):  # type: ignore[type-var]
                async for entry in entries:
                    if since is None or entry.at > since:
                        await self._lines.put(RuntimeLine(entry.text, entry.at))
                        self._newest[placed.stream] = entry.at
        except SeawayError:
            return
        except Exception:
            logger.exception("the log of %s cannot be read", placed.state.name)
