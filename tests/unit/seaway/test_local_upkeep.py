"""What is done about a proxy that does not answer on the server that Seaway itself runs on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from activities import proxy_keeping
from domain.errors import ReplicaRefused, SeawayError
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from seaway.local_upkeep import LocalUpkeep
from store.store import Store

IN_USE = "The port 0.0.0.0:80 is already in use on this server. Free it or choose another host port."


class LocalProxy:
    """Runs or not, and can be started or not."""

    def __init__(self) -> None:
        self.runs = True
        self.refusal: SeawayError | None = None
        self.started = 0

    async def parts(self, _server_id: str) -> Any:
        return SimpleNamespace(proxy=self)

    async def answers(self) -> bool:
        return self.runs

    async def ensure_running(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.runs = True
        self.started += 1


async def told(store: Store) -> list[str]:
    return [event.kind for event in reversed(await store.watch.events("local"))]


async def test_a_dead_proxy_is_started_or_else_the_server_tells_why_not(
    servers_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_keeping, "HICCUP_SECONDS", 0.0)
    proxy = LocalProxy()
    servers: Any = proxy
    upkeep = LocalUpkeep(servers_store, servers)
    await upkeep.look_after("local")
    assert (proxy.started, await told(servers_store)) == (0, [])

    proxy.runs = False
    await upkeep.look_after("local")
    assert (proxy.started, await told(servers_store)) == (1, [ServerEventKind.PROXY_UP])

    proxy.runs, proxy.refusal = False, ReplicaRefused(IN_USE)
    for _ in range(2):
        await upkeep.look_after("local")
    row = await servers_store.servers.get("local")
    assert (row.status, row.is_usable) == (ServerStatus.NOT_USABLE, False)
    assert IN_USE in row.status_message
    assert (await told(servers_store))[1:] == [ServerEventKind.PROXY_DOWN]

    proxy.refusal = None
    await upkeep.look_after("local")
    row = await servers_store.servers.get("local")
    assert (row.status, row.status_message, row.is_usable) == (ServerStatus.USABLE, "", True)
    assert (await told(servers_store))[2:] == [ServerEventKind.PROXY_UP]
