"""The cache of builds, on an engine of its own: pruning it here would take the cache of every other test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities import server_clean_up
from activities.server_clean_up import ServerCleanUpActivities
from activities.servers import Servers
from adapters.buildkit import BuildKit, BuildRequest
from adapters.docker import DockerEngine
from adapters.docker.specifications import ContainerSpecification
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from domain.replicas import application_labels
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Server, Team
from tests.harness.ssh_servers import TINY, SshServer, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import way_to

LIMIT = timedelta(seconds=60)
TAG = "seaway-test-cache:1"
OURS = "seaway/shop:1"
NO_TIME = timedelta(0)
CONTAINERD = '{"features": {"containerd-snapshotter": true}}'
LABELS = application_labels("shop")


@pytest.fixture(scope="module")
def machine(servers: SshServers) -> SshServer:
    """With no image but one that Seaway might have pulled."""
    made = servers.add()
    made.load(TINY)
    for command in (("tag", TINY, "seaway/tiny:1"), ("image", "rm", TINY)):
        assert made.run("docker", *command)[0] == 0
    return made


@asynccontextmanager
async def engine_of(machine: SshServer) -> AsyncIterator[DockerEngine]:
    connection = SshConnection(way_to(machine))
    async with DockerSocketForward(connection) as forward:
        made = DockerEngine(forward.socket_path)
        yield made
        await made.close()
    await connection.close()


@pytest.fixture
async def remote_engine(machine: SshServer) -> AsyncIterator[DockerEngine]:
    async with engine_of(machine) as made:
        yield made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


async def build(
    engine: DockerEngine, folder: Path, labels: dict[str, str] | None = None, tag: str = TAG
) -> None:
    (folder / "Dockerfile").write_text(
        f"FROM seaway/tiny:1\nRUN head -c 3000000 /dev/zero >/tmp/{folder.name}\n"
    )
    request = BuildRequest(
        context=folder,
        dockerfile=folder / "Dockerfile",
        tag=tag,
        target="",
        arguments={},
        secrets={},
        labels=labels or {},
        use_cache=True,
        pull=False,
    )
    await BuildKit().build(request, engine_socket=engine.socket, on_line=lambda _: None, timeout=LIMIT)


async def test_what_has_gathered_is_measured_and_goes_when_it_is_too_much(
    remote_engine: DockerEngine, tmp_path: Path
):
    await build(remote_engine, tmp_path)
    await remote_engine.remove_image(TAG)
    gathered = await remote_engine.build_cache_bytes()
    assert gathered >= 3_000_000
    assert await remote_engine.prune_build_cache(keep_bytes=2 * gathered, unused_for=NO_TIME) == 0
    assert await remote_engine.prune_build_cache(keep_bytes=0, unused_for=timedelta(days=1)) == 0
    # Engines count in whole seconds since the last use.
    freed = await eventually(lambda: remote_engine.prune_build_cache(keep_bytes=0, unused_for=NO_TIME))
    assert freed >= 3_000_000
    assert await remote_engine.build_cache_bytes() < 3_000_000


async def test_the_cache_of_an_engine_that_others_use_too_is_not_touched(
    remote_engine: DockerEngine,
    machine: SshServer,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(server_clean_up, "CACHE_UNUSED_FOR", NO_TIME)

    @dataclass
    class OneServer:
        parts_of_it: SimpleNamespace

        async def parts(self, server_id: str) -> SimpleNamespace:
            assert server_id == "far"
            return self.parts_of_it

    # Applications run on it, and are built there because nobody said otherwise.
    async with store.database.writing() as session:
        session.add(Team(id="team", name="Team"))
        session.add(Server(id="far", name="far", team_id="team", is_build_server=False))
    far = cast(Servers, OneServer(SimpleNamespace(engine=remote_engine, swarm=None)))
    activities = ServerCleanUpActivities(store, far, build_cache_bytes=1_000_000)

    async def clean() -> str:
        outcome = await ActivityEnvironment().run(activities.clean_up_server, m.ServerTask(server_id="far"))
        return outcome.message

    async def stays_because_of(name: str) -> None:
        said = await clean()
        assert said.endswith(f"others use this Docker Engine too: {name} is not Seaway's.")
        assert not said.startswith("Removed")

    # Of somebody's own builds, the newest image is left, and the cache of an earlier one.
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        await build(remote_engine, tmp_path / name)
        if name == "first":
            await remote_engine.remove_image(TAG)
    await stays_because_of(TAG)
    await remote_engine.remove_image(TAG)
    assert machine.run("docker", "create", "--name", "theirs", "seaway/tiny:1", "true")[0] == 0
    await stays_because_of("theirs")
    assert machine.run("docker", "rm", "theirs")[0] == 0
    assert await remote_engine.build_cache_bytes() >= 3_000_000

    # A name counts, and labels do not: an image inherits them from Seaway's that it is built upon.
    await build(remote_engine, tmp_path, LABELS)
    await stays_because_of(TAG)
    # What somebody has built and Seaway deploys by its name has both names.
    await remote_engine.tag(TAG, OURS)
    await stays_because_of(TAG)

    # What is left now is Seaway's.
    await remote_engine.remove_image(TAG)
    assert await remote_engine.strangers() == []
    await remote_engine.remove_image(OURS)

    async def is_limited() -> bool:
        # Engines count in whole seconds since the last use.
        await clean()
        return await remote_engine.build_cache_bytes() < 3_000_000

    assert await eventually(is_limited, 20)


async def test_where_containerd_keeps_the_images_each_that_is_not_ours_keeps_the_cache(
    servers: SshServers, tmp_path: Path
):
    """There an image that was built has a digest like one that was pulled."""
    machine = await asyncio.to_thread(servers.add)
    await asyncio.to_thread(machine.stop_engine)
    await asyncio.to_thread(machine.run, "sh", "-c", f"echo '{CONTAINERD}' >/etc/docker/daemon.json")
    await asyncio.to_thread(machine.start_engine)
    await asyncio.to_thread(machine.load, TINY)
    for command in (("tag", TINY, "seaway/tiny:1"), ("image", "rm", TINY)):
        assert (await asyncio.to_thread(machine.run, "docker", *command))[0] == 0
    async with engine_of(machine) as engine:
        assert await engine.has_containerd_store()
        await build(engine, tmp_path)
        [listed] = await engine.call(lambda client: client.images(TAG))
        assert listed["RepoDigests"]
        assert await engine.strangers() == [TAG]
        specification = ContainerSpecification(name="theirs", image=TAG, command=("true",), labels=LABELS)
        await engine.ensure_container(specification)
        assert await engine.strangers() == []
