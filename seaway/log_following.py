"""The output of all replicas of an application, live."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial

from api.context import RuntimeLine
from domain.errors import NotFound, SeawayError
from seaway.replica_logs import Placed, ServerPlaces, Stream, read_logs

logger = logging.getLogger("seaway")

STREAMS_OF_A_SERVER = 32
"""Each holds one of the threads that deployments read the server's engine with (64)."""

TOO_MANY_STREAMS = "Too many logs are followed at this moment, so some are missing here. Close some of them."
GAP = "Lines are missing here: more was written meanwhile than is read at once."

LOOK_SECONDS = 2.0
"""So soon the replicas of a new release are followed."""

LINES_AT_ONCE = 1000
"""So many are read of a new replica, and for somebody who comes back."""

LINES_AHEAD = 16
"""So many are read before somebody takes them; each may have 256 KiB."""


class LogFollower:
    """Follows every replica that there is, those of later releases too, until the application is gone."""

    def __init__(self, find: Callable[[], Awaitable[Sequence[Placed]]], places: ServerPlaces) -> None:
        """`find` tells the replicas of now; `places` are shared by all who read logs."""
        self._find = find
        self._places = places
        self._readers: dict[Stream, asyncio.Task[None]] = {}
        self._newest: dict[Stream, datetime] = {}
        self._lines: asyncio.Queue[RuntimeLine] = asyncio.Queue(LINES_AHEAD)
        self._has_said_too_many = False

    async def lines(self, last: int, after: datetime | None = None) -> AsyncIterator[RuntimeLine]:
        """The last lines, only those `after` if given, then every new one as it comes.

        Raises ServerUnreachable when a server does not answer at the beginning.
        """
        replicas = await self._find()
        try:
            most = last if after is None else max(last, LINES_AT_ONCE)
            written = await read_logs(replicas, self._places, most, after)
            self._newest = written.newest
            if written.has_gap:
                yield RuntimeLine(GAP)
            for entry in written.entries:
                yield RuntimeLine(entry.text, entry.at)
            while True:
                if self._follow(replicas):
                    yield RuntimeLine(TOO_MANY_STREAMS)
                look = time.monotonic() + LOOK_SECONDS
                # Where lines always wait, nothing in there would ever be interrupted by the time.
                while time.monotonic() < look and (line := await self._next(look)) is not None:
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
            if self._places.streams[placed.server_id] >= STREAMS_OF_A_SERVER:
                is_too_much = True
                continue
            self._places.streams[placed.server_id] += 1
            reader = asyncio.create_task(self._read(placed))
            reader.add_done_callback(partial(self._close, placed.server_id))
            self._readers[placed.stream] = reader
        said, self._has_said_too_many = self._has_said_too_many, self._has_said_too_many or is_too_much
        return is_too_much and not said

    def _close(self, server_id: str, _reader: asyncio.Task[None]) -> None:
        self._places.streams[server_id] -= 1

    async def _read(self, placed: Placed) -> None:
        """Until the replica ends, or its server is lost: the next look opens it anew if it is still there."""
        since = self._newest.get(placed.stream)
        entries = placed.source.follow_logs(placed.state.name, LINES_AT_ONCE, since)
        try:
            async with aclosing(entries):  # type: ignore[type-var]
                async for entry in entries:
                    if since is None or entry.at > since:
                        await self._lines.put(RuntimeLine(entry.text, entry.at))
                        # Of a service, the clocks of several nodes.
                        self._newest[placed.stream] = max(entry.at, self._newest.get(placed.stream, entry.at))
        except SeawayError:
            return
        except Exception:
            logger.exception("the log of %s cannot be read", placed.state.name)
