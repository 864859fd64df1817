"""One server watched: what it and its replicas use at every period, and what happens to containers, live."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from activities.servers import ServerParts, Servers
from activities.together import all_or_none
from adapters.control_groups import read_groups
from adapters.docker.states import ContainerState
from adapters.docker.watching import ListedContainer
from adapters.host_metrics import read_host
from domain.errors import NotFound, SeawayError, ServerUnreachable
from domain.metrics import ContainerReading, HostReading, Point, container_point, host_point
from domain.replica_states import StandingReplica, replica_state
from domain.replicas import APPLICATION_LABEL, MANAGED
from domain.server_events import ContainerEvent, Deaths
from domain.services import application_of
from store.metrics import Subject

logger = logging.getLogger("seaway.watch")

CALLS_AT_ONCE: Final = 4
# A look that takes longer finds the server unreachable; it goes on, and no other begins before it has ended.
LOOK_LIMIT_SECONDS: Final = 15.0
# One failure may be a hiccup: the next look decides, or that the first took as long as no hiccup does.
RETRY_SECONDS: Final = 1.0
HICCUP_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 15.0
# What happens to several containers at once is looked at once.
SETTLING_SECONDS: Final = 0.2
# A server may say that it has as many as it likes.
MOST_REPLICAS: Final = 1000
MOST_APPLICATIONS: Final = 5000
# What Docker takes for a name. It is part of a key in the database; Seaway gives none of half this length.
NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
LONGEST_PATH: Final = 4096


class Reports(Protocol):
    """Who is told. The methods that wait write to the database, or read it."""

    async def own(self, server_id: str, application_ids: frozenset[str]) -> frozenset[str]:
        """Those of these applications that belong to the server's team."""
        ...

    def used(self, subject: Subject, point: Point) -> None:
        """What a server or a replica used."""
        ...

    def happened(self) -> None:
        """Something changed that pages may show."""
        ...

    async def stands(self, server_id: str, replicas: Sequence[StandingReplica]) -> None:
        """How all replicas on the server stand now, in order."""
        ...

    async def died(self, server_id: str, event: ContainerEvent, reason: str) -> None:
        """A replica died by itself, or the proxy did."""
        ...

    async def reached(self, server_id: str, error: SeawayError | None) -> None:
        """Whether the server answers, told when that changes; the error is why it does not."""
        ...

    async def looked(self, server_id: str, reading: HostReading) -> None:
        """The counters of the server itself, for its disk."""
        ...


