"""What runs, when servers are slow to say."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from seaway import runtime_view
from seaway.runtime_view import UNKNOWN, ServersView
from tests.harness.waiting import eventually


class SlowEngine:
    """Answers when it is allowed to, also to those who have given up."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.asked = 0

    async def list_containers(self, _labels: object) -> list[Any]:
        self.asked += 1
        while not self.may_answer.is_set():
            try:
                await self.may_answer.wait()
            except asyncio.CancelledError:
                continue
        return [SimpleNamespace(name="shop-1", status="running", restart_count=0, started_at=None)]


def view_of(engine: SlowEngine, silent: frozenset[str] = frozenset()) -> ServersView:
    async def get(_application_id: str) -> None:
        return None

    async def known() -> frozenset[str]:
        return silent

    async def parts(_server_id: str) -> Any:
        return SimpleNamespace(engine=engine, swarm=None)

    configuration = SimpleNamespace(server_ids=("server",))
    applications = SimpleNamespace(get=get, configured=lambda _row: (configuration, {}))
    store: Any = SimpleNamespace(applications=applications, watch=SimpleNamespace(silent=known))
    servers: Any = SimpleNamespace(parts=parts)
    return ServersView(store, servers)


class Talker:
    """A server that tells what its owner wants it to."""

    def __init__(self, labels: object) -> None:
        self.labels = labels

    async def list_containers(self, _labels: object) -> list[Any]:
        if self.labels is None:
            raise KeyError("State")
        return [SimpleNamespace(status="running", restart_count=0, labels=self.labels)]


def view_of_two_teams(ours: Talker, theirs: Talker) -> ServersView:
    """Our application `shop` lives on our server; another team has one of its own."""

    async def deployable() -> list[Any]:
        return [SimpleNamespace(id="ours", team_id="us"), SimpleNamespace(id="theirs", team_id="them")]

    async def parts(server_id: str) -> Any:
        return SimpleNamespace(engine={"ours": ours, "theirs": theirs}[server_id], swarm=None)

    async def silent() -> frozenset[str]:
        return frozenset()

    async def teams_of(ids: set[str]) -> dict[str, str]:
        return {"shop": "us"} if "shop" in ids else {}

    async def ids_on(_servers: object) -> list[str]:
        return []

    store: Any = SimpleNamespace(
        servers=SimpleNamespace(deployable=deployable),
        applications=SimpleNamespace(teams_of=teams_of, ids_on=ids_on),
        watch=SimpleNamespace(silent=silent),
    )
    servers: Any = SimpleNamespace(parts=parts)
    return ServersView(store, servers)


async def test_a_server_of_another_team_does_not_speak_for_an_application():
    shop = {"seaway.application": "shop"}
    assert await view_of_two_teams(Talker({}), Talker(shop)).statuses() == {}
    assert (await view_of_two_teams(Talker(shop), Talker(shop)).statuses()).keys() == {"shop"}


async def test_a_server_that_answers_nonsense_hides_nobody_elses_applications():
    view = view_of_two_teams(Talker({"seaway.application": "shop"}), Talker(None))
    assert (await view.statuses())["shop"].startswith("running")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_view, "ANSWER_LIMIT_SECONDS", 0.05)


async def test_an_engine_that_hangs_keeps_nobody_and_is_asked_once():
    engine = SlowEngine()
    view = view_of(engine)
    async with asyncio.timeout(2):
        assert [await view.status("shop") for _ in range(5)] == [UNKNOWN] * 5
    assert engine.asked == 1
    engine.may_answer.set()

    async def is_known() -> bool:
        return (await view.status("shop")).startswith("running")

    await eventually(is_known)


async def test_a_server_that_is_known_to_be_silent_is_not_asked():
    engine = SlowEngine()
    engine.may_answer.set()
    assert await view_of(engine, frozenset({"server"})).status("shop") == UNKNOWN
    assert engine.asked == 0
    assert (await view_of(engine).status("shop")).startswith("running")
