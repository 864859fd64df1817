"""Watching one server, with a stand-in for what answers there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from adapters.docker.watching import ListedContainer
from domain.errors import ServerUnreachable
from domain.metrics import ContainerReading
from domain.replica_states import ReplicaState
from domain.server_events import ContainerAction, ContainerEvent
from seaway import server_watch
from seaway.server_watch import ServerWatch
from store.metrics import Subject
from tests.harness.waiting import eventually
from tests.harness.watched_servers import (
    HOSTILE_NAMES,
    LABELS,
    PERIOD_SECONDS,
    REPLICA,
    FakeServer,
    Told,
    watching,
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(server_watch, "FIRST_PAUSE_SECONDS", 0.01)


class TestOneServer:
    async def test_the_server_and_its_running_replicas_are_measured(self):
        async with watching(FakeServer()) as told:
            await eventually(lambda: len(told.points) >= 4)
        subjects = {subject for subject, _ in told.points}
        assert subjects == {Subject("far"), Subject("far", "shop", "shop-r-1")}
        assert {point.average.cpu_percent for subject, point in told.points if subject.replica} == {50.0}
        assert {point.average.cpu_percent for subject, point in told.points if not subject.replica} == {25.0}
        assert told.reachable == ["yes"]

    async def test_what_replicas_use_is_told_by_the_clock_here(self):
        began = datetime.now(UTC).replace(microsecond=0)
        async with watching(FakeServer(began=began - timedelta(minutes=7))) as told:
            await eventually(lambda: sum(bool(subject.replica) for subject, _ in told.points) > 2)
        for _, point in told.points:
            assert began.timestamp() <= point.at <= datetime.now(UTC).timestamp()

    async def test_all_replicas_are_told_as_they_stand_also_those_that_do_not_run(self):
        server = FakeServer()
        async with watching(server) as told:
            await eventually(lambda: bool(told.standing))
            assert told.standing == {"shop-r-1": ReplicaState.RUNNING, "shop-r-2": ReplicaState.EXITED}
            server.containers = [
                replace(REPLICA, is_unhealthy=True),
                ListedContainer("proxy", "running", {"seaway.role": "proxy"}),
                ListedContainer("shop-r-3", "thinking", LABELS),
            ]
            changed = {"shop-r-1": ReplicaState.UNHEALTHY, "shop-r-3": ReplicaState.UNKNOWN}
            await eventually(lambda: told.standing == changed)

    async def test_how_replicas_stand_is_asked_again_as_soon_as_something_happens(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(server_watch, "SETTLING_SECONDS", 0.01)
        server = FakeServer()
        async with watching(server, period_seconds=3600) as told:
            await eventually(lambda: told.reachable == ["yes"] and server.listeners == 1)
            server.containers = [replace(REPLICA, state="exited")]
            server.dies()
            await eventually(lambda: told.standing == {"shop-r-1": ReplicaState.EXITED})
        assert told.standing == {"shop-r-1": ReplicaState.EXITED}

    async def test_looks_at_a_slow_server_do_not_pile_up(self):
        server = FakeServer(seconds=3 * PERIOD_SECONDS)
        async with watching(server):
            await eventually(lambda: server.looks >= 3)
        assert server.most_at_once == 1

    async def test_a_look_that_takes_too_long_finds_the_server_silent_once(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(server_watch, "LOOK_LIMIT_SECONDS", 0.02)
        server = FakeServer(seconds=0.1)
        async with watching(server) as told:
            await eventually(lambda: server.looks >= 3)
            assert told.reachable == ["The server gave no answer within 0.02 s."]
            server.seconds = 0
            await eventually(lambda: told.reachable[1:] == ["yes"])
        assert server.most_at_once == 1

    async def test_one_failure_is_a_hiccup_and_two_are_none(self):
        gone = ServerUnreachable("It is gone.")
        server = FakeServer(errors=[gone])
        async with watching(server) as told:
            await eventually(lambda: server.looks >= 2)
            assert told.reachable == ["yes"]
            server.failure = gone
            await eventually(lambda: told.reachable == ["yes", "It is gone."])
            server.failure = None
            await eventually(lambda: told.reachable == ["yes", "It is gone.", "yes"])

    async def test_a_server_that_does_not_tell_what_it_uses_is_watched_all_the_same(self):
        server = FakeServer(answer="sh: not found")
        async with watching(server) as told:
            await eventually(lambda: bool(told.points))
            assert {subject.replica for subject, _ in told.points} == {"shop-r-1"}
            assert told.reachable == ["yes"]
            server.answer = ""
            await eventually(lambda: Subject("far") in {subject for subject, _ in told.points})

    async def test_deaths_are_told_across_broken_links_and_none_twice(self):
        server = FakeServer()
        async with watching(server) as told:
            moment = datetime.now(UTC)
            server.dies("one", moment)
            await eventually(lambda: told.deaths == ["one"])
            server.events.put_nowait(None)
            await eventually(lambda: server.listeners == 2)
            server.dies("one", moment)
            server.dies("two", moment + timedelta(seconds=1))
            await eventually(lambda: told.deaths == ["one", "two"])
        assert told.changes == 2

    async def test_a_death_that_could_not_be_told_is_heard_again(self):
        server, moment = FakeServer(), datetime.now(UTC)
        async with watching(server) as told:
            server.dies("one", moment)
            await eventually(lambda: told.deaths == ["one"])
            told.refusals.append(OperationalError("INSERT", {}, OSError("The connection is lost.")))
            server.dies("two", moment + timedelta(seconds=1))
            await eventually(lambda: server.listeners == 2)
            assert server.since == [None, moment]
            server.dies("two", moment + timedelta(seconds=1))
            await eventually(lambda: told.deaths == ["one", "two"])

    async def test_how_replicas_stand_is_asked_again_also_after_the_database_did_not_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(server_watch, "SETTLING_SECONDS", 0.01)
        server = FakeServer()
        async with watching(server, period_seconds=3600) as told:
            await eventually(lambda: told.reachable == ["yes"] and server.listeners == 1)
            lost = [OperationalError("SELECT", {}, OSError("The connection is lost."))]

            async def parts(server_id: str) -> Any:
                if lost:
                    raise lost.pop()
                return await FakeServer.parts(server, server_id)

            monkeypatch.setattr(server, "parts", parts)
            server.containers = [replace(REPLICA, state="exited")]
            server.dies()
            await eventually(lambda: not lost)
            server.dies()
            await eventually(lambda: told.standing == {"shop-r-1": ReplicaState.EXITED})
        assert told.standing == {"shop-r-1": ReplicaState.EXITED}

    async def test_what_happened_before_a_watch_is_told_also_by_a_clock_that_is_late(self):
        server, told = FakeServer(), Told()
        since = datetime.now(UTC) - timedelta(seconds=30)
        watch = ServerWatch("far", server, told, period_seconds=3600, since=since)  # type: ignore[arg-type]
        task = asyncio.create_task(watch.run())
        server.dies("one", since - timedelta(minutes=5))
        await eventually(lambda: told.deaths == ["one"])
        assert server.since == [since]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def test_what_happens_to_several_at_once_is_heard_in_any_order(self):
        server = FakeServer()
        moment = datetime.now(UTC)
        to_end = ContainerEvent(moment, ContainerAction.KILL, "asked", LABELS, signal=15)
        async with watching(server) as told:
            server.dies("other", moment + timedelta(milliseconds=1))
            server.events.put_nowait(to_end)
            server.dies("asked", moment + timedelta(seconds=1))
            server.dies("last", moment + timedelta(seconds=2))
            await eventually(lambda: "last" in told.deaths)
        assert told.deaths == ["other", "last"]

    async def test_a_task_of_a_swarm_is_measured_as_a_replica_of_its_application(self):
        labels = {"seaway.application": "", "seaway.role": "task", "seaway.task-of": "shop"}
        tasks = [
            ListedContainer("shop-r.1.t1", "running", labels),
            ListedContainer("proxy", "running", {"seaway.role": "proxy"}),
            ListedContainer("shop-r-release", "running", {**LABELS, "seaway.role": "release-command"}),
        ]

        class Node(FakeServer):
            async def listed(self, labels: Mapping[str, str]) -> list[ListedContainer]:
                return tasks

            async def usage(self, container: ListedContainer) -> ContainerReading:
                assert container.labels["seaway.application"] == "shop"
                return await super().usage(container)

        async with watching(Node()) as told:
            await eventually(lambda: len(told.points) > 5)
        assert {subject.replica for subject, _ in told.points} == {"", "shop-r.1.t1"}

    async def test_what_a_server_makes_up_is_left_out(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(server_watch, "MOST_REPLICAS", 3)
        theirs = {**LABELS, "seaway.application": "theirs"}
        made_up = [
            ListedContainer("a" * 256, "running", LABELS),
            *(ListedContainer(name, "running", LABELS) for name in HOSTILE_NAMES),
            ListedContainer("a-nul", "running", {**LABELS, "seaway.application": "shop\0"}),
            ListedContainer("a-theirs", "running", theirs),
            *(ListedContainer(f"shop-{number}", "running", LABELS) for number in range(10_000)),
        ]
        server = FakeServer(containers=made_up)
        async with watching(server) as told:
            await eventually(lambda: len(told.points) > 8)
            for name in ("a" * 256, *HOSTILE_NAMES, "shop-1"):
                server.dies(name)
            await eventually(lambda: told.deaths == ["shop-1"])
        measured = {subject.replica for subject, _ in told.points}
        assert measured == {"", "shop-0", "shop-1", "shop-10"}
        assert set(told.standing) == measured - {""}
