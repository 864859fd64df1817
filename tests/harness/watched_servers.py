"""Stand-ins for servers that are watched, and for who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.docker.watching import ListedContainer
from adapters.host_commands import Completed
from domain.errors import EngineUnavailable, SeawayError
from domain.metrics import ContainerReading, HostReading, Point
from domain.replica_states import ReplicaState, StandingReplica
from domain.server_events import ContainerAction, ContainerEvent
from seaway.server_watch import ServerWatch
from store.metrics import Subject

PERIOD_SECONDS = 0.05
HOSTILE_NAMES = ("a\0", "a\n", "a\ud800", "a b", "ä", "")
LABELS = {"seaway.application": "shop", "seaway.role": "replica", "seaway.managed": "true"}
REPLICA = ListedContainer("shop-r-1", "running", LABELS)


@dataclass
class FakeServer:
    """A server whose clock runs 10 s a look. `errors` are what the next looks end with."""

    errors: list[SeawayError] = field(default_factory=list)
    failure: SeawayError | None = None
    seconds: float = 0.0
    looks: int = 0
    at_once: int = 0
    most_at_once: int = 0
    disk_percent: int = 10
    answer: str = ""
    containers: list[ListedContainer] = field(
        default_factory=lambda: [REPLICA, ListedContainer("shop-r-2", "exited", LABELS)]
    )
    events: asyncio.Queue[ContainerEvent | None] = field(default_factory=asyncio.Queue)
    listeners: int = 0
    since: list[datetime | None] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def parts(self, server_id: str) -> Any:
        @dataclass
        class Parts:
            commands: FakeServer
            engine: FakeServer

        return Parts(self, self)

    async def run(self, arguments: Sequence[str], **limits: object) -> Completed:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.errors:
            raise self.errors.pop(0)
        if self.failure is not None:
            raise self.failure
        self.looks += 1
        jiffies = f"cpu {self.looks * 250} 0 0 {self.looks * 750} 0 0 0 0 0 0"
        disk = f"/dev/vda 100 {self.disk_percent} {100 - self.disk_percent} {self.disk_percent}% /"
        text = f"{jiffies}\ncpu0\nMemTotal: 400 kB\nMemAvailable: 300 kB\nload 0.5\n{disk}"
        return Completed(0, self.answer or text, "")

    async def data_root(self) -> str:
        return "/var/lib/docker"

    async def listed(self, labels: Mapping[str, str]) -> list[ListedContainer]:
        return self.containers

    async def usage(self, container: ListedContainer) -> ContainerReading:
        assert container.state == "running"
        at = self.began + self.looks * timedelta(seconds=10)
        return ContainerReading(at, container.name, "shop", self.looks * 5 * 10**9, 1, 2, 0, 0)

    async def happenings(
        self, labels: Mapping[str, str], since: datetime | None
    ) -> AsyncIterator[ContainerEvent]:
        self.listeners += 1
        self.since.append(since)
        while (event := await self.events.get()) is not None:
            yield event
        raise EngineUnavailable("The link broke.")

    def dies(self, name: str = "shop-r-1", at: datetime | None = None) -> None:
        event = ContainerEvent(at or datetime.now(UTC), ContainerAction.DIE, name, LABELS, exit_code=3)
        self.events.put_nowait(event)


@dataclass
class Told:
    """Remembers what it was told."""

    points: list[tuple[Subject, Point]] = field(default_factory=list)
    reachable: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    standing: dict[str, ReplicaState] = field(default_factory=dict)
    changes: int = 0
    refusals: list[Exception] = field(default_factory=list)

    async def own(self, server_id: str, application_ids: frozenset[str]) -> frozenset[str]:
        return application_ids - {"theirs"}

    def used(self, subject: Subject, point: Point) -> None:
        self.points.append((subject, point))

    def happened(self) -> None:
        self.changes += 1

    async def stands(self, server_id: str, replicas: Sequence[StandingReplica]) -> None:
        self.standing = {one.name: one.state for one in replicas}

    async def died(self, server_id: str, event: ContainerEvent, reason: str) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.deaths.append(event.name)

    async def reached(self, server_id: str, error: SeawayError | None) -> None:
        self.reachable.append(error.message if error else "yes")

    async def looked(self, server_id: str, reading: HostReading) -> None:
        pass


@asynccontextmanager
async def watching(server: FakeServer, period_seconds: float = PERIOD_SECONDS) -> AsyncIterator[Told]:
    """The server is watched meanwhile."""
    told = Told()
    watch = ServerWatch("far", server, told, period_seconds=period_seconds)  # type: ignore[arg-type]
    task = asyncio.create_task(watch.run())
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