class ServerWatch:
    """Watches until it is cancelled. At most one look is under way, however slow the server is."""

    def __init__(
        self,
        server_id: str,
        servers: Servers,
        reports: Reports,
        *,
        period_seconds: float,
        delay_seconds: float = 0.0,
        folders: Sequence[str] = (),
        since: datetime | None = None,
    ) -> None:
        """`folders` are those whose disks matter; the first look is after `delay_seconds`.

        What happened `since` then, when maybe nobody watched, is told too.
        """
        self._id = server_id
        self._servers = servers
        self._reports = reports
        self._period_seconds = period_seconds
        self._delay_seconds = delay_seconds
        self._folders = tuple(folders)
        self._disk_folders: tuple[str, ...] | None = None
        self._host: HostReading | None = None
        self._containers: dict[str, ContainerReading] = {}
        self._is_engine_blind = False
        self._is_host_mute = False
        self._told: bool | None = None
        self._failing_since: float | None = None
        self._look_now = asyncio.Event()
        self._deaths = Deaths(began=datetime.now(UTC))
        self._changed = asyncio.Event()
        self._listing = asyncio.Lock()
        self._since = since
        self._heard_until: datetime | None = None

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_again_and_again())
            tasks.create_task(self._listen())
            tasks.create_task(self._list_after_changes())

    async def _look_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._delay_seconds)
        due = loop.time()
        while True:
            self._look_now.clear()
            await self._look()
            # What was missed while a look took longer is not made up for.
            due = max(due + self._period_seconds, loop.time())
            pause = due - loop.time()
            if self._failing_since is not None and self._told is not False:
                pause = min(pause, RETRY_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look_now.wait()
                    await asyncio.sleep(min(RETRY_SECONDS, pause))

    async def _look(self) -> None:
        began = asyncio.get_running_loop().time()
        look = asyncio.create_task(self._read())
        try:
            done, _ = await asyncio.wait({look}, timeout=LOOK_LIMIT_SECONDS)
            if not done:
                limit = f"{LOOK_LIMIT_SECONDS:g} s"
                await self._tell(ServerUnreachable(f"The server gave no answer within {limit}."))
                await asyncio.wait({look})
        finally:
            look.cancel()
        error = look.exception()
        if isinstance(error, SeawayError):
            await self._failed(error, began)
        elif error is not None:
            logger.error("looking at the server %s failed", self._id, exc_info=error)
        elif done:
            # An answer that came too late is none, or a slow server would come and go.
            self._failing_since = None
            await self._tell(None)

    async def _failed(self, error: SeawayError, began: float) -> None:
        if isinstance(error, NotFound):
            return
        is_first = self._failing_since is None
        self._failing_since = began if is_first else self._failing_since
        if not is_first or asyncio.get_running_loop().time() - began >= HICCUP_SECONDS:
            await self._tell(error)

    async def _tell(self, error: SeawayError | None) -> None:
        is_reachable = error is None
        if is_reachable is not self._told:
            await self._reports.reached(self._id, error)
            self._told = is_reachable

    async def _read(self) -> None:
        parts = await self._servers.parts(self._id)
        folders = self._disk_folders if self._disk_folders is not None else self._folders
        reading = await read_host(parts.commands, folders)
        if reading is not None:
            if self._host is not None and (point := host_point(self._host, reading)) is not None:
                self._reports.used(Subject(self._id), point)
            self._host = reading
            await self._reports.looked(self._id, reading)
        elif not self._is_host_mute:
            logger.warning("the server %s does not tell what it uses", self._id)
        self._is_host_mute = reading is None
        if self._disk_folders is None:
            root = await parts.engine.data_root()
            self._disk_folders = (*self._folders, *([root] if 0 < len(root) <= LONGEST_PATH else []))
        await self._read_containers(parts)

    async def _read_containers(self, parts: ServerParts) -> None:
        running = [
            # Tasks of a Swarm say elsewhere whose they are.
            replace(one, labels={APPLICATION_LABEL: application_of(one.labels)})
            for one in await self._list_replicas(parts)
            if one.state == "running"
        ]
        found = [] if self._is_engine_blind else await self._by_engine(parts, running)
        if running and not found:
            found = await self._by_kernel(parts, running)
            self._is_engine_blind = self._is_engine_blind or bool(found)
        earlier, self._containers = self._containers, {one.name: one for one in found}
        now = datetime.now(UTC)
        for reading in found:
            before = earlier.get(reading.name)
            if before is not None and (point := container_point(before, reading, now)) is not None:
                subject = Subject(self._id, reading.application_id, reading.name)
                self._reports.used(subject, point)

    async def _list_replicas(self, parts: ServerParts) -> Sequence[ListedContainer]:
        """The replicas on the server, told as they stand."""
        # An older list must not be told after a newer one.
        async with self._listing:
            found = await self._own(await parts.engine.listed(MANAGED))
            standing = sorted(
                StandingReplica(
                    application_of(one.labels),
                    one.name,
                    replica_state(one.state, is_unhealthy=one.is_unhealthy),
                )
                for one in found
            )
            await self._reports.stands(self._id, standing)
        return found

    async def _own(self, listed: Sequence[ListedContainer]) -> list[ListedContainer]:
        """Replicas of the server's team. A server in other hands may name whatever it likes."""
        named = sorted(
            (
                one
                for one in listed
                if NAME.fullmatch(one.name) and NAME.fullmatch(application_of(one.labels))
            ),
            key=lambda one: one.name,
        )
        # Others than the team's may be many, on a machine of several Seaways.
        ids = sorted({application_of(one.labels) for one in named})[:MOST_APPLICATIONS]
        own = await self._reports.own(self._id, frozenset(ids))
        return [one for one in named if application_of(one.labels) in own][:MOST_REPLICAS]

    async def _list_after_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLING_SECONDS)
            self._changed.clear()
            # What goes wrong here is found by the next look too, and told by it.
            with contextlib.suppress(SeawayError, SQLAlchemyError):
                await self._list_replicas(await self._servers.parts(self._id))

    async def _by_engine(
        self, parts: ServerParts, running: Sequence[ListedContainer]
    ) -> list[ContainerReading]:
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def read(container: ListedContainer) -> ContainerReading | None:
            async with places:
                return await parts.engine.usage(container)

        return [one for one in await all_or_none(map(read, running)) if one is not None]

    async def _by_kernel(
        self, parts: ServerParts, running: Sequence[ListedContainer]
    ) -> list[ContainerReading]:
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def inspect(container: ListedContainer) -> ContainerState | None:
            async with places:
                return await parts.engine.inspect(container.name)

        states = await all_or_none(map(inspect, running))
        processes = {
            state.pid: (state.name, application_of(state.labels))
            for state in states
            if state is not None and state.running and state.pid > 0
        }
        return await read_groups(parts.commands, processes) if processes else []

    async def _listen(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._hear()
            except SeawayError as error:
                logger.debug("the events of the server %s end: %s", self._id, error.message)
            except SQLAlchemyError as error:
                logger.warning("watching servers: the database did not take it: %s", error)
            # It ended: something is wrong with the server, or was.
            self._look_now.set()
            lasted = asyncio.get_running_loop().time() - began
            pause = FIRST_PAUSE_SECONDS if lasted > LONGEST_PAUSE_SECONDS else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _hear(self) -> None:
        parts = await self._servers.parts(self._id)
        heard_until = self._heard_until
        happenings = parts.engine.happenings(MANAGED, heard_until or self._since)
        async with aclosing(happenings) as events:  # type: ignore[type-var]
            async for event in events:
                # Whoever asks for what happened since a moment is told that moment's again. What happens at
                # once to several containers comes in any order.
                is_known = heard_until is not None and event.at <= heard_until
                if is_known or not _is_credible(event):
                    continue
                self._reports.happened()
                self._changed.set()
                if (reason := self._deaths.hear(event)) is not None:
                    await self._reports.died(self._id, event, reason)
                # Last, so that what could not be told is heard again.
                self._heard_until = max(event.at, self._heard_until or event.at)


def _is_credible(event: ContainerEvent) -> bool:
    """Whether an engine of Docker can have sent it, and the database takes its names."""
    application_id = application_of(event.labels)
    return all(NAME.fullmatch(name) for name in (event.name, application_id or event.name))
