"""One release after another under an open-loop load: no visitor ever sees a failure."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.configuration import RuntimeOptions
from domain.replicas import replica_name
from tests.harness.installation import SeawayInstallation
from tests.harness.repositories import GitRepository

REQUESTS_PER_SECOND = 100
TITLE = "Releases under load"
KEPT_IMAGES = 5


@dataclass(frozen=True)
class Series:
    """So many releases, while slow requests and WebSockets of these lengths are open all the time."""

    releases: int
    slow_seconds: float
    websocket_seconds: float

    def __str__(self) -> str:
        return f"{self.releases} releases"


def percentile(values: Sequence[float], percent: int) -> float:
    """Nearest rank."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100) - 1, 0)]


def durations(what: str, seconds: Sequence[float]) -> str:
    """One line of a table."""
    return (
        f"{what}: median {percentile(seconds, 50):.2f} s, p95 {percentile(seconds, 95):.2f} s, "
        f"min {min(seconds):.2f} s, max {max(seconds):.2f} s"
    )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "series",
    [
        pytest.param(Series(5, slow_seconds=2, websocket_seconds=2.5), id="5"),
        pytest.param(Series(100, slow_seconds=5, websocket_seconds=8), id="100", marks=pytest.mark.drill),
    ],
)
async def test_no_request_fails_however_often_one_releases(
    series: Series, seaway: SeawayInstallation, tmp_path: Path, tables: dict[str, list[str]]
) -> None:
    repository = await asyncio.to_thread(GitRepository, tmp_path)
    await asyncio.to_thread(repository.release, "v0")
    application = await seaway.create_application(repository, runtime=RuntimeOptions(drain_seconds=30))
    await seaway.release(application)
    whole: list[float] = []
    until_serving: list[float] = []
    last = ""
    lines = tables.setdefault(f"{TITLE}: {series}", [])
    load = seaway.load(
        application,
        rate_per_second=REQUESTS_PER_SECOND,
        slow_every_seconds=2,
        slow_seconds=series.slow_seconds,
        websockets=1,
        websocket_seconds=series.websocket_seconds,
    )
    try:
        async with load:
            for number in range(1, series.releases + 1):
                await asyncio.to_thread(repository.commit, {"VERSION": f"v{number}\n"}, f"Release {number}")
                began = time.monotonic()
                last = await seaway.release(application)
                whole.append(time.monotonic() - began)
                row = await seaway.store.deployments.get(last)
                assert row.serving_at is not None
                until_serving.append((row.serving_at - row.requested_at).total_seconds())
    finally:
        lines += load.report().summary().splitlines()[:5] if series.releases > 10 else []
        lines += [durations("asked for until it serves", until_serving)] if until_serving else []
        lines += [durations("asked for until the old version is gone", whole)] if whole else []
    report = load.report()
    lines.insert(0, f"{len(whole)} releases, {report.succeeded} requests, {report.failed} failed")
    report.assert_no_failures()
    assert {version.version for version in report.versions} == {
        f"v{number}" for number in range(series.releases + 1)
    }
    assert report.websocket_sessions > 0
    assert report.slow_succeeded > 0
    remains = await seaway.remains(application)
    assert remains.containers == {replica_name(application.id, last, 1): "running"}
    assert len(remains.images) == min(series.releases + 1, KEPT_IMAGES)
    assert remains.files == ()
    await seaway.remove(application)
