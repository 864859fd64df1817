"""Charts as lines within a fixed frame, for templates that draw them: pure geometry and words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from domain.metrics import Measure, Point

WIDTH, HEIGHT = 640, 180
LEFT, RIGHT, TOP, BOTTOM = 62, 632, 10, 156
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
MOST_LINES = 6
LEAST_TOP = 1e-6
# A line is broken where more than this many steps have no point.
WIDEST_GAP_STEPS = 2.5


@dataclass(frozen=True)
class Tick:
    """A place on an axis with its label."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """One line. `kind` is its number among those of the chart, or `maximum`; `area` reaches to the ground."""

    name: str
    kind: str
    path: str
    area: str = ""


@dataclass(frozen=True)
class Chart:
    """All that a template draws. `summary` says the same as the picture; `rows` are its numbers."""

    id: str
    title: str
    now: str
    summary: str
    lines: tuple[Line, ...]
    values: tuple[Tick, ...]
    times: tuple[Tick, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Subject:
    """What a chart is of: how it is called, what is measured, how numbers are written, where its top is."""

    id: str
    title: str
    measure: Measure
    write: Callable[[float], str]
    top: float | None = None


@dataclass(frozen=True)
class Window:
    """The time that a chart shows, in seconds since 1970."""

    since: float
    until: float
    step_seconds: int

    def place(self, at: float) -> float:
        """Where a moment is, from the left."""
        share = (at - self.since) / max(self.until - self.since, 1)
        return LEFT + min(max(share, 0), 1) * (RIGHT - LEFT)


def chart_of(subject: Subject, series: Mapping[str, Sequence[Point]], window: Window) -> Chart:
    """The chart of one measure; with a single line, its maxima are drawn as well."""
    shown = dict(list(series.items())[:MOST_LINES])
    is_single = len(shown) == 1
    numbers = [point.maximum.of(subject.measure) for points in shown.values() for point in points]
    top = subject.top or round_up(max(numbers, default=0.0))
    lines: list[Line] = []
    for number, (name, points) in enumerate(shown.items(), start=1):
        average = [(float(point.at), point.average.of(subject.measure)) for point in points]
        maximum = [(float(point.at), point.maximum.of(subject.measure)) for point in points]
        if is_single:
            lines.append(Line(f"{name}, maximum", "maximum", _path(maximum, top, window)))
        area = _path(average, top, window, is_area=True) if is_single else ""
        lines.append(Line(name, str(number), _path(average, top, window), area))
    newest = [points[-1].average.of(subject.measure) for points in shown.values() if points]
    return Chart(
        id=f"chart-{subject.id}",
        title=subject.title,
        now=subject.write(newest[0]) if is_single and newest else "",
        summary=_summary(subject, shown),
        lines=tuple(lines),
        values=tuple(
            Tick(_height(share * top, top), subject.write(share * top)) for share in (0, 0.25, 0.5, 0.75, 1)
        ),
        times=_times(window),
        columns=_columns(shown),
        rows=_rows(subject, shown),
    )


def in_percent(value: float) -> str:
    """`12 %`, and `0.4 %` where that would be none."""
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def in_bytes(value: float) -> str:
    """`1.5 GB`."""
    size = max(value, 0.0)
    unit = min(int(math.log10(size) // 3), len(UNITS) - 1) if size >= 1000 else 0
    scaled = size / 1000**unit
    return f"{scaled:.0f} {UNITS[unit]}" if scaled >= 100 or unit == 0 else f"{scaled:.1f} {UNITS[unit]}"


def in_bytes_per_second(value: float) -> str:
    """`1.5 MB/s`."""
    return f"{in_bytes(value)}/s"


def as_number(value: float) -> str:
    """`0.42`."""
    return f"{value:.2f}"


def round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 or 10 times a power of ten: a top whose quarters are readable."""
    if value < LEAST_TOP:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((power * factor for factor in (1, 2, 4, 8) if value <= power * factor), power * 10)


def _height(value: float, top: float) -> float:
    return round(BOTTOM - min(max(value / top, 0), 1) * (BOTTOM - TOP), 1)


def _path(points: Sequence[tuple[float, float]], top: float, window: Window, *, is_area: bool = False) -> str:
    """The line in the language of SVG paths (SVG 2, chapter 9), one part for each stretch without a gap."""
    stretches: list[list[tuple[float, float]]] = []
    before = -math.inf
    for at, value in points:
        if at - before > WIDEST_GAP_STEPS * window.step_seconds:
            stretches.append([])
        stretches[-1].append((round(window.place(at), 1), _height(value, top)))
        before = at
    parts = []
    for stretch in stretches:
        # A point alone would be invisible.
        drawn = stretch if len(stretch) > 1 else [stretch[0], (stretch[0][0] + 1, stretch[0][1])]
        corners = "L".join(f"{x:g} {y:g}" for x, y in drawn)
        ground = f"L{drawn[-1][0]:g} {BOTTOM}L{drawn[0][0]:g} {BOTTOM}Z" if is_area else ""
        parts.append(f"M{corners}{ground}")
    return "".join(parts)


def _times(window: Window) -> tuple[Tick, ...]:
    span = window.until - window.since
    labels = [_ago(span * (1 - share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    return tuple(
        Tick(LEFT + share * (RIGHT - LEFT), label)
        for share, label in zip((0, 0.25, 0.5, 0.75, 1), labels, strict=True)
    )


def _ago(seconds: float) -> str:
    # Relative times are right wherever the reader is.
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"-{seconds / size:.4g} {unit}"
    return "now" if seconds < 1 else f"-{seconds:.0f} s"


def _summary(subject: Subject, series: Mapping[str, Sequence[Point]]) -> str:
    sentences = []
    for name, points in series.items():
        if not points:
            continue
        samples = sum(point.samples for point in points)
        average = sum(point.average.of(subject.measure) * point.samples for point in points) / samples
        maximum = max(point.maximum.of(subject.measure) for point in points)
        newest = points[-1].average.of(subject.measure)
        sentences.append(
            f"{name}: {subject.write(newest)} at the end, {subject.write(average)} on average, "
            f"{subject.write(maximum)} at most."
        )
    return " ".join(sentences) or "Nothing was measured in this time."


def _columns(series: Mapping[str, Sequence[Point]]) -> tuple[str, ...]:
    return ("Average", "Maximum") if len(series) == 1 else tuple(series)


def _rows(subject: Subject, series: Mapping[str, Sequence[Point]]) -> tuple[tuple[int, tuple[str, ...]], ...]:
    by_time: dict[int, dict[str, Point]] = {}
    for name, points in series.items():
        for point in points:
            by_time.setdefault(point.at, {})[name] = point
    rows = []
    for at in sorted(by_time, reverse=True):
        found = by_time[at]
        if len(series) == 1:
            (point,) = found.values()
            cells: tuple[str, ...] = (
                subject.write(point.average.of(subject.measure)),
                subject.write(point.maximum.of(subject.measure)),
            )
        else:
            cells = tuple(
                subject.write(found[name].average.of(subject.measure)) if name in found else ""
                for name in series
            )
        rows.append((at, cells))
    return tuple(rows)


RANGES = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
