"""Points of servers on their way to the database."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError

from domain.metrics import AS_MEASURED, DEFAULT_RESOLUTIONS, Point, Values
from seaway.metric_points import MOST_WAITING, MetricPoints
from store.metrics import Subject
from store.store import Store


@pytest.fixture
def store(servers_store: Store) -> Store:
    return servers_store


@pytest.mark.parametrize(
    "lie",
    [
        {"memory_total_bytes": 10**30},
        {"average": Values(float("inf"))},
        {"maximum": Values(load=float("nan"))},
        {"at": 0},
    ],
)
async def test_impossible_numbers_of_one_server_keep_back_nobody_elses(store: Store, lie: dict[str, Any]):
    points = MetricPoints(store.metrics, DEFAULT_RESOLUTIONS)
    now = datetime.now(UTC)
    point = Point(int(now.timestamp()), 1, Values(), Values())
    points.add(Subject("far"), replace(point, **lie), servers=1)
    points.add(Subject("local"), point, servers=1)
    await points.write()
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
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, tries_left: int
):
    points = MetricPoints(store.metrics, DEFAULT_RESOLUTIONS)

    async def write(points: Sequence[object]) -> None:
        raise error

    monkeypatch.setattr(store.metrics, "write", write)
    points.add(Subject("local"), Point(int(datetime.now(UTC).timestamp()), 1, Values(), Values()), servers=1)
    for _ in range(2):
        with contextlib.suppress(type(error)):
            await points.write()
    assert len(points.waiting) == tries_left


async def test_what_a_server_sends_without_end_keeps_back_nobody_elses(store: Store):
    points = MetricPoints(store.metrics, DEFAULT_RESOLUTIONS)
    now = datetime.now(UTC)
    point = Point(int(now.timestamp()), 1, Values(), Values())
    for number in range(MOST_WAITING + 10):
        points.add(Subject("far", "shop", str(number)), point, servers=1)
    points.add(Subject("local"), point, servers=1)
    assert len(points.waiting) == MOST_WAITING + 1
    await points.write()
    span = {"since": now - timedelta(minutes=1), "until": now, "step_seconds": AS_MEASURED}
    assert await store.metrics.of_server("local", **span) == [point]  # type: ignore[arg-type]


async def test_points_are_rolled_up_from_where_it_ended_also_after_a_new_start_or_a_failure(
    store: Store, monkeypatch: pytest.MonkeyPatch
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
    points = MetricPoints(store.metrics, DEFAULT_RESOLUTIONS)
    both, alone = frozenset({"local", "far"}), frozenset({"far"})
    await points.roll_up(both)
    assert since == {"local": 6000, "far": 0}
    errors.append(OperationalError("INSERT", {}, OSError("The connection is lost.")))
    with pytest.raises(OperationalError):
        await points.roll_up(both)
    await points.roll_up(both)
    assert since == {"local": 120_000, "far": 120_000}
    # Whoever had it meanwhile has gone further, or not so far.
    await points.roll_up(alone)
    await points.roll_up(both)
    assert since == {"local": 6000, "far": 120_000}
