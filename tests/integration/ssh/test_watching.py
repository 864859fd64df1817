"""Servers watched: this machine's engine, and a real server over SSH."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath

import docker
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from activities.servers import ServerParts
from adapters.connections import RemoteConnections
from adapters.docker import ContainerSpecification, DockerEngine
from adapters.ssh.connection import SshConnection
from adapters.ssh.files import SftpHostFiles
from adapters.ssh.forwarding import DockerSocketForward
from adapters.ssh.reach import SshReach
from domain.configuration import ApplicationConfiguration, ImageSource, ResourceLimits
from domain.errors import EngineUnavailable
from domain.metrics import AS_MEASURED, Point
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from seaway.local_server import LocalServer
from seaway.runtime_view import ServersView
from seaway.settings import Settings
from seaway.watcher import Watcher, WatchSettings
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Application, Server
from tests.harness.images import BaseImages
from tests.harness.ssh_servers import TINY, SshServer, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import QUICK, way_to

PLACES = ("here", "far")
PROCESSOR_SHARE = 0.2
SHARE = ResourceLimits(nano_cpus=int(PROCESSOR_SHARE * 10**9))


@dataclass
class Watched:
    """A store with two servers and an application on both, a watcher of them, and the far machine."""

    store: Store
    machine: SshServer
    engines: dict[str, DockerEngine]
    view: ServersView
    application_id: str
    changes: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def replica(self, place: str, script: str) -> AsyncIterator[str]:
        """A replica that runs the script with a fifth of a processor."""
        name = f"seaway-test-{uuid.uuid4().hex[:8]}"
        labels = {
            "seaway.managed": "true",
            "seaway.role": "replica",
            "seaway.application": self.application_id,
        }
        specification = ContainerSpecification(
            name=name, image=TINY, command=("sh", "-c", script), labels=labels, limits=SHARE
        )
        await self.engines[place].ensure_container(specification)
        await self.engines[place].start(name)
        try:
            yield name
        finally:
            await self.engines[place].remove(name)

    async def events(self, place: str, kind: ServerEventKind) -> list[str]:
        """What the events of this kind say, oldest first."""
        found = await self.store.watch.events(place)
        return [event.message for event in reversed(found) if event.kind == kind]

    async def newest(self, place: str) -> Point | None:
        """The last sample of a server."""
        span = {"since": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC)}
        points = await self.store.metrics.of_server(place, step_seconds=AS_MEASURED, **span)
        return points[-1] if points else None


class Both:
    """The local server, and one over a link that notices quickly when it breaks."""

    def __init__(self, parts: dict[str, ServerParts]) -> None:
        self._parts = parts

    async def parts(self, server_id: str) -> ServerParts:
        return self._parts[server_id]

    async def link(self, server_id: str) -> SshConnection:
        raise NotImplementedError

    async def forget(self, server_id: str) -> None:
        raise NotImplementedError


@pytest.fixture(scope="module")
async def watched(
    base_images: BaseImages,
    engine: docker.DockerClient,
    servers: SshServers,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Watched]:
    machine = await asyncio.to_thread(servers.add)
    await asyncio.to_thread(machine.load, TINY)
    folder = tmp_path_factory.mktemp("watched")
    async with AsyncExitStack() as stack:
        local = LocalServer(Settings(data_dir=folder))
        stack.push_async_callback(local.close)
        parts = {"here": local.parts, "far": await far_parts(machine, stack)}
        store = await make_store(folder, stack)
        application_id = await make_application(store)
        both = Both(parts)
        engines = {place: one.engine for place, one in parts.items()}
        watched = Watched(store, machine, engines, ServersView(store, both), application_id)
        watcher = Watcher(
            store,
            both,
            WatchSettings(period=timedelta(seconds=1), local_folder=folder),
            happened=lambda: watched.changes.append(time.monotonic()),
        )
        await stack.enter_async_context(watcher)
        yield watched


async def far_parts(machine: SshServer, stack: AsyncExitStack) -> ServerParts:
    connection = SshConnection(way_to(machine), QUICK)
    stack.push_async_callback(connection.close)
    forward = await stack.enter_async_context(DockerSocketForward(connection))
    engine = DockerEngine(forward.socket_path)
    stack.push_async_callback(engine.close)
    return ServerParts(
        engine=engine,
        proxy=None,  # type: ignore[arg-type]
        reach=SshReach(connection),
        files=SftpHostFiles(connection, PurePosixPath("/var/lib/seaway")),
        network="seaway",
        commands=connection,
        connections=RemoteConnections(connection),
        is_local=False,
    )


async def make_store(folder: Path, stack: AsyncExitStack) -> Store:
    database = Database(f"sqlite:///{folder / 'seaway.db'}")
    stack.push_async_callback(database.close)
    await database.migrate()
    return Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))


async def make_application(store: Store) -> str:
    _, team = await store.access.create_user(
        email="owner@example.test", password=SecretStr("a long enough password"), team_name="Team"
    )
    project = await store.projects.create(team_id=team.id, name="Project")
    environment = (await store.projects.environments(project.id))[0]
    here = Server(id="here", name="here", team_id=team.id, is_local=True)
    far = Server(id="far", name="far", team_id=team.id, data_folder="/var/lib/docker")
    async with store.database.writing() as session:
        for server in (here, far):
            server.status, server.is_usable = ServerStatus.USABLE, True
            session.add(server)
    row = Application(team_id=team.id, environment_id=environment.id, name="shop", configuration_sealed="")
    configuration = ApplicationConfiguration(
        application_id=row.id,
        name="shop",
        team_id=team.id,
        project_id=project.id,
        server_ids=("far",),
        source=ImageSource(reference="shop"),
    )
    await store.applications.create(row, configuration)
    return row.id


def memory_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("MemTotal:")).split()[1]) * 1024


def load() -> float:
    return float(Path("/proc/loadavg").read_text().split()[0])


async def test_what_is_measured_of_a_server_is_what_it_says_itself(watched: Watched):
    for place in PLACES:
        point = await eventually(partial(watched.newest, place), 60)
        assert point.memory_total_bytes == memory_bytes()
        assert 0 < point.average.memory_bytes < point.memory_total_bytes
        assert 0 <= point.average.cpu_percent <= 100
        assert point.average.load == pytest.approx(load(), abs=6)
    here = await watched.newest("here")
    assert here is not None
    fullest = max(map(shutil.disk_usage, ("/", "/var/lib/docker")), key=lambda disk: disk.used / disk.total)
    assert here.average.disk_bytes == pytest.approx(fullest.used, rel=0.2)


async def test_a_replica_with_a_fifth_of_a_processor_uses_a_fifth_of_one(watched: Watched):
    now = datetime.now(UTC)

    async def shares() -> dict[str, float] | None:
        span = {"since": now, "until": datetime.now(UTC)}
        found = await watched.store.metrics.of_application(
            watched.application_id, step_seconds=AS_MEASURED, **span
        )
        steady = {
            # A busy machine may hold one reading back, which makes one point too low and the next too high.
            subject.server_id: statistics.median(point.average.cpu_percent for point in points)
            for subject, points in found.items()
            if len(points) >= 5
        }
        return steady if len(steady) == len(PLACES) else None

    busy = "while :; do :; done"
    async with watched.replica("here", busy), watched.replica("far", busy):
        # A look takes as long as the engine does, and those of a busy machine are not one a second.
        found = await eventually(shares, 100)
    for share in found.values():
        assert share == pytest.approx(100 * PROCESSOR_SHARE, abs=10)


@pytest.mark.parametrize("place", PLACES)
async def test_a_death_is_known_within_a_second(watched: Watched, place: str):
    async with watched.replica(place, "sleep 1000") as name:
        await eventually(lambda: bool(watched.changes))
        killed = time.monotonic()
        await watched.engines[place].call(lambda client: client.kill(name))

        async def told() -> list[str]:
            died = await watched.events(place, ServerEventKind.CONTAINER_DIED)
            return [message for message in died if name in message]

        assert await eventually(told, 5, interval_seconds=0.02) == [
            f"The replica {name} died with exit code 137."
        ]
        assert time.monotonic() - killed < 1
        assert any(at > killed for at in watched.changes)
        assert await watched.view.status(watched.application_id) == "exited"

        async def state() -> dict[str, str]:
            return {one.replica: one.state for one in await watched.store.replicas.on_server(place)}

        await eventually(lambda: _is_exited(state, name), 5, interval_seconds=0.02)
        assert time.monotonic() - killed < 3


async def _is_exited(states: Callable[[], Awaitable[dict[str, str]]], name: str) -> bool:
    return (await states()).get(name) == "exited"


async def test_a_server_behind_a_cut_link_is_unknown_and_told_of_once(watched: Watched):
    async def told(kind: ServerEventKind, count: int) -> bool:
        return len(await watched.events("far", kind)) == count

    async with watched.replica("far", "sleep 1000"):
        assert (await watched.view.status(watched.application_id)).startswith("running")
        await asyncio.to_thread(watched.machine.cut)
        try:
            await eventually(lambda: told(ServerEventKind.UNREACHABLE, 1), 30)
            far = await watched.store.servers.get("far")
            assert far.status == ServerStatus.UNREACHABLE
            asked = time.monotonic()
            assert await watched.view.status(watched.application_id) == "unknown:unknown"
            assert watched.application_id in await watched.view.statuses(team_id=far.team_id)
            assert time.monotonic() - asked < 1  # no page waits for a server that is known to be silent
        finally:
            await asyncio.to_thread(watched.machine.heal)
        await eventually(lambda: told(ServerEventKind.REACHABLE_AGAIN, 1), 30)
        assert await told(ServerEventKind.UNREACHABLE, 1)
        assert (await watched.store.servers.get("far")).status == ServerStatus.USABLE
        assert (await watched.view.status(watched.application_id)).startswith("running")


async def test_events_are_heard_again_after_the_link_was_cut(watched: Watched):
    async with watched.replica("far", "sleep 1000") as name:

        async def heard() -> bool:
            await watched.engines["far"].call(lambda client: client.kill(name))
            return True

        await eventually(heard, ignored=(EngineUnavailable,))

        async def told() -> bool:
            return any(name in one for one in await watched.events("far", ServerEventKind.CONTAINER_DIED))

        assert await eventually(told, 20)
