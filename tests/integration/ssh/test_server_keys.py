"""The host keys of real SSH servers, as whoever adds a server gets to see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from domain.errors import NotPossibleNow, ServerUnreachable
from domain.host_keys import fingerprint_of
from seaway.server_keys import SshHostKeys, SshKeyPairs
from seaway.servers import SeawayServers
from seaway.settings import Settings
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import PrivateKey, Server, Team
from tests.harness.processes import refusing_port
from tests.harness.ssh_daemon import SshDaemon


@dataclass
class Installation:
    """A store, and what reads host keys for it."""

    store: Store
    team: Team
    host_keys: SshHostKeys

    async def add(self, daemon: SshDaemon, **values: object) -> Server:
        """The server as somebody would add it."""
        pair = await SshKeyPairs().read(SecretStr(daemon.private_key))
        key = PrivateKey(team_id=self.team.id, name="key", private_key_sealed="", public_key=pair.public_key)
        await self.store.servers.add_key(key, pair.private_key)
        known = {"address": daemon.host, "port": daemon.port, "user": daemon.user, "private_key_id": key.id}
        server = Server(team_id=self.team.id, name=f"server {key.id}", **{**known, **values})  # type: ignore[arg-type]
        return await self.store.servers.create(server)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    store = Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    team = Team(name="team")
    async with database.writing() as session:
        session.add(team)
    servers = SeawayServers(store, Settings(data_dir=tmp_path))
    yield Installation(store, team, SshHostKeys(store, servers))
    await servers.close()
    await database.close()


async def test_first_contact_shows_the_key_without_logging_in(
    installation: Installation, daemon: SshDaemon
) -> None:
    shown = await installation.host_keys.shown_by(await installation.add(daemon))
    assert shown.text == daemon.host_key
    assert shown.fingerprint == fingerprint_of(daemon.host_key)
    assert daemon.log_ins() == 0


async def test_first_contact_goes_over_the_jump_server_once_that_is_known(
    installation: Installation, shared_daemon: SshDaemon, daemon: SshDaemon
) -> None:
    gate = await installation.add(daemon)
    behind = await installation.add(shared_daemon, jump_server_id=gate.id)
    with pytest.raises(NotPossibleNow, match="host key"):
        await installation.host_keys.shown_by(behind)
    await installation.store.servers.set(gate.id, host_key=daemon.host_key)
    assert (await installation.host_keys.shown_by(behind)).text == shared_daemon.host_key
    assert daemon.log_ins() == 1


async def test_a_closed_port_is_said_to_be_one(installation: Installation, shared_daemon: SshDaemon) -> None:
    server = await installation.add(shared_daemon, port=refusing_port())
    with pytest.raises(ServerUnreachable, match="refused"):
        await installation.host_keys.shown_by(server)
