"""What the watch of servers asks of the database, on PostgreSQL; the rules are tested on SQLite."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.metrics import DEFAULT_RESOLUTIONS, Point, Values, merged
from domain.replica_states import ReplicaState, StandingReplica
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from store.metrics import Subject
from store.store import Store

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
LEASE = timedelta(seconds=25)
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)


async def test_points_are_rolled_up_and_forgotten(store: Store):
    subject = Subject("server-1", "shop", "shop-1")
    points = []
    for number in range(180):
        values = Values(cpu_percent=float(number % 7), memory_bytes=1000.5 * number)
        at = int((NOW - timedelta(seconds=10 * number)).timestamp())
        points.append(Point(at, 1, values, values, 4 * 10**12, 0))
    await store.metrics.write([(subject, point) for point in points])
    await store.metrics.write([(subject, points[0])])
    measured, minutes, _ = DEFAULT_RESOLUTIONS
    for _ in range(2):
        await store.metrics.roll_up(["server-1"], finer=measured, coarser=minutes, since=0, now=NOW)
        found = await store.metrics.of_application("shop", step_seconds=60, since=ALWAYS, until=NOW)
        end = int(NOW.timestamp()) // 60 * 60
        expected = [point for point in merged(points, 60) if point.at < end]
        assert [(one.at, one.samples, one.maximum) for one in found[subject]] == [
            (one.at, one.samples, one.maximum) for one in expected
        ]
        assert [one.average.cpu_percent for one in found[subject]] == pytest.approx(
            [one.average.cpu_percent for one in expected]
        )
    await store.metrics.forget_old(DEFAULT_RESOLUTIONS, NOW + timedelta(days=100))
    assert await store.metrics.of_application("shop", step_seconds=60, since=ALWAYS, until=NOW) == {}


async def test_workers_that_claim_at_once_never_watch_the_same_server(store: Store):
    await store.watch.claim("a first one", timedelta(seconds=-1))
    owned = await asyncio.gather(*(store.watch.claim(f"worker {number}", LEASE) for number in range(5)))
    claimed = [server_id for one in owned for server_id in one]
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 20
    for number in range(5):
        await store.watch.release(f"worker {number}")


async def test_changes_are_told_once(store: Store):
    await store.watch.claim("me", LEASE)
    for is_reachable in (False, False, True):
        status = ServerStatus.USABLE if is_reachable else ServerStatus.UNREACHABLE
        await store.watch.found_reachable("server-2", "me", is_reachable, "A message.", status)
    await store.watch.found_disk("server-2", "me", True, "90 % full.", "/")
    await store.watch.forget_old()
    assert [event.kind for event in await store.watch.events("server-2")] == [
        ServerEventKind.DISK_ABOVE_THRESHOLD,
        ServerEventKind.REACHABLE_AGAIN,
        ServerEventKind.UNREACHABLE,
    ]


async def test_how_replicas_stand_is_replaced(store: Store):
    one = StandingReplica("shop", "one", ReplicaState.RUNNING)
    await store.replicas.write("server-3", [one, StandingReplica("shop", "two", ReplicaState.EXITED)])
    await store.replicas.write("server-3", [StandingReplica("shop", "one", ReplicaState.PAUSED)])
    assert [(row.replica, row.state) for row in await store.replicas.on_server("server-3")] == [
        ("one", ReplicaState.PAUSED)
    ]
    moment = datetime.now(UTC).replace(microsecond=0)
    subject = Subject("server-3", "shop", "one")
    values = Values(cpu_percent=7.0)
    points = [Point(int(moment.timestamp()) - ago, 1, values, values) for ago in (20, 0, 10)]
    await store.metrics.write([(subject, point) for point in points])
    since = moment - timedelta(minutes=1)
    newest = await store.metrics.newest_of_replicas("server-3", since=since, until=moment)
    assert newest == {subject: points[1]}
