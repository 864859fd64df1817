"""Points of servers and replicas: written, rolled up, kept, read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, func, select

from domain.metrics import AS_MEASURED, DEFAULT_RESOLUTIONS, Measure, Point, Resolution, Values, merged
from store import metrics
from store.metrics import Subject
from store.store import Store
from store.tables import MetricPoint

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
MEASURED, MINUTES, QUARTERS = DEFAULT_RESOLUTIONS
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(servers_store: Store) -> Store:
    return servers_store


def point(ago: timedelta, cpu: float, samples: int = 1) -> Point:
    values = Values(cpu_percent=cpu, memory_bytes=1000 * cpu, load=cpu / 100)
    return Point(int((NOW - ago).timestamp()), samples, values, values, 4000, 5000)


def measured(last: timedelta, period: timedelta = timedelta(seconds=10)) -> list[Point]:
    return [point(number * period, float(number % 7)) for number in range(last // period)]


async def rows(store: Store) -> dict[int, int]:
    query = select(MetricPoint.step_seconds, func.count()).group_by(col(MetricPoint.step_seconds))
    async with store.database.reading() as session:
        return dict((await session.exec(query)).all())


SERVER, REPLICA = Subject("local"), Subject("local", "shop", "shop-r-1")


async def test_what_was_written_is_read_by_subject_and_time(store: Store):
    points = measured(timedelta(minutes=5))
    await store.metrics.write([(SERVER, one) for one in points] + [(REPLICA, points[0])])
    since = NOW - timedelta(minutes=1)
    found = await store.metrics.of_server("local", step_seconds=AS_MEASURED, since=since, until=NOW)
    assert found == [one for one in reversed(points) if one.at >= since.timestamp()]
    of_shop = await store.metrics.of_application("shop", step_seconds=AS_MEASURED, since=since, until=NOW)
    assert of_shop == {REPLICA: [points[0]]}


async def test_a_second_sample_of_the_same_second_changes_nothing(store: Store):
    first, second = point(timedelta(0), 10), point(timedelta(0), 99)
    await store.metrics.write([(SERVER, first), (SERVER, second)])
    await store.metrics.write([(SERVER, second)])
    found = await store.metrics.of_server("local", step_seconds=AS_MEASURED, since=ALWAYS, until=NOW)
    assert found == [first]


async def test_only_points_of_the_servers_that_are_written_are_read_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    await store.metrics.write([(Subject(str(number)), point(timedelta(0), 1)) for number in range(20)])
    read: list[str] = []

    def reading(server_id: str, *rest: str) -> Subject:
        read.append(server_id)
        return Subject(server_id, *rest)

    written = [(Subject("1"), point(timedelta(0), 2)), (Subject("local"), point(timedelta(0), 2))]
    monkeypatch.setattr(metrics, "Subject", reading)
    await store.metrics.write(written)
    assert read == ["1"]
    assert (await rows(store)) == {AS_MEASURED: 21}


async def test_minutes_and_quarters_are_what_merging_the_samples_gives(store: Store):
    points = measured(timedelta(minutes=50))
    await store.metrics.write([(subject, one) for one in points for subject in (SERVER, REPLICA)])
    for finer, coarser in ((MEASURED, MINUTES), (MINUTES, QUARTERS)):
        await store.metrics.roll_up(["local"], finer=finer, coarser=coarser, since=0, now=NOW)
        step = coarser.step_seconds
        end = int(NOW.timestamp()) // step * step
        expected = [one for one in merged(points, step) if one.at < end]
        of_server = await store.metrics.of_server("local", step_seconds=step, since=ALWAYS, until=NOW)
        of_shop = await store.metrics.of_application("shop", step_seconds=step, since=ALWAYS, until=NOW)
        assert of_shop[REPLICA] == of_server
        assert [(one.at, one.samples, one.maximum) for one in of_server] == [
            (one.at, one.samples, one.maximum) for one in expected
        ]
        for found, wanted in zip(of_server, expected, strict=True):
            assert [found.average.of(measure) for measure in Measure] == pytest.approx(
                [wanted.average.of(measure) for measure in Measure]
            )


async def test_rolling_up_again_changes_nothing_and_goes_on_where_it_was(store: Store):
    await store.metrics.write([(SERVER, one) for one in measured(timedelta(minutes=10))])

    async def again(since: int, now: datetime) -> tuple[int, list[Point]]:
        on = await store.metrics.roll_up(["local"], finer=MEASURED, coarser=MINUTES, since=since, now=now)
        return on, await store.metrics.of_server("local", step_seconds=60, since=ALWAYS, until=now)

    on, first = await again(0, NOW)
    assert on == int(NOW.timestamp()) // 60 * 60
    assert await again(0, NOW) == (on, first)
    assert await again(on, NOW) == (on, first)
    _, later = await again(on, NOW + timedelta(minutes=1))
    assert later[:-1] == first


async def test_where_to_go_on_is_the_last_point_of_the_server_itself(store: Store):
    older, newer = point(timedelta(hours=2), 1), point(timedelta(hours=1), 1)
    for subject, one in ((SERVER, older), (SERVER, newer), (REPLICA, point(timedelta(0), 1))):
        await store.metrics.write([(subject, one)], step_seconds=60)
    await store.metrics.write([(SERVER, point(timedelta(0), 1))])
    newest = await store.metrics.newest_of_servers(["local", "far"], step_seconds=60)
    assert newest == {"local": newer.at, "far": 0}


async def test_minutes_whose_samples_are_gone_already_stay(store: Store):
    old = point(timedelta(hours=3), 50, samples=6)
    await store.metrics.write([(SERVER, old)], step_seconds=60)
    await store.metrics.roll_up(["local"], finer=MEASURED, coarser=MINUTES, since=0, now=NOW)
    assert await store.metrics.of_server("local", step_seconds=60, since=ALWAYS, until=NOW) == [old]


@pytest.mark.parametrize("is_left", [True, False])
async def test_minutes_stay_when_samples_are_to_be_kept_for_longer_than_they_were(
    store: Store, is_left: bool
):
    old = [point(timedelta(hours=hours, seconds=30), 50, samples=6) for hours in (3, 2, 1)]
    await store.metrics.write([(SERVER, one) for one in old], step_seconds=60)
    # Of the last minute that is stored, half the samples are gone.
    left = [point(timedelta(hours=1), 7), point(timedelta(minutes=30), 9)] if is_left else []
    await store.metrics.write([(SERVER, one) for one in left])
    longer = Resolution(AS_MEASURED, timedelta(days=1))
    await store.metrics.roll_up(["local"], finer=longer, coarser=MINUTES, since=0, now=NOW)
    found = await store.metrics.of_server("local", step_seconds=60, since=ALWAYS, until=NOW)
    assert found[: len(old)] == old
    assert [one.average.cpu_percent for one in found[len(old) :]] == [9.0] * is_left


async def test_nothing_is_kept_for_longer_than_it_shall_be(store: Store):
    for one in DEFAULT_RESOLUTIONS:
        just = [point(one.keep - timedelta(minutes=1), 1), point(one.keep + timedelta(minutes=1), 1)]
        await store.metrics.write([(SERVER, each) for each in just], step_seconds=one.step_seconds)
    await store.metrics.write([(Subject("a server that is gone"), point(timedelta(0), 1))])
    assert await rows(store) == {0: 3, 60: 2, 900: 2}
    await store.metrics.forget_old(DEFAULT_RESOLUTIONS, NOW)
    assert await rows(store) == {0: 1, 60: 1, 900: 1}
