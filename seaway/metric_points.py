"""What servers use, from when it is told until it is written, made coarser and forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from domain.metrics import Measure, Point, Resolution
from store.metrics import MetricStore, Subject

logger = logging.getLogger("seaway.watch")

WRITE_SECONDS: Final = 1.0
# What waits to be written while the database does not answer: half an hour of a hundred servers. None takes
# the places of the others.
MOST_WAITING: Final = 20_000
LEAST_WAITING_OF_A_SERVER: Final = 2000
# What a point's time may differ by; what is written together is looked up by its span of time.
MOST_SKEW_SECONDS: Final = 3600
LARGEST_NUMBER: Final = 2**53
# With these the database has not refused what it was given: the same may be written later.
UNHEARD: Final = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError)


class MetricPoints:
    """The points of all servers that a process watches."""

    def __init__(self, metrics: MetricStore, kept: Sequence[Resolution]) -> None:
        """`kept` is how fine points are kept for how long, the finest first."""
        self._metrics = metrics
        self._kept = kept
        self._points: list[tuple[Subject, Point]] = []
        self._of_servers: Counter[str] = Counter()
        self._some = asyncio.Event()
        self._was_refused = False
        self._rolled_up: dict[int, dict[str, int]] = defaultdict(dict)

    @property
    def waiting(self) -> Sequence[tuple[Subject, Point]]:
        """What has not been written yet."""
        return tuple(self._points)

    def add(self, subject: Subject, point: Point, *, servers: int) -> None:
        """Takes it to be written, unless it is none or too many of its server wait, of so many `servers`."""
        most = max(MOST_WAITING // max(servers, 1), LEAST_WAITING_OF_A_SERVER)
        # One number that the database refuses would keep back what all servers use.
        if self._of_servers[subject.server_id] < most and _is_plausible(point):
            self._points.append((subject, point))
            self._of_servers[subject.server_id] += 1
        self._some.set()

    async def write_when_there_are_some(self) -> None:
        """Writes them a moment after the first one came, so that many are written together."""
        await self._some.wait()
        await asyncio.sleep(WRITE_SECONDS)
        await self.write()

    async def write(self) -> None:
        """Writes what waits. Raises what the database does; what that refuses for good is left out."""
        points = self.waiting
        try:
            await self._metrics.write(points)
        except UNHEARD:
            raise
        except Exception as error:
            # A former watcher may have written one of them at this moment; the second try sees it.
            if not self._was_refused:
                self._was_refused = True
                raise
            logger.error("%d points are left out, for the database refuses them: %s", len(points), error)
        self._was_refused = False
        del self._points[: len(points)]
        self._of_servers = Counter(subject.server_id for subject, _ in self._points)
        if not self._points:
            self._some.clear()

    async def roll_up(self, watched: Collection[str]) -> None:
        """Makes coarser points of what was measured on these servers since the last time, by whomever."""
        now = datetime.now(UTC)
        for finer, coarser in pairwise(self._kept):
            done = await self._done(watched, coarser.step_seconds)
            groups: dict[int, list[str]] = defaultdict(list)
            for server_id, on in done.items():
                groups[on].append(server_id)
            for since, server_ids in groups.items():
                on = await self._metrics.roll_up(
                    server_ids, finer=finer, coarser=coarser, since=since, now=now
                )
                done.update(dict.fromkeys(server_ids, on))

    async def _done(self, watched: Collection[str], step_seconds: int) -> dict[str, int]:
        """Where to go on, for each of these servers."""
        known = {
            server_id: on for server_id, on in self._rolled_up[step_seconds].items() if server_id in watched
        }
        if new := set(watched) - known.keys():
            known |= await self._metrics.newest_of_servers(new, step_seconds=step_seconds)
        self._rolled_up[step_seconds] = known
        return known

    async def forget_old(self) -> None:
        """Removes what is older than it is kept."""
        await self._metrics.forget_old(self._kept, datetime.now(UTC))


def _is_plausible(point: Point) -> bool:
    """Whether the numbers are such as servers have: what they say of themselves may be anything."""
    values = (point.average, point.maximum)
    numbers: list[float] = [point.memory_total_bytes, point.disk_total_bytes]
    numbers += [one.of(measure) for one in values for measure in Measure]
    is_now = abs(point.at - datetime.now(UTC).timestamp()) <= MOST_SKEW_SECONDS
    return is_now and all(0 <= number <= LARGEST_NUMBER for number in numbers)
