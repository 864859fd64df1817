"""What runs, when servers are slow to say."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.docker.states import LogEntry
from domain.errors import ServerUnreachable
from seaway import replica_logs, runtime_view
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

    async def servers_of(_row: object) -> list[str]:
        return ["server"]

    store: Any = SimpleNamespace(
        applications=SimpleNamespace(get=get),
        locations=SimpleNamespace(servers_of=servers_of),
        watch=SimpleNamespace(silent=known),
    )
    servers: Any = SimpleNamespace(parts=parts)
    return ServersView(store, servers)


class Talker:
    """A server that tells what its owner wants it to."""

    def __init__(self, labels: object) -> None:
        self.labels = labels
        self.asked = 0

    async def list_containers(self, _labels: object) -> list[Any]:
        self.asked += 1
        if self.labels is None:
            raise KeyError("State")
        return [SimpleNamespace(status="running", restart_count=0, labels=self.labels)]


def view_of_two_teams(ours: Talker, theirs: Talker) -> ServersView:
    """Our application `shop` lives on our server; another team has one of its own."""

    async def deployable(*, team_id: str) -> list[Any]:
        return [SimpleNamespace(id={"us": "ours", "them": "theirs"}[team_id], team_id=team_id)]

    async def parts(server_id: str) -> Any:
        return SimpleNamespace(engine={"ours": ours, "theirs": theirs}[server_id], swarm=None)

    async def silent() -> frozenset[str]:
        return frozenset()

    async def teams_of(ids: Collection[str]) -> dict[str, str]:
        return {"shop": "us"} if "shop" in ids else {}

    async def applications_on(_servers: object, *, leaving: bool) -> list[str]:
        assert not leaving, "an application that serves elsewhere is not unknown"
        return []

    store: Any = SimpleNamespace(
        servers=SimpleNamespace(deployable=deployable),
        applications=SimpleNamespace(teams_of=teams_of),
        locations=SimpleNamespace(applications_on=applications_on),
        watch=SimpleNamespace(silent=silent),
    )
    servers: Any = SimpleNamespace(parts=parts)
    return ServersView(store, servers)


async def test_a_server_of_another_team_does_not_speak_for_an_application():
    shop = {"seaway.application": "shop"}
    view = view_of_two_teams(Talker(shop), Talker(shop))
    assert await view.statuses(team_id="them") == {}
    assert (await view.statuses(team_id="us")).keys() == {"shop"}


async def test_a_team_neither_asks_nor_waits_for_the_servers_of_others():
    theirs = Talker(None)
    view = view_of_two_teams(Talker({"seaway.application": "shop"}), theirs)
    assert (await view.statuses(team_id="us"))["shop"].startswith("running")
    assert theirs.asked == 0


async def test_a_server_that_answers_nonsense_leaves_its_team_its_pages():
    assert await view_of_two_teams(Talker({}), Talker(None)).statuses(team_id="them") == {}


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


class Printing(SlowEngine):
    """Two replicas that print by turns; `stuck` is one whose log never comes."""

    def __init__(self, stuck: str = "") -> None:
        super().__init__()
        self.stuck = stuck

    async def list_containers(self, _labels: object) -> list[Any]:
        return [SimpleNamespace(id=name, name=name, started_at=None) for name in ("shop-1", "shop-2")]

    async def log_entries(self, name: str, tail: int) -> list[LogEntry]:
        if name == self.stuck:
            await self.may_answer.wait()
        first = 0 if name == "shop-1" else 1
        moments = [datetime(2026, 1, 2, 3, 4, second, tzinfo=UTC) for second in range(first, 6, 2)]
        return [LogEntry("stdout", at, f"{name} at {at.second}") for at in moments][-tail:]


async def test_the_last_lines_are_those_of_all_replicas_in_order_of_time():
    shown = await view_of(Printing()).logs("shop", lines=3, timestamps=False)
    assert shown.split("\n") == ["shop-2 at 3", "shop-1 at 4", "shop-2 at 5"]


async def test_times_begin_the_lines_where_somebody_asks_for_them():
    shown = await view_of(Printing()).logs("shop", lines=1, timestamps=True)
    assert shown == "2026-01-02T03:04:05.000000Z shop-2 at 5"


async def test_a_log_that_never_comes_keeps_nobody(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replica_logs, "LOGS_LIMIT_SECONDS", 0.05)
    async with asyncio.timeout(2):
        with pytest.raises(ServerUnreachable, match=r"sent its log within 0\.05 s"):
            await view_of(Printing(stuck="shop-2")).logs("shop", lines=3, timestamps=False)


async def test_those_who_follow_one_application_look_once_for_all():
    engine = SlowEngine()
    view = view_of(engine)
    followers: list[Any] = [view.follow_logs("shop", lines=1) for _ in range(5)]
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(anext(one)) for one in followers]
    await eventually(lambda: engine.asked == 1)
    for one in waiting[:4]:
        one.cancel()
    await asyncio.wait(waiting[:4])
    assert engine.asked == 1
    waiting[4].cancel()
    await asyncio.wait(waiting)
    engine.may_answer.set()
