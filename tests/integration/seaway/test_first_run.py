"""The first start, interrupted after each of its parts, on a real database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.docker.engine import DockerEngine
from domain.errors import StartUpError
from domain.servers import NO_ENGINE, ServerStatus
from seaway import data_folder, first_run, local_proxy
from seaway.first_run import prepare
from seaway.settings import Settings
from store.access import AccessStore
from store.database import Database
from store.encryption import KeyRing
from store.projects import ProjectStore
from store.servers import ServerStore
from store.store import Store

PARTS = [
    (AccessStore, "create_user"),
    (ProjectStore, "create"),
    (ServerStore, "ensure_local"),
    (AccessStore, "create_token"),
]


class KilledError(Exception):
    """In place of a signal."""


@pytest.fixture
async def store(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


def log_in(settings: Settings) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(settings.credentials_path.read_text())
    return known


async def assert_ready(store: Store, settings: Settings) -> None:
    known = log_in(settings)
    principal = await store.access.check_password(known["email"], SecretStr(known["password"]))
    assert principal is not None
    assert await store.access.check_token(known["token"]) is not None
    assert [one.name for one in await store.projects.list(team_id=principal.team_id)] == ["default"]
    assert [one.is_local for one in await store.servers.list(team_id=principal.team_id)] == [True]


@pytest.mark.parametrize(("owner", "part"), PARTS)
async def test_a_first_start_that_is_killed_is_finished_by_the_next_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, part: str
) -> None:
    settings = Settings(data_dir=tmp_path)
    original = getattr(owner, part)

    async def killed(*arguments: Any, **named: Any) -> None:
        await original(*arguments, **named)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(owner, part, killed)
        with pytest.raises(KilledError):
            await prepare(store, settings)
    await prepare(store, settings)
    await assert_ready(store, settings)


async def test_a_first_start_without_an_engine_says_so(store: Store, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, docker_socket=str(tmp_path / "none.sock"))
    await prepare(store, settings)
    await assert_ready(store, settings)
    [local] = await store.servers.all_local()
    assert (local.status, local.status_message) == (ServerStatus.NOT_USABLE, NO_ENGINE)
    assert (local.is_usable, local.is_reachable) == (False, False)


async def test_a_first_start_that_is_not_to_use_the_engine_does_not_ask_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ping(_: DockerEngine) -> None:
        raise AssertionError("it was asked")

    monkeypatch.setattr(DockerEngine, "ping", ping)
    await prepare(store, Settings(data_dir=tmp_path, local_server=False))
    [local] = await store.servers.all_local()
    assert (local.status, local.status_message) == (ServerStatus.NOT_USABLE, NO_ENGINE)


async def test_an_engine_that_says_nothing_holds_up_nobody_who_starts_meanwhile(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert local_proxy.ANSWER_SECONDS < data_folder.TURN_SECONDS / 2
    monkeypatch.setattr(local_proxy, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(data_folder, "TURN_SECONDS", 20.0)
    settings = Settings(data_dir=tmp_path, docker_socket=str(tmp_path / "silent.sock"))
    said_nothing: list[asyncio.StreamWriter] = []

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said_nothing.append(writer)

    async with await asyncio.start_unix_server(say_nothing, settings.docker_socket):
        await asyncio.gather(*[prepare(store, settings) for _ in range(3)])
        for writer in said_nothing:
            writer.close()
    await assert_ready(store, settings)
    assert len(said_nothing) == 1
    [local] = await store.servers.all_local()
    assert (local.status, local.status_message) == (ServerStatus.NOT_USABLE, NO_ENGINE)


async def test_another_start_changes_nothing_but_addresses(store: Store, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    await prepare(store, settings)
    known = log_in(settings)
    await prepare(store, Settings(data_dir=tmp_path, http_port=8080))
    assert log_in(settings) == known | {"http_port": 8080}
    await assert_ready(store, settings)


async def test_a_file_that_somebody_removed_stays_removed(store: Store, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    await prepare(store, settings)
    settings.credentials_path.unlink()
    await prepare(store, settings)
    assert not settings.credentials_path.exists()


async def test_the_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "credentials.json"
    first_run.write_credentials(path, {"token": "one"})

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(json, "dump", killed)
        with pytest.raises(KilledError):
            first_run.write_credentials(path, {"token": "two"})
    assert json.loads(path.read_text()) == {"token": "one"}


async def test_an_api_and_workers_that_start_together_make_one_account(store: Store, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    await asyncio.gather(*[prepare(store, settings) for _ in range(4)])
    await assert_ready(store, settings)
    assert len(await store.servers.all_local()) == 1


async def test_a_process_that_prepares_for_ever_keeps_the_others_for_a_while_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder, "TURN_SECONDS", 0.2)
    async with data_folder.in_turn(tmp_path):
        with pytest.raises(StartUpError, match="Another process of Seaway"):
            await prepare(store, Settings(data_dir=tmp_path))
    await prepare(store, Settings(data_dir=tmp_path))
