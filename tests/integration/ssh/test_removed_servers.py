"""What a process keeps of servers that another one has removed."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest
from pydantic import SecretStr

from seaway import remote_servers
from seaway.remote_servers import RemoteServers
from seaway.settings import Settings
from store.store import Store
from store.tables import PrivateKey, Server
from tests.harness.ssh_daemon import SshDaemon
from tests.harness.waiting import eventually
from tests.unit.conftest import refilled_servers, servers_store

__all__ = ["refilled_servers", "servers_store"]


async def test_a_connection_to_a_server_that_was_removed_elsewhere_ends_and_others_stay(
    servers_store: Store,
    tmp_path: Path,
    daemon: SshDaemon,
    shared_daemon: SshDaemon,
    engine: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_servers, "SWEEP_SECONDS", 0.2)

    async def added(name: str, there: SshDaemon) -> Server:
        key = PrivateKey(team_id="team", name=name, private_key_sealed="", public_key=name)
        await servers_store.servers.add_key(key, SecretStr(there.private_key))
        row = Server(
            team_id="team",
            name=name,
            address=there.host,
            port=there.port,
            user=there.user,
            host_key=there.host_key,
            private_key_id=key.id,
        )
        return await servers_store.servers.create(row)

    going, staying = await added("going", daemon), await added("staying", shared_daemon)
    servers = RemoteServers(servers_store, Settings(data_dir=tmp_path))
    try:
        for row in (going, staying):
            # The engine's client keeps its connection open from now on.
            await (await servers.parts(row)).engine.ping()
        ended, open_one = await servers.link(going), await servers.link(staying)
        await servers_store.servers.forget(going.id)
        await eventually(lambda: daemon.sessions() == [])
        assert not ended.is_connected
        assert open_one.is_connected
    finally:
        await servers.close()
