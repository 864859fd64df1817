"""The output of all replicas of an application, live."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from api.context import RuntimeLine
from domain.errors import NotFound, SeawayError
from seaway.log_positions import Positions, id_of, positions_of
from seaway.log_reading import LogReading, Read
from seaway.replica_logs import LINES_AT_ONCE, Placed, ServerPlaces, Stream
from seaway.shared_logs import STREAMS_OF_A_SERVER, Listener, SharedLogs

TOO_MANY_STREAMS = "Too many logs are followed at this moment, so some are missing here. Close some of them."
TOO_MANY_REPLICAS = (
    f"The logs of {STREAMS_OF_A_SERVER} replicas of one server can be followed at a time. This application "
    "has more there, so some are missing here."
)

LOOK_SECONDS = 2.0
"""So soon the replicas of a new release are followed."""


Standing = frozenset[tuple[str, str]]
"""The ids of replicas of which none runs, and when each was started."""


class Followed(NamedTuple):
    """A stream that was opened; `standing` is that of its replicas then, None where one ran."""

    task: asyncio.Task[bool]
    listener: Listener
    standing: Standing | None


class LogFollower:
    """Follows every replica that there is, those of later releases too, until the application is gone."""

    def __init__(
        self, find: Callable[[], Awaitable[Sequence[Placed]]], places: ServerPlaces, logs: SharedLogs
    ) -> None:
        """`find` tells the replicas of now; `places` and `logs` are shared by all who read logs."""
        self._find = find
        self._logs = logs
        self._reading = LogReading(places)
        self._followed: dict[Stream, Followed] = {}
        self._given: Positions = {}
        self._said: set[str] = set()

    async def lines(self, last: int, after: str = "") -> AsyncIterator[RuntimeLine]:
        """The last lines, only those after the one with this id if given, then every new one as it comes.

        Raises ServerUnreachable when a server does not answer at the beginning.
        """
        replicas, since = await self._find(), positions_of(after)
        try:
            problems = self._follow(replicas)
            most = last if since is None else max(last, LINES_AT_ONCE)
            self._given, found = await self._reading.begin(replicas, most, since)
            for line in found:
                yield self._give(line)
            while True:
                for problem in problems:
                    yield RuntimeLine(problem)
                look = time.monotonic() + LOOK_SECONDS
                # Where lines always wait, nothing in there would ever be interrupted by the time.
                while time.monotonic() < look and (new := await self._next(look)) is not None:
                    yield self._give(new)
                try:
                    replicas = await self._find()
                except NotFound:
                    return
                except SeawayError:
                    pass  # a server is silent; what is followed elsewhere goes on
                problems = self._follow(replicas)
        finally:
            await self._leave()

    def _give(self, read: Read) -> RuntimeLine:
        """The line, whose id tells what was given so far, not what was read and waits to be."""
        replica, line = read
        if replica is None or line.at is None:
            return line
        self._given[replica] = max(line.at, self._given.get(replica, line.at))
        return replace(line, id=id_of(self._given))

    async def _next(self, until: float) -> Read | None:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._reading.lines.get()
        except TimeoutError:
            return None

    def _follow(self, replicas: Sequence[Placed]) -> set[str]:
        """Opens what is not followed yet, or no more; what cannot be, in words that are said once."""
        listed = {placed.replica for placed in replicas}
        self._reading.know(listed)
        # Of those that are gone nobody can be given more.
        self._given = {one: at for one, at in self._given.items() if one in listed}
        streams: defaultdict[Stream, list[Placed]] = defaultdict(list)
        for placed in replicas:
            streams[placed.stream].append(placed)
        self._followed = {
            stream: one for stream, one in self._followed.items() if stream in streams or not one.task.done()
        }
        of_servers = Counter(server_id for server_id, _ in streams)
        problems = set()
        for stream, together in streams.items():
            if not self._open(stream, together):
                is_alone = of_servers[stream[0]] > STREAMS_OF_A_SERVER
                problems.add(TOO_MANY_REPLICAS if is_alone else TOO_MANY_STREAMS)
        problems -= self._said
        self._said |= problems
        return problems

    def _open(self, stream: Stream, together: Sequence[Placed]) -> bool:
        """Follows the stream if it goes on; False when there is no room for it."""
        followed, standing = self._followed.get(stream), _standing_of(together)
        if followed is not None:
            if not followed.task.done():
                return True
            # All that they had written came to its end; a replica that ran may have written more.
            if followed.task.result() and standing is not None and followed.standing == standing:
                return True
        listener = self._logs.listen(together[0])
        if listener is None:
            return False
        task = asyncio.create_task(self._reading.follow(together, listener))
        self._followed[stream] = Followed(task, listener, standing)
        return True

    async def _leave(self) -> None:
        tasks = [one.task for one in self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # One that was cancelled before it began has closed nothing.
        for one in self._followed.values():
            await one.listener.close()


def _standing_of(together: Sequence[Placed]) -> Standing | None:
    states = [placed.state for placed in together]
    if any(state.running for state in states):
        return None
    return frozenset((state.id, str(state.started_at)) for state in states)
