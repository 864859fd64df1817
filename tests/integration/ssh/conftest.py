"""SSH servers on this machine, and connections that end with their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import docker
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.ssh.connection import ServerAddress, SshConnection, SshSettings, SshTarget
from adapters.ssh.pool import SshPool
from seaway import remote_servers
from seaway.servers import SeawayServers
from seaway.settings import Settings
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from tests.harness.ssh_daemon import SshDaemon, serve_sshd
from tests.harness.ssh_servers import TINY, SshServer, SshServers
from tests.integration.ssh.provisioner import INSTANCE, Provisioner

# Notices a link that says nothing after 0.6 s, and does not wait long between attempts.
QUICK = SshSettings(
    login_seconds=2,
    keepalive_seconds=0.2,
    first_pause_seconds=0.05,
    longest_pause_seconds=0.2,
    spread_seconds=0.1,
)


# The first run on a machine makes the servers' images.
IMAGES_LIMIT_SECONDS = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The fixture that comes first counts to the time of its test."""
    for item in items:
        if "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(IMAGES_LIMIT_SECONDS))


def target_of(daemon: SshDaemon, **fields: object) -> SshTarget:
    """The way to a server, as whoever pinned its key knows it."""
    known = {
        "address": ServerAddress(daemon.host, daemon.port, daemon.user),
        "private_key": SecretStr(daemon.private_key),
        "host_key": daemon.host_key,
    }
    return SshTarget(**{**known, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshDaemon]:
    """For tests that leave it as it is."""
    with serve_sshd(tmp_path_factory.mktemp("sshd")) as served:
        yield served


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SshDaemon]:
    """For tests that do something to it."""
    with serve_sshd(tmp_path / "sshd") as served:
        yield served


@pytest.fixture(scope="session")
def servers(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServers]:
    """Machines of their own, in containers."""
    with SshServers(engine, tmp_path_factory.mktemp("servers")) as made:
        yield made


@pytest.fixture(scope="session")
def server(servers: SshServers) -> SshServer:
    """One with Docker and a tiny image, for tests that leave it as it is."""
    made = servers.add()
    made.load(TINY)
    return made


def way_to(server: SshServer, user: str = "root", **fields: object) -> SshTarget:
    """The way to such a server."""
    known = {
        "address": ServerAddress(server.host, server.port, user),
        "private_key": SecretStr(server.private_key),
        "host_key": server.host_key,
    }
    return SshTarget(**{**known, **fields})  # type: ignore[arg-type]


Connect = Callable[..., SshConnection]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes connections, and closes them at the end of the test."""
    made: list[SshConnection] = []

    def make(daemon: SshDaemon, settings: SshSettings = QUICK, **fields: object) -> SshConnection:
        made.append(SshConnection(target_of(daemon, **fields), settings))
        return made[-1]

    yield make
    for connection in made:
        await connection.close()


@pytest.fixture
async def provisioner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provisioner]:
    """A team on a database of the test's own, with links that notice quickly what breaks."""
    monkeypatch.setattr(remote_servers, "SshPool", lambda: SshPool(QUICK))
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    store = Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    _, team = await store.access.create_user(
        email="owner@example.test", password=SecretStr("a long enough password"), team_name="Team"
    )
    servers = SeawayServers(store, Settings(data_dir=tmp_path, instance=INSTANCE))
    yield Provisioner(store, servers, team.id)
    await servers.close()
    await database.close()
