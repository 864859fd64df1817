"""All servers watched by one of several processes, with stand-ins for what answers there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from domain.errors import ServerUnreachable, TransientError
from domain.metrics import AS_MEASURED, HostReading
from domain.server_events import ContainerAction, ContainerEvent, ServerEventKind
from domain.servers import ServerStatus
from seaway import server_watch
from seaway import watcher as watcher_module
from seaway.death_reports import MOST_DEATHS
from seaway.watcher import MOST_DISK_CHANGES, Watcher, WatchSettings
from store.metrics import Subject
from store.store import Store
from store.tables import Application, Environment, Project, Team
from tests.harness.waiting import eventually
from tests.harness.watched_servers import LABELS, PERIOD_SECONDS, REPLICA, FakeServer


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_watch, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(server_watch, "FIRST_PAUSE_SECONDS", 0.01)


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
            await eventually(lambda: awaited <= {subject for subject, _ in watcher.points.waiting})
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

    async def test_servers_are_left_to_others_also_when_the_last_points_are_refused(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ):
        async def write(points: Sequence[object]) -> None:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

        monkeypatch.setattr(store.metrics, "write", write)
        async with self.watcher(store, FakeServer()) as watcher:
            await eventually(lambda: watcher.watched == {"local", "far"})
        assert len(await store.watch.claim("another", timedelta(seconds=25))) == 2

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
            await eventually(lambda: watcher.watched == {"local", "far"} and bool(looked_after))
        assert looked_after == ["local"]

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
