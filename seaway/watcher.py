"""All servers watched, each by exactly one of the worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self
from zlib import crc32

from sqlalchemy.exc import SQLAlchemyError

from activities.servers import Servers
from api.pages.live import wake_pages
from api.server_clean_up import ServerCleanUps
from domain.errors import HostKeyChanged, NotFound, SeawayError
from domain.identifiers import new_identifier
from domain.metrics import DEFAULT_RESOLUTIONS, HostReading, Point, Resolution, is_disk_above
from domain.replica_states import StandingReplica
from domain.server_events import ContainerEvent
from domain.server_systems import status_after
from domain.servers import ServerStatus
from seaway.death_reports import DeathReports
from seaway.local_upkeep import LocalUpkeep
from seaway.metric_points import MetricPoints
from seaway.server_watch import ServerWatch
from seaway.settings import Settings
from store.metrics import Subject
from store.store import Store
from store.tables import Server

logger = logging.getLogger("seaway.watch")

# A server whose watcher died has another one after at most 30 s.
LEASE: Final = timedelta(seconds=25)
CLAIM_SECONDS: Final = 5.0
# So long nobody may have watched a server before its watch begins.
UNWATCHED: Final = LEASE + timedelta(seconds=CLAIM_SECONDS)
ROLL_UP_SECONDS: Final = 60.0
FORGET_SECONDS: Final = 600.0
END_SECONDS: Final = 2.0
# A disk that fills and empties more often than that is not told of, and not cleaned, until later.
MOST_DISK_CHANGES: Final = 6
DISK_CHANGES_WITHIN_SECONDS: Final = 3600.0
GIGABYTE: Final = 10**9


@dataclass(frozen=True)
class WatchSettings:
    """How servers are watched."""

    period: timedelta = timedelta(seconds=10)
    disk_threshold_percent: float = 85.0
    kept: tuple[Resolution, ...] = DEFAULT_RESOLUTIONS
    local_folder: Path = Path("/")
    check: timedelta = timedelta(minutes=1)
    """How often what Seaway itself needs on its own server is looked after."""


class Watcher:
    """Watches, within `async with`, every server that no other process watches.

    A lease for each server in the database says who does. It implements `seaway.server_watch.Reports`.
    """

    def __init__(
        self,
        store: Store,
        servers: Servers,
        settings: WatchSettings | None = None,
        *,
        happened: Callable[[], None] = lambda: None,
        disk_filled: Callable[[str], Coroutine[None, None, object]] | None = None,
        look_after_local: Callable[[str], Coroutine[None, None, None]] | None = None,
        has_local: Callable[[], bool] = lambda: True,
    ) -> None:
        """`happened` is called when something changed that pages may show; `disk_filled` with a server's id
        when its disk has come above the threshold; `look_after_local` again and again with the id of
        Seaway's own server, where this process watches it; that is left to others unless `has_local`.
        """
        self._store = store
        self._servers = servers
        self._settings = settings or WatchSettings()
        self.happened = happened
        self._disk_filled = disk_filled
        self._look_after_local = look_after_local
        self._has_local = has_local
        self._own_begins = asyncio.Event()
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_identifier()}"
        self._tasks: list[asyncio.Task[None]] = []
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._names: dict[str, str] = {}
        self._leased_until = 0.0
        self.points = MetricPoints(store.metrics, self._settings.kept)
        self._teams: dict[str, str] = {}
        self._own: dict[str, frozenset[str]] = {}
        self._is_disk_above: dict[str, bool] = {}
        self._disk_changes: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MOST_DISK_CHANGES))
        self._deaths = DeathReports(store)
        self._replicas: dict[str, Sequence[StandingReplica]] = {}

    @property
    def watched(self) -> frozenset[str]:
        """The servers that this process watches at this moment."""
        return frozenset(self._watches)

    async def __aenter__(self) -> Self:
        rounds = (
            (self._claim, CLAIM_SECONDS),
            (self.points.write_when_there_are_some, 0.0),
            (self._roll_up, ROLL_UP_SECONDS),
            (self._forget, 0.0),
            (self._look_after_own, 0.0),
        )
        self._tasks = [asyncio.create_task(self._again_and_again(*one)) for one in rounds]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends everything, writes what was measured, and leaves the servers to others at once."""
        await _end([*self._tasks, *self._watches.values()])
        self._watches.clear()
        try:
            await self.points.write()
        except Exception:
            logger.exception("what was measured last could not be written")
        try:
            await self._store.watch.release(self.owner)
        except SQLAlchemyError as error:
            logger.warning("the leases of the watched servers could not be given back: %s", error)

    async def _again_and_again(
        self, work: Callable[[], Coroutine[None, None, None]], pause_seconds: float
    ) -> None:
        while True:
            try:
                await work()
            except (SQLAlchemyError, SeawayError) as error:
                logger.warning("watching servers: the database did not take it: %s", error)
            except Exception:
                # Without its rounds this process would seem to watch, and nobody else would.
                logger.exception("watching servers: a round failed")
            await asyncio.sleep(pause_seconds)

    async def _claim(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            own = await self._store.watch.claim(self.owner, LEASE, with_local=self._has_local())
        except SQLAlchemyError:
            if loop.time() >= self._leased_until:
                await self._watch_only(())
            raise
        self._leased_until = began + LEASE.total_seconds()
        await self._watch_only(own)
        for server_id in own:
            if server_id not in self._watches:
                await self._begin(server_id)

    async def _watch_only(self, own: Collection[str]) -> None:
        kept = set(own)
        lost = [server_id for server_id in self._watches if server_id not in kept]
        ended = [self._watches.pop(server_id) for server_id in lost]
        for server_id in lost:
            self._is_disk_above.pop(server_id, None)
            self._replicas.pop(server_id, None)
        if ended:
            await _end(ended)

    async def _begin(self, server_id: str) -> None:
        try:
            server = await self._store.servers.get(server_id)
        except NotFound:
            return
        self._names[server_id], self._teams[server_id] = server.name, server.team_id
        state = await self._store.watch.state(server_id)
        self._is_disk_above[server_id] = state is not None and state.is_disk_above
        period = self._settings.period.total_seconds()
        watch = ServerWatch(
            server_id,
            self._servers,
            self,
            period_seconds=period,
            # The looks at many servers are spread over the period.
            delay_seconds=crc32(server_id.encode()) % 1000 / 1000 * min(period, CLAIM_SECONDS),
            folders=self._folders(server),
            since=datetime.now(UTC) - UNWATCHED,
        )
        if server.is_local:
            self._own_begins.set()
        task = self._watches[server_id] = asyncio.create_task(watch.run())
        task.add_done_callback(lambda ended: self._ended(server_id, ended))

    def _folders(self, server: Server) -> tuple[str, ...]:
        folder = str(self._settings.local_folder) if server.is_local else server.data_folder
        return (folder,) if folder else ()

    def _ended(self, server_id: str, task: asyncio.Task[None]) -> None:
        if self._watches.get(server_id) is task:
            # The next claim begins it anew.
            del self._watches[server_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("watching the server %s failed", server_id, exc_info=error)

    async def _look_after_own(self) -> None:
        # At once when its watch begins: what others have said of it meanwhile need not be so.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.check.total_seconds()):
                await self._own_begins.wait()
        self._own_begins.clear()
        if self._look_after_local is None:
            return
        for server in await self._store.servers.all_local():
            if server.id in self._watches:
                await self._look_after_local(server.id)

    def used(self, subject: Subject, point: Point) -> None:
        """See `Reports`."""
        self.points.add(subject, point, servers=len(self._watches))

    async def own(self, server_id: str, application_ids: frozenset[str]) -> frozenset[str]:
        """See `Reports`."""
        known = self._own.get(server_id, frozenset()) & application_ids
        if new := application_ids - known:
            try:
                teams = await self._store.applications.teams_of(new)
            except SQLAlchemyError as error:
                logger.warning("watching servers: the database did not take it: %s", error)
                return known
            team_id = self._teams.get(server_id)
            known |= {application_id for application_id, team in teams.items() if team == team_id}
        self._own[server_id] = known
        return known

    async def _roll_up(self) -> None:
        await self.points.roll_up(self.watched)

    async def _forget(self) -> None:
        await asyncio.sleep(FORGET_SECONDS)
        if self._watches:
            await self.points.forget_old()
            await self._store.watch.forget_old()
            await self._store.replicas.forget_gone()

    async def reached(self, server_id: str, error: SeawayError | None) -> None:
        """See `Reports`."""
        name = self._names[server_id]
        message = f"{name} answers again." if error is None else f"{name}: {error.message}"
        status: ServerStatus | None = ServerStatus.USABLE
        if error is not None:
            # Of a changed host key the alarm is raised by whoever can also show the new one.
            status = None if isinstance(error, HostKeyChanged) else status_after(error.code)
        if await self._store.watch.found_reachable(server_id, self.owner, error is None, message, status):
            logger.warning("%s", message)
        self.happened()

    async def looked(self, server_id: str, reading: HostReading) -> None:
        """See `Reports`."""
        was_above = self._is_disk_above.get(server_id, False)
        threshold = self._settings.disk_threshold_percent
        is_above = is_disk_above(reading.disk_percent, threshold, was_above)
        changes, moment = self._disk_changes[server_id], asyncio.get_running_loop().time()
        may_change = len(changes) < MOST_DISK_CHANGES or moment - changes[0] > DISK_CHANGES_WITHIN_SECONDS
        if is_above is was_above or not may_change:
            return
        message = (
            f"The disk {reading.disk_mount} of {self._names[server_id]} is {reading.disk_percent:.0f} % full "
            f"({reading.disk_bytes / GIGABYTE:.1f} of {reading.disk_total_bytes / GIGABYTE:.1f} GB); "
            f"the threshold is {threshold:g} %."
        )
        await self._store.watch.found_disk(server_id, self.owner, is_above, message, reading.disk_mount)
        self._is_disk_above[server_id] = is_above
        changes.append(moment)
        if is_above and self._disk_filled is not None:
            try:
                await self._disk_filled(server_id)
            except SeawayError as error:
                logger.warning("%s is not cleaned, although its disk is full: %s", server_id, error.message)

    async def stands(self, server_id: str, replicas: Sequence[StandingReplica]) -> None:
        """See `Reports`."""
        if self._replicas.get(server_id) == replicas:
            return
        try:
            await self._store.replicas.write(server_id, replicas)
        except SQLAlchemyError as error:
            logger.warning("watching servers: the database did not take it: %s", error)
            return
        self._replicas[server_id] = replicas
        self.happened()

    async def died(self, server_id: str, event: ContainerEvent, reason: str) -> None:
        """See `Reports`."""
        folders = self._folders(await self._store.servers.get(server_id))
        await self._deaths.tell(server_id, folders, event, reason)


def watcher_of(
    store: Store,
    servers: Servers,
    settings: Settings,
    clean_ups: ServerCleanUps,
    *,
    has_local: Callable[[], bool] = lambda: True,
) -> Watcher:
    """The watcher of a worker process, which has a server cleaned when its disk is full.

    `has_local` is whether a Docker Engine runs beside it.
    """
    watch = WatchSettings(
        period=timedelta(seconds=settings.watch_seconds),
        disk_threshold_percent=settings.disk_threshold_percent,
        kept=settings.kept_metrics,
        local_folder=settings.data_dir,
        check=timedelta(seconds=settings.server_check_seconds),
    )
    upkeep = LocalUpkeep(store, servers)
    disk_filled = clean_ups.start if settings.clean_up_minutes else None
    return Watcher(
        store,
        servers,
        watch,
        happened=wake_pages,
        disk_filled=disk_filled,
        look_after_local=upkeep.look_after,
        has_local=has_local,
    )


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        # A call to an engine that never answers ends with its connection, which is not ours to close.
        await asyncio.wait(tasks, timeout=END_SECONDS)
