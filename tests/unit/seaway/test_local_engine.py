"""A worker whose Docker Engine starts later, or not as it should."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import EngineUnavailable, StartUpError
from domain.servers import NO_ENGINE, ServerStatus
from seaway import local_engine
from seaway.local_engine import LocalEngine
from seaway.servers import SeawayServers
from seaway.settings import Settings
from store.store import Store
from tests.harness.waiting import eventually

IN_USE = "The proxy cannot start: port 80 is in use."


class Engine:
    """Answers or not."""

    def __init__(self) -> None:
        self.runs = False
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if not self.runs:
            raise EngineUnavailable("The Docker Engine does not answer.")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(local_engine, "LOOK_SECONDS", 0.01)
    return Engine()


def beside(store: Store, engine: Engine, *, local_server: bool = True) -> LocalEngine:
    servers: Any = SimpleNamespace(engine=engine)
    settings: Any = SimpleNamespace(effective_docker_socket="/nowhere/docker.sock", local_server=local_server)
    return LocalEngine(store, servers, settings)


async def test_an_engine_that_starts_later_makes_seaways_own_server_usable(
    servers_store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started = []

    async def start_proxy(*_: object) -> None:
        started.append(True)

    monkeypatch.setattr(local_engine, "start_proxy", start_proxy)
    worker = beside(servers_store, engine)
    with caplog.at_level(logging.WARNING):
        await worker.start()
        async with worker.expected():
            await eventually(lambda: engine.asked > 3)
            row = await servers_store.servers.get("local")
            assert (row.status, row.status_message) == (ServerStatus.NOT_USABLE, NO_ENGINE)
            assert (worker.was_seen(), started) == (False, [])
            engine.runs = True
            await eventually(worker.was_seen)
    row = await servers_store.servers.get("local")
    assert (row.status, row.is_usable, started) == (ServerStatus.USABLE, True, [True])
    assert [one for one in caplog.messages if "/nowhere/docker.sock" in one] == caplog.messages
    assert len(caplog.messages) == 1


async def test_a_proxy_that_cannot_run_is_told_once_and_left_to_whoever_watches_the_server(
    servers_store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def start_proxy(*_: object) -> None:
        raise StartUpError(IN_USE)

    monkeypatch.setattr(local_engine, "start_proxy", start_proxy)
    worker = beside(servers_store, engine)
    await worker.start()
    engine.runs = True
    with caplog.at_level(logging.WARNING):
        async with worker.expected():
            await eventually(worker.was_seen)
    assert caplog.messages[1:] == [IN_USE]
    assert not (await servers_store.servers.get("local")).is_usable
    with pytest.raises(StartUpError):
        await beside(servers_store, engine).start()


async def test_an_engine_that_is_not_to_be_used_is_left_alone(
    servers_store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = 0
    close_local = servers_store.watch.close_local

    async def look(reason: str) -> None:
        nonlocal looked
        await close_local(reason)
        looked += 1

    monkeypatch.setattr(servers_store.watch, "close_local", look)
    engine.runs = True
    worker = beside(servers_store, engine, local_server=False)
    with caplog.at_level(logging.INFO):
        await worker.start()
        async with worker.expected():
            await eventually(lambda: looked > 3)
    row = await servers_store.servers.get("local")
    assert (row.status, row.status_message) == (ServerStatus.NOT_USABLE, NO_ENGINE)
    assert (worker.was_seen(), engine.asked) == (False, 0)
    assert ["SEAWAY_LOCAL_SERVER" in one for one in caplog.messages] == [True]


@pytest.mark.parametrize("local_server", [True, False])
async def test_a_process_that_is_not_to_use_it_has_no_parts_of_seaways_own_server(
    servers_store: Store, tmp_path: Path, local_server: bool
) -> None:
    settings = Settings(data_dir=tmp_path, docker_socket="/nowhere/docker.sock", local_server=local_server)
    servers = SeawayServers(servers_store, settings)
    if local_server:
        assert (await servers.parts("local")).engine is servers.engine
    else:
        with pytest.raises(EngineUnavailable, match="SEAWAY_LOCAL_SERVER"):
            await servers.parts("local")
    await servers.close()
