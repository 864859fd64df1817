"""Watching servers, with stand-ins for what answers there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError

from adapters.docker.watching import ListedContainer
from adapters.host_commands import Completed
from domain.errors import EngineUnavailable, SeawayError, ServerUnreachable, TransientError
from domain.metrics import AS_MEASURED, ContainerReading, HostReading, Point, Values
from domain.replica_states import ReplicaState, StandingReplica
from domain.server_events import ContainerAction, ContainerEvent, ServerEventKind
from domain.servers import ServerStatus
from seaway import server_watch
from seaway import watcher as watcher_module
from seaway.death_reports import MOST_DEATHS
from seaway.server_watch import ServerWatch
from seaway.watcher import MOST_DISK_CHANGES, MOST_WAITING, Watcher, WatchSettings
from store.metrics import Subject
from store.store import Store
from store.tables import Application, Environment, Project, Team
from tests.harness.waiting import eventually

PERIOD_SECONDS = 0.05
HOSTILE_NAMES = ("a\0", "a\n", "a\ud800", "a b", "ä", "")
LABELS = {"seaway.application": "shop", "seaway.role": "replica", "seaway.managed": "true"}
REPLICA = ListedContainer("shop-r-1", "running", LABELS)


@dataclass
class FakeServer:
    """A server whose clock runs 10 s a look. `errors` are what the next looks end with."""

    errors: list[SeawayError] = field(default_factory=list)
    failure: SeawayError | None = None
    seconds: float = 0.0
    looks: int = 0
    at_once: int = 0
    most_at_once: int = 0
    disk_percent: int = 10
    answer: str = ""
    containers: list[ListedContainer] = field(
        default_factory=lambda: [REPLICA, ListedContainer("shop-r-2", "exited", LABELS)]
    )
    events: asyncio.Queue[ContainerEvent | None] = field(default_factory=asyncio.Queue)
    listeners: int = 0
    since: list[datetime | None] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def parts(self, server_id: str) -> Any:
        @dataclass
        class Parts:
            commands: FakeServer
            engine: FakeServer

        return Parts(self, self)

    async def run(self, arguments: Sequence[str], **limits: object) -> Completed:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.errors:
            raise self.errors.pop(0)
        if self.failure is not None:
            raise self.failure
        self.looks += 1
        jiffies = f"cpu {self.looks * 250} 0 0 {self.looks * 750} 0 0 0 0 0 0"
        disk = f"/dev/vda 100 {self.disk_percent} {100 - self.disk_percent} {self.disk_percent}% /"
        text = f"{jiffies}\ncpu0\nMemTotal: 400 kB\nMemAvailable: 300 kB\nload 0.5\n{disk}"
        return Completed(0, self.answer or text, "")

    async def data_root(self) -> str:
        return "/var/lib/docker"

    async def listed(self, labels: Mapping[str, str]) -> list[ListedContainer]:
        return self.containers

    async def usage(self, container: ListedContainer) -> ContainerReading:
        assert container.state == "running"
        at = self.began + self.looks * timedelta(seconds=10)
        return ContainerReading(at, container.name, "shop", self.looks * 5 * 10**9, 1, 2, 0, 0)

    async def happenings(
        self, labels: Mapping[str, str], since: datetime | None
    ) -> AsyncIterator[ContainerEvent]:
        self.listeners += 1
        self.since.append(since)
        while (event := await self.events.get()) is not None:
            yield event
        raise EngineUnavailable("The link broke.")

    def dies(self, name: str = "shop-r-1", at: datetime | None = None) -> None:
        event = ContainerEvent(at or datetime.now(UTC), ContainerAction.DIE, name, LABELS, exit_code=3)
        self.events.put_nowait(event)


@dataclass
class Told:
    """Remembers what it was told."""

    points: list[tuple[Subject, Point]] = field(default_factory=list)
    reachable: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    standing: dict[str, ReplicaState] = field(default_factory=dict)
    changes: int = 0
    refusals: list[Exception] = field(default_factory=list)

    async def own(self, server_id: str, application_ids: frozenset[str]) -> frozenset[str]:
        return application_ids - {"theirs"}

    def used(self, subject: Subject, point: Point) -> None:
        self.points.append((subject, point))

    def happened(self) -> None:
        self.changes += 1

    async def stands(self, server_id: str, replicas: Sequence[StandingReplica]) -> None:
        self.standing = {one.name: one.state for one in replicas}

    async def died(self, server_id: str, event: ContainerEvent, reason: str) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.deaths.append(event.name)

    async def reached(self, server_id: str, error: SeawayError | None) -> None:
        self.reachable.append(error.message if error else "yes")

    async def looked(self, server_id: str, reading: HostReading) -> None:
        pass


@asynccontextmanager
async def watching(server: FakeServer) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(
        ServerWatch("far", server, told, period_seconds=PERIOD_SECONDS).run()  # type: ignore[arg-type]
    )
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
        server, told = FakeServer(), Told()
        watch = ServerWatch("far", server, told, period_seconds=3600)  # type: ignore[arg-type]
        task = asyncio.create_task(watch.run())
        await eventually(lambda: told.reachable == ["yes"] and server.listeners == 1)
        server.containers = [replace(REPLICA, state="exited")]
        server.dies()
        await eventually(lambda: told.standing == {"shop-r-1": ReplicaState.EXITED})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

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
        server, told = FakeServer(), Told()
        watch = ServerWatch("far", server, told, period_seconds=3600)  # type: ignore[arg-type]
        task = asyncio.create_task(watch.run())
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
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

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


class TestAllServers:
    @pytest.fixture
    def store(self, servers_store: Store) -> Store:
        return servers_store

    def watcher(self, store: Store, server: FakeServer, **changes: Any) -> Watcher:
        settings = WatchSettings(period=timedelta(seconds=PERIOD_SECONDS), **changes)
        return Watcher(store, server, settings)  # type: ignore[arg-type]

    async def events(self, store: Store, server_id: str = "local") -> list[str]:
        return [event.kind for event in reversed(await store.watch.events(server_id))]

    async def test_of_two_watchers_one_watches_and_the_other_follows_it(self, store: Store):
        server = FakeServer()
        async with self.watcher(store, server) as first:
            await eventually(lambda: first.watched == {"local", "far"})
            async with self.watcher(store, server) as second:
                assert await store.watch.claim(second.owner, timedelta(seconds=1)) == []
                assert second.watched == frozenset()
        async with self.watcher(store, server) as third:
            await eventually(lambda: third.watched == {"local", "far"})

    async def test_what_was_measured_is_written(self, store: Store):
        await an_application(store, "shop", team_id="team")
        async with self.watcher(store, FakeServer()) as watcher:
            awaited = {Subject("local"), Subject("far", "shop", "shop-r-1")}
            await eventually(lambda: awaited <= {subject for subject, _ in watcher._points})
        since, until = datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=1)
        span = {"step_seconds": AS_MEASURED, "since": since, "until": until}
        assert await store.metrics.of_server("local", **span)  # type: ignore[arg-type]
        replicas = await store.metrics.of_application("shop", **span)  # type: ignore[arg-type]
        assert {subject.replica for subject in replicas} == {"shop-r-1"}

    async def test_how_replicas_stand_is_written_when_it_changes(self, store: Store):
        changes: list[None] = []
        await an_application(store, "shop", team_id="team")
        server, settings = FakeServer(), WatchSettings(period=timedelta(seconds=PERIOD_SECONDS))

        async def standing() -> list[tuple[str, str]]:
            return [(one.replica, one.state) for one in await store.replicas.on_server("far")]

        watcher = Watcher(store, server, settings, happened=lambda: changes.append(None))  # type: ignore[arg-type]
        async with watcher:
            both = [("shop-r-1", "running"), ("shop-r-2", "exited")]
            await eventually(lambda: _equals(standing, both))
            looks = server.looks
            await eventually(lambda: server.looks > looks + 4)
            told = len(changes)
            server.containers = [replace(REPLICA, state="restarting")]
            await eventually(lambda: _equals(standing, [("shop-r-1", "restarting")]))
        # What is the same wakes no page: two servers were reached, and each told of two changes.
        assert told == 4

    async def test_a_full_disk_and_a_silent_server_are_told_of_once(self, store: Store):
        server = FakeServer()
        async with self.watcher(store, server, disk_threshold_percent=85):
            await eventually(lambda: server.looks > 4)
            server.disk_percent = 90
            told = [ServerEventKind.DISK_ABOVE_THRESHOLD]
            await eventually(lambda: self._is(store, told))
            server.failure = ServerUnreachable("No answer.")
            told = [*told, ServerEventKind.UNREACHABLE]
            await eventually(lambda: self._is(store, told))

            async def is_silent() -> bool:
                return (await store.servers.get("far")).status == ServerStatus.UNREACHABLE

            await eventually(is_silent)
            # Seaway's own machine may be late, and is never away from itself.
            assert (await store.servers.get("local")).status == ServerStatus.USABLE
            server.failure, server.disk_percent = None, 50
            told = [*told, ServerEventKind.REACHABLE_AGAIN, ServerEventKind.DISK_BELOW_THRESHOLD]
            await eventually(lambda: self._is(store, told))
            assert (await store.servers.get("local")).status == ServerStatus.USABLE

    async def test_a_disk_that_fills_up_is_cleaned_once_and_a_failure_of_that_is_no_end(self, store: Store):
        server, cleaned = FakeServer(), []

        async def clean(server_id: str) -> None:
            cleaned.append(server_id)
            raise TransientError("Temporal does not answer.")

        settings = WatchSettings(period=timedelta(seconds=PERIOD_SECONDS), disk_threshold_percent=85)
        async with Watcher(store, server, settings, disk_filled=clean) as watcher:  # type: ignore[arg-type]
            await eventually(lambda: "local" in watcher.watched)
            watch = watcher._watches["local"]
            server.disk_percent = 90
            await eventually(lambda: "local" in cleaned)
            looks = server.looks
            await eventually(lambda: server.looks > looks + 6)
            assert cleaned.count("local") == 1
            assert watcher._watches["local"] is watch

    @pytest.mark.parametrize(
        "lie",
        [
            {"memory_total_bytes": 10**30},
            {"average": Values(float("inf"))},
            {"maximum": Values(load=float("nan"))},
            {"at": 0},
        ],
    )
    async def test_impossible_numbers_of_one_server_keep_back_nobody_elses(
        self, store: Store, lie: dict[str, Any]
    ):
        watcher = self.watcher(store, FakeServer())
        now = datetime.now(UTC)
        point = Point(int(now.timestamp()), 1, Values(), Values())
        watcher.used(Subject("far"), replace(point, **lie))
        watcher.used(Subject("local"), point)
        await watcher._write()
        span = {"since": now - timedelta(minutes=1), "until": now, "step_seconds": AS_MEASURED}
        assert await store.metrics.of_server("local", **span) == [point]  # type: ignore[arg-type]
        assert await store.metrics.of_server("far", **span) == []  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("error", "tries_left"),
        [
            (DataError("INSERT", {}, ValueError("NUL")), 0),
            (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), 0),
            (OperationalError("INSERT", {}, OSError("The connection is lost.")), 1),
        ],
        ids=["refused", "no text", "connection lost"],
    )
    async def test_points_that_the_database_refuses_are_not_tried_for_ever(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, tries_left: int
    ):
        watcher = self.watcher(store, FakeServer())

        async def write(points: Sequence[object]) -> None:
            raise error

        monkeypatch.setattr(store.metrics, "write", write)
        watcher.used(Subject("local"), Point(int(datetime.now(UTC).timestamp()), 1, Values(), Values()))
        for _ in range(2):
            with contextlib.suppress(type(error)):
                await watcher._write()
        assert len(watcher._points) == tries_left

    async def test_servers_are_left_to_others_also_when_the_last_points_are_refused(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        async def write(points: Sequence[object]) -> None:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

        monkeypatch.setattr(store.metrics, "write", write)
        async with self.watcher(store, FakeServer()) as watcher:
            await eventually(lambda: watcher.watched == {"local", "far"})
        assert len(await store.watch.claim("another", timedelta(seconds=25))) == 2

    async def test_what_a_server_sends_without_end_keeps_back_nobody_elses(self, store: Store):
        watcher = self.watcher(store, FakeServer())
        now = datetime.now(UTC)
        point = Point(int(now.timestamp()), 1, Values(), Values())
        for number in range(MOST_WAITING + 10):
            watcher.used(Subject("far", "shop", str(number)), point)
        watcher.used(Subject("local"), point)
        assert len(watcher._points) == MOST_WAITING + 1
        await watcher._write()
        span = {"since": now - timedelta(minutes=1), "until": now, "step_seconds": AS_MEASURED}
        assert await store.metrics.of_server("local", **span) == [point]  # type: ignore[arg-type]

    async def test_points_are_rolled_up_from_where_it_ended_also_after_a_new_start_or_a_failure(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        since: dict[str, int] = {}
        errors: list[Exception] = []

        async def roll_up(server_ids: Sequence[str], **options: Any) -> int:
            if options["coarser"].step_seconds == 60:
                since.update(dict.fromkeys(server_ids, options["since"]))
            if errors:
                raise errors.pop()
            return 120_000

        await store.metrics.write([(Subject("local"), Point(6000, 1, Values(), Values()))], step_seconds=60)
        monkeypatch.setattr(store.metrics, "roll_up", roll_up)
        watcher = self.watcher(store, FakeServer())
        watches: Any = dict.fromkeys(["local", "far"])
        watcher._watches = watches
        await watcher.roll_up()
        assert since == {"local": 6000, "far": 0}
        errors.append(OperationalError("INSERT", {}, OSError("The connection is lost.")))
        with pytest.raises(OperationalError):
            await watcher.roll_up()
        await watcher.roll_up()
        assert since == {"local": 120_000, "far": 120_000}
        # Whoever had it meanwhile has gone further, or not so far.
        del watches["local"]
        await watcher.roll_up()
        watches["local"] = None
        await watcher.roll_up()
        assert since == {"local": 6000, "far": 120_000}

    async def test_only_applications_of_its_team_are_a_servers(self, store: Store):
        await an_application(store, "shop", team_id="team")
        await an_application(store, "theirs", team_id="others")
        async with self.watcher(store, FakeServer()) as watcher:
            await eventually(lambda: watcher.watched == {"local", "far"})
            for _ in range(2):
                assert await watcher.own("far", frozenset(["shop", "theirs", "none"])) == {"shop"}
            assert await watcher.own("far", frozenset(["none"])) == frozenset()

    async def test_a_disk_that_comes_and_goes_is_told_of_and_cleaned_a_few_times_only(self, store: Store):
        server, cleaned = FakeServer(), []

        async def clean(server_id: str) -> None:
            cleaned.append(server_id)

        settings = WatchSettings(period=timedelta(hours=1), disk_threshold_percent=85)
        async with Watcher(store, server, settings, disk_filled=clean) as watcher:  # type: ignore[arg-type]
            await eventually(lambda: watcher.watched == {"local", "far"})
            now = datetime.now(UTC)
            for number in range(50):
                full = HostReading(now, 0, 0, 1, 0, 0, 0.0, 10 if number % 2 else 90, 100)
                await watcher.looked("far", full)
        assert len(await self.events(store, "far")) == MOST_DISK_CHANGES
        assert len(cleaned) == MOST_DISK_CHANGES / 2

    async def test_a_server_tells_of_deaths_of_its_own_teams_applications_only_and_not_without_end(
        self, store: Store
    ):
        await an_application(store, "shop", team_id="team")
        await an_application(store, "theirs", team_id="others")
        watcher = self.watcher(store, FakeServer())
        for number in range(MOST_DEATHS + 10):
            await watcher.died("far", death_of("shop", f"shop-{number}"), "It died.")
        await watcher.died("far", death_of("theirs", "theirs-1"), "It died.")
        assert len(await self.events(store, "far")) == MOST_DEATHS
        assert {event.application_id for event in await store.watch.events("far")} == {"shop"}

    async def test_a_death_that_the_database_did_not_take_is_told_the_next_time(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        await an_application(store, "shop", team_id="team")
        watcher, death = self.watcher(store, FakeServer()), death_of("shop", "shop-1")

        async def lose(event: object) -> None:
            raise OperationalError("INSERT", {}, OSError("The connection is lost."))

        with monkeypatch.context() as patched:
            for name in ("record", "record_once"):
                patched.setattr(store.watch, name, lose)
            with pytest.raises(OperationalError):
                await watcher.died("far", death, "It died.")
        await watcher.died("far", death, "It died.")
        assert await self.events(store, "far") == [ServerEventKind.CONTAINER_DIED]

    async def test_a_new_watcher_hears_also_what_happened_when_maybe_nobody_watched(self, store: Store):
        server, began = FakeServer(), datetime.now(UTC)
        async with self.watcher(store, server):
            await eventually(lambda: server.listeners == 2)
        for since in server.since:
            assert since is not None
            assert began - timedelta(seconds=30) <= since <= began

    async def test_a_new_watcher_repeats_no_death(self, store: Store):
        await an_application(store, "shop", team_id="team")
        told, missed = death_of("shop", "shop-1"), death_of("shop", "shop-2")
        for deaths in ([told], [told, missed]):
            watcher = self.watcher(store, FakeServer())
            for death in deaths:
                await watcher.died("far", death, "It died.")
        await self.watcher(store, FakeServer()).died("local", told, "It died.")
        assert sorted(event.subject for event in await store.watch.events("far")) == ["shop-1", "shop-2"]
        assert [event.subject for event in await store.watch.events("local")] == ["shop-1"]

    async def test_the_end_of_a_proxy_is_told_unless_it_is_another_seaways(self, store: Store):
        watcher = self.watcher(store, FakeServer())
        for folder in ("/elsewhere/proxy/dynamic", "/data/proxy/dynamic", "/data/proxy/dynamic"):
            labels = {"seaway.role": "proxy", "seaway.proxy-folder": folder}
            death = ContainerEvent(datetime.now(UTC), ContainerAction.DIE, "seaway-proxy", labels)
            await watcher.died("far", death, f"The proxy of {folder} stopped.")
        [told] = await store.watch.events("far")
        assert (told.kind, told.message) == (
            ServerEventKind.PROXY_DOWN,
            "The proxy of /data/proxy/dynamic stopped.",
        )

    async def test_only_seaways_own_server_is_looked_after_by_whoever_watches_it(self, store: Store):
        looked_after: list[str] = []

        async def look_after(server_id: str) -> None:
            looked_after.append(server_id)

        settings = WatchSettings(period=timedelta(seconds=PERIOD_SECONDS), check=timedelta(milliseconds=10))
        watcher = Watcher(store, FakeServer(), settings, look_after_local=look_after)  # type: ignore[arg-type]
        async with watcher:
            await eventually(lambda: len(looked_after) > 2)
        assert set(looked_after) == {"local"}

    async def test_seaways_own_server_is_watched_and_looked_after_at_once_when_there_is_an_engine(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(watcher_module, "CLAIM_SECONDS", 0.01)
        looked_after: list[str] = []
        has_engine = False

        async def look_after(server_id: str) -> None:
            looked_after.append(server_id)

        settings = WatchSettings(period=timedelta(seconds=PERIOD_SECONDS), check=timedelta(hours=1))
        server: Any = FakeServer()
        async with Watcher(
            store, server, settings, look_after_local=look_after, has_local=lambda: has_engine
        ) as watcher:
            await eventually(lambda: watcher.watched == {"far"})
            has_engine = True
            await eventually(lambda: watcher.watched == {"local", "far"} and looked_after == ["local"])

    async def test_a_server_does_not_keep_back_what_happens_on_another(self, store: Store):
        await an_application(store, "shop", team_id="team")
        watcher = self.watcher(store, FakeServer())
        late = datetime(9999, 1, 1, tzinfo=UTC)
        await watcher.died("far", death_of("shop", "shop-1", at=late), "It died.")
        await watcher.died("local", death_of("shop", "shop-1"), "It died.")
        assert len(await self.events(store, "local")) == 1
        [event] = await store.watch.events("far")
        assert event.at <= datetime.now(UTC)

    async def _is(self, store: Store, kinds: list[ServerEventKind]) -> bool:
        return sorted(await self.events(store)) == sorted(kinds)


async def _equals(found: Callable[[], Awaitable[object]], expected: object) -> bool:
    return await found() == expected


def death_of(application_id: str, name: str, at: datetime | None = None) -> ContainerEvent:
    labels = {**LABELS, "seaway.application": application_id}
    return ContainerEvent(at or datetime.now(UTC), ContainerAction.DIE, name, labels, exit_code=3)


async def an_application(store: Store, application_id: str, *, team_id: str) -> None:
    """Its row alone, which is all that the watch looks at."""
    environment_id = f"environment-{application_id}"
    async with store.database.writing() as session:
        if await session.get(Team, team_id) is None:
            session.add(Team(id=team_id, name=team_id))
            await session.flush()
        session.add(Project(id=f"project-{application_id}", team_id=team_id, name=application_id))
        await session.flush()
        session.add(Environment(id=environment_id, project_id=f"project-{application_id}", name="production"))
        await session.flush()
        session.add(
            Application(
                id=application_id,
                team_id=team_id,
                environment_id=environment_id,
                name=application_id,
                configuration_sealed="",
            )
        )
