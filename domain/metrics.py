"""What a server and its replicas use: readings of counters, samples between two readings, down-sampling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

AS_MEASURED = 0
"""The step of points that were stored as they were measured, whatever the period was then."""

MINUTE_SECONDS = 60
QUARTER_SECONDS = 900
MOST_POINTS = 1500


class Measure(StrEnum):
    """What is measured. Of a server's processors 100 is all of them busy; of a replica's, one."""

    CPU_PERCENT = "cpu_percent"
    MEMORY_BYTES = "memory_bytes"
    DISK_BYTES = "disk_bytes"
    LOAD = "load"
    RECEIVED_BYTES_PER_SECOND = "received_bytes_per_second"
    SENT_BYTES_PER_SECOND = "sent_bytes_per_second"


@dataclass(frozen=True)
class HostReading:
    """A server's counters at one moment. Jiffies count from its start; the disk is the fullest looked at."""

    at: datetime
    busy_jiffies: int
    total_jiffies: int
    processors: int
    memory_bytes: int
    memory_total_bytes: int
    load: float
    disk_bytes: int
    disk_total_bytes: int
    disk_mount: str = "/"

    @property
    def disk_percent(self) -> float:
        """How full the disk is, as `df` reckons: of what ordinary users can fill."""
        return 100 * self.disk_bytes / self.disk_total_bytes if self.disk_total_bytes else 0.0


@dataclass(frozen=True)
class ContainerReading:
    """A container's counters at one moment. Processor time and traffic count from its start."""

    at: datetime
    name: str
    application_id: str
    cpu_nanoseconds: int
    memory_bytes: int
    memory_limit_bytes: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Values:
    """One number for each measure; what a subject does not have is 0."""

    cpu_percent: float = 0.0
    memory_bytes: float = 0.0
    disk_bytes: float = 0.0
    load: float = 0.0
    received_bytes_per_second: float = 0.0
    sent_bytes_per_second: float = 0.0

    def of(self, measure: Measure) -> float:
        """The number of this measure."""
        value: float = getattr(self, measure.value)
        return value


@dataclass(frozen=True)
class Point:
    """What was measured from `at` (whole seconds since 1970, UTC) for one step, by `samples` samples."""

    at: int
    samples: int
    average: Values
    maximum: Values
    memory_total_bytes: int = 0
    disk_total_bytes: int = 0


@dataclass(frozen=True)
class Resolution:
    """Points of one step, and how long they are kept."""

    step_seconds: int
    keep: timedelta


def resolutions(measured: timedelta, minutes: timedelta, quarters: timedelta) -> tuple[Resolution, ...]:
    """The three resolutions, finest first, with how long each is kept."""
    return (
        Resolution(AS_MEASURED, measured),
        Resolution(MINUTE_SECONDS, max(minutes, measured)),
        Resolution(QUARTER_SECONDS, max(quarters, minutes, measured)),
    )


DEFAULT_RESOLUTIONS = resolutions(timedelta(hours=2), timedelta(days=2), timedelta(days=30))


def host_point(earlier: HostReading, later: HostReading) -> Point | None:
    """What the server used between two readings; None when it was started anew between them."""
    elapsed = later.total_jiffies - earlier.total_jiffies
    if elapsed <= 0 or later.at <= earlier.at:
        return None
    # The kernel lets single fields of /proc/stat run backwards (proc(5), `iowait`).
    busy = min(max(later.busy_jiffies - earlier.busy_jiffies, 0), elapsed)
    values = Values(
        cpu_percent=100 * busy / elapsed,
        memory_bytes=later.memory_bytes,
        disk_bytes=later.disk_bytes,
        load=later.load,
    )
    return Point(_second(later.at), 1, values, values, later.memory_total_bytes, later.disk_total_bytes)


def container_point(earlier: ContainerReading, later: ContainerReading, at: datetime) -> Point | None:
    """What the container used between two readings; None when it was started anew between them.

    `at` is the time here: the readings are by the clock of the server, which may be another one.
    """
    seconds = (later.at - earlier.at).total_seconds()
    cpu = later.cpu_nanoseconds - earlier.cpu_nanoseconds
    received, sent = later.received_bytes - earlier.received_bytes, later.sent_bytes - earlier.sent_bytes
    if seconds <= 0 or min(cpu, received, sent) < 0:
        return None
    values = Values(
        cpu_percent=100 * cpu / (seconds * 1e9),
        memory_bytes=later.memory_bytes,
        received_bytes_per_second=received / seconds,
        sent_bytes_per_second=sent / seconds,
    )
    return Point(_second(at), 1, values, values, later.memory_limit_bytes)


def merged(points: Iterable[Point], step_seconds: int) -> list[Point]:
    """The points in steps that begin at multiples of the step: averages by samples, and maxima, in order."""
    steps: dict[int, list[Point]] = {}
    for point in points:
        steps.setdefault(point.at - point.at % step_seconds, []).append(point)
    return [_together(at, steps[at]) for at in sorted(steps)]


def _together(at: int, points: Sequence[Point]) -> Point:
    samples = sum(point.samples for point in points)
    average = {
        measure.value: sum(point.average.of(measure) * point.samples for point in points) / samples
        for measure in Measure
    }
    maximum = {measure.value: max(point.maximum.of(measure) for point in points) for measure in Measure}
    return Point(
        at,
        samples,
        Values(**average),
        Values(**maximum),
        max(point.memory_total_bytes for point in points),
        max(point.disk_total_bytes for point in points),
    )


def shown_step(since: datetime, until: datetime, asked_seconds: int | None, measured_seconds: int) -> int:
    """The step of an answer: what was asked for, or about 150 points; never more than `MOST_POINTS`."""
    span = max((until - since).total_seconds(), 1)
    least = max(-(-span // MOST_POINTS), measured_seconds)
    return int(max(asked_seconds or -(-span // 150), least))


def stored_step(since: datetime, now: datetime, kept: Sequence[Resolution] = DEFAULT_RESOLUTIONS) -> int:
    """Which stored points answer a question: the finest that are kept for so long, or else the coarsest.

    The finest are also the newest, because coarser points are made when their step is over.
    """
    return next((one.step_seconds for one in kept if now - since <= one.keep), kept[-1].step_seconds)


def is_disk_above(percent: float, threshold_percent: float, was_above: bool) -> bool:
    """Whether the disk counts as above its threshold; it falls below by two points, so as not to flutter."""
    return percent >= threshold_percent - (2 if was_above else 0)


def _second(at: datetime) -> int:
    return int(at.timestamp())
