"""Servers over SSH, as far as nobody has to reach them."""

from __future__ import annotations

from pathlib import Path

from seaway.remote_servers import RemoteServers
from seaway.settings import Settings
from store.store import Store
from store.tables import Server


async def test_two_rows_of_one_machine_use_its_one_proxy(servers_store: Store, tmp_path: Path):
    servers = RemoteServers(servers_store, Settings(data_dir=tmp_path))
    first, second, other = (
        servers._proxy_token(Server(team_id=team, name=team, host_key=key)).get_secret_value()
        for team, key in (("ours", "ssh-ed25519 A"), ("theirs", "ssh-ed25519 A"), ("ours", "ssh-ed25519 B"))
    )
    assert first == second != other
    await servers.close()
