"""Samples from counters, and what is left of them with time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.metrics import (
    AS_MEASURED,
    DEFAULT_RESOLUTIONS,
    MOST_POINTS,
    ContainerReading,
    HostReading,
    Measure,
    Point,
    Values,
    container_point,
    host_point,
    is_disk_above,
    merged,
    shown_step,
    stored_step,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = HostReading(
    at=NOON,
    busy_jiffies=1000,
    total_jiffies=10_000,
    processors=2,
    memory_bytes=3 * 2**30,
    memory_total_bytes=4 * 2**30,
    load=0.5,
    disk_bytes=30,
    disk_total_bytes=100,
)
REPLICA = ContainerReading(
    at=NOON,
    name="shop-1",
    application_id="shop",
    cpu_nanoseconds=10**9,
    memory_bytes=2**20,
    memory_limit_bytes=2**30,
    received_bytes=1000,
    sent_bytes=500,
)
LATER = NOON + timedelta(seconds=10)

numbers = some.floats(min_value=0, max_value=1e12)
values = some.builds(Values, numbers, numbers, numbers, numbers, numbers, numbers)


@some.composite
def points(draw: some.DrawFn) -> Point:
    average = draw(values)
    more = draw(values)
    maximum = Values(*(average.of(measure) + more.of(measure) for measure in Measure))
    return Point(draw(some.integers(0, 5000)), draw(some.integers(1, 90)), average, maximum)


class TestServers:
    def test_a_quarter_of_the_jiffies_busy_is_25_percent(self):
        later = replace(HOST, at=LATER, busy_jiffies=1500, total_jiffies=12_000)
        point = host_point(HOST, later)
        assert point is not None
        assert point.average.cpu_percent == 25
        assert point.average == point.maximum
        assert (point.at, point.samples) == (int(LATER.timestamp()), 1)

    def test_counters_that_began_anew_tell_nothing(self):
        assert host_point(HOST, replace(HOST, at=LATER, busy_jiffies=5, total_jiffies=50)) is None

    def test_two_readings_of_one_moment_tell_nothing(self):
        assert host_point(HOST, replace(HOST, total_jiffies=10_001)) is None

    @given(busy=some.integers(0, 10**9), total=some.integers(0, 10**9))
    def test_no_counters_give_more_than_all_processors(self, busy: int, total: int):
        point = host_point(HOST, replace(HOST, at=LATER, busy_jiffies=busy, total_jiffies=total))
        assert point is None or 0 <= point.average.cpu_percent <= 100


class TestReplicas:
    def test_two_seconds_of_processor_time_in_ten_are_20_percent_of_one(self):
        later = replace(REPLICA, at=LATER, cpu_nanoseconds=3 * 10**9, received_bytes=2000, sent_bytes=500)
        here = LATER + timedelta(minutes=7)
        point = container_point(REPLICA, later, here)
        assert point is not None
        assert point.average.cpu_percent == pytest.approx(20)
        assert point.average.received_bytes_per_second == 100
        assert point.average.sent_bytes_per_second == 0
        assert point.memory_total_bytes == 2**30
        assert (point.at, point.samples) == (int(here.timestamp()), 1)

    @pytest.mark.parametrize("counter", ["cpu_nanoseconds", "received_bytes", "sent_bytes"])
    def test_a_counter_that_fell_means_a_new_start(self, counter: str):
        later = replace(REPLICA, at=LATER, **{counter: 0})  # type: ignore[arg-type]
        assert container_point(REPLICA, later, LATER) is None


class TestDownSampling:
    @given(some.lists(points(), max_size=40), some.sampled_from([1, 10, 60, 900]))
    def test_every_sample_counts_once_and_nothing_exceeds_its_maximum(self, given: list[Point], step: int):
        found = merged(given, step)
        assert sum(point.samples for point in found) == sum(point.samples for point in given)
        assert [point.at for point in found] == sorted({point.at - point.at % step for point in given})
        for point in found:
            within = [one for one in given if one.at - one.at % step == point.at]
            for measure in Measure:
                assert point.maximum.of(measure) == max(one.maximum.of(measure) for one in within)
                assert point.average.of(measure) <= point.maximum.of(measure) * (1 + 1e-9)

    @given(some.lists(points(), min_size=1, max_size=40))
    def test_steps_in_between_change_nothing(self, given: list[Point]):
        direct, by_minutes = merged(given, 900), merged(merged(given, 60), 900)
        assert [(point.at, point.samples, point.maximum) for point in direct] == [
            (point.at, point.samples, point.maximum) for point in by_minutes
        ]
        for one, other in zip(direct, by_minutes, strict=True):
            for measure in Measure:
                assert one.average.of(measure) == pytest.approx(other.average.of(measure))


class TestSteps:
    @given(
        span=some.timedeltas(timedelta(seconds=0), timedelta(days=400)),
        asked=some.none() | some.integers(1, 10**6),
    )
    def test_no_answer_has_more_points_than_it_may(self, span: timedelta, asked: int | None):
        step = shown_step(NOON - span, NOON, asked, 10)
        assert step >= max(asked or 0, 10)
        assert span.total_seconds() / step <= MOST_POINTS

    @pytest.mark.parametrize(
        ("back", "stored"),
        [
            (timedelta(minutes=10), AS_MEASURED),
            (timedelta(hours=2), AS_MEASURED),
            (timedelta(hours=3), 60),
            (timedelta(days=2), 60),
            (timedelta(days=7), 900),
            (timedelta(days=90), 900),
        ],
    )
    def test_the_stored_points_are_the_finest_that_are_still_there(self, back: timedelta, stored: int):
        assert stored_step(NOON - back, NOON, DEFAULT_RESOLUTIONS) == stored


def test_a_disk_at_its_threshold_does_not_flutter():
    above, states = False, []
    for percent in (84.9, 85.0, 84.5, 83.1, 82.9, 84.0, 85.1):
        above = is_disk_above(percent, 85, above)
        states.append(above)
    assert states == [False, True, True, True, False, False, True]
