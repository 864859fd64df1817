"""The output of all replicas of an application, live."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from api.context import RuntimeLine
from domain.errors import NotFound, SeawayError
from seaway.log_positions import News, Positions, Replica, id_of, positions_of, replica_of
from seaway.replica_logs import Placed, ServerPlaces, Stream, Written, read_logs

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
        self._read: Positions = {}
        self._given: Positions = {}
        self._lines: asyncio.Queue[tuple[Replica | None, RuntimeLine]] = asyncio.Queue(LINES_AHEAD)
        self._has_said_too_many = False

    async def lines(self, last: int, after: str = "") -> AsyncIterator[RuntimeLine]:
        """The last lines, only those after the one with this id if given, then every new one as it comes.

        Raises ServerUnreachable when a server does not answer at the beginning.
        """
        replicas = await self._find()
        try:
            for line in await self._last_lines(replicas, last, positions_of(after)):
                yield self._give(*line)
            is_read = True
            while True:
                if self._follow(replicas, is_read=is_read):
                    yield RuntimeLine(TOO_MANY_STREAMS)
                is_read = False
                look = time.monotonic() + LOOK_SECONDS
                # Where lines always wait, nothing in there would ever be interrupted by the time.
                while time.monotonic() < look and (found := await self._next(look)) is not None:
                    yield self._give(*found)
                try:
                    replicas = await self._find()
                except NotFound:
                    return
                except SeawayError:
                    continue  # a server is silent; what is followed elsewhere goes on
                listed = {placed.replica for placed in replicas}
                self._given = {one: at for one, at in self._given.items() if one in listed}
        finally:
            for reader in self._readers.values():
                reader.cancel()
            await asyncio.gather(*self._readers.values(), return_exceptions=True)

    async def _last_lines(
        self, replicas: Sequence[Placed], last: int, after: Positions | None
    ) -> list[tuple[Replica | None, RuntimeLine]]:
        most = last if after is None else max(last, LINES_AT_ONCE)
        written = await read_logs(replicas, self._places, most, after)
        self._given, self._read = dict(written.before), dict(written.before)
        found = _lines_of(written)
        for replica, line in found:
            self._remember(replica, line)
        return found

    def _give(self, replica: Replica | None, line: RuntimeLine) -> RuntimeLine:
        """The line with the id to go on after, which counts what waits to be given as not read."""
        if replica is None or line.at is None:
            return line
        self._given[replica] = max(line.at, self._given.get(replica, line.at))
        return replace(line, id=id_of(self._given))

    async def _next(self, until: float) -> tuple[Replica | None, RuntimeLine] | None:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._lines.get()
        except TimeoutError:
            return None

    def _follow(self, replicas: Sequence[Placed], *, is_read: bool) -> bool:
        """Opens what is not followed yet, or no more; whether that was too much, said once."""
        streams: defaultdict[Stream, list[Placed]] = defaultdict(list)
        for placed in replicas:
            streams[placed.stream].append(placed)
        is_too_much = False
        for stream, together in streams.items():
            server_id = together[0].server_id
            reader = self._readers.get(stream)
            if reader is not None and not reader.done():
                continue
            if self._places.streams[server_id] >= STREAMS_OF_A_SERVER:
                is_too_much = True
                continue
            self._places.streams[server_id] += 1
            reader = asyncio.create_task(self._read_stream(together, is_read=is_read))
            reader.add_done_callback(partial(self._close, server_id))
            self._readers[stream] = reader
        said, self._has_said_too_many = self._has_said_too_many, self._has_said_too_many or is_too_much
        return is_too_much and not said

    def _close(self, server_id: str, _reader: asyncio.Task[None]) -> None:
        self._places.streams[server_id] -= 1

    async def _read_stream(self, together: Sequence[Placed], *, is_read: bool) -> None:
        """Until the replicas end, or their server is lost: the next look opens it anew if they are there."""
        first = together[0]
        try:
            if not is_read:
                await self._catch_up(together)
            news = News(self._read, [placed.replica for placed in together])
            # One more, which was read, shows that none is missing.
            entries = first.source.follow_logs(first.state.name, LINES_AT_ONCE + 1, news.since)
            async with aclosing(entries):  # type: ignore[type-var]
                async for entry in entries:
                    replica = replica_of(first.server_id, entry.task or first.state.id)
                    if news.is_after_gap(replica, entry.at):
                        await self._put(None, RuntimeLine(GAP))
                    if news.has(replica, entry.at):
                        await self._put(replica, RuntimeLine(entry.text, entry.at))
        except SeawayError:
            return
        except Exception:
            logger.exception("the log of %s cannot be read", first.state.name)

    async def _catch_up(self, together: Sequence[Placed]) -> None:
        """Brings what was written since these replicas were read, or what they have written at all."""
        listed = {placed.replica for placed in together}
        after = {one: at for one, at in self._read.items() if one in listed}
        written = await read_logs(together, self._places, LINES_AT_ONCE, after)
        self._read |= written.before
        for replica, line in _lines_of(written):
            await self._put(replica, line)

    async def _put(self, replica: Replica | None, line: RuntimeLine) -> None:
        await self._lines.put((replica, line))
        self._remember(replica, line)

    def _remember(self, replica: Replica | None, line: RuntimeLine) -> None:
        if replica is not None and line.at is not None:
            self._read[replica] = max(line.at, self._read.get(replica, line.at))


def _lines_of(written: Written) -> list[tuple[Replica | None, RuntimeLine]]:
    gap: list[tuple[Replica | None, RuntimeLine]] = [(None, RuntimeLine(GAP))] if written.has_gap else []
    return gap + [(replica, RuntimeLine(entry.text, entry.at)) for replica, entry in written.entries]
