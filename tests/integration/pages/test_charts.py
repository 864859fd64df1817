"""The geometry and words of charts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from api.pages import charts
from api.pages.charts import Subject, Window, chart_of, in_bytes, in_percent, round_up
from domain.metrics import Measure, Point, Values

CPU = Subject("cpu", "Processors", Measure.CPU_PERCENT, in_percent, 100.0)
WINDOW = Window(1000, 2000, 100)


def point(at: int, cpu: float, most: float | None = None) -> Point:
    return Point(at, 1, Values(cpu), Values(cpu if most is None else most))


def test_a_line_goes_from_the_ground_to_the_top_and_from_left_to_right():
    chart = chart_of(CPU, {"one": [point(1000, 0), point(1100, 50), point(2000, 100)]}, WINDOW)
    average = chart.lines[1]
    assert average.path == "M62 156L119 83M632 10L633 10"
    assert average.area.count("Z") == 2
    assert [tick.label for tick in chart.values] == ["0 %", "25 %", "50 %", "75 %", "100 %"]
    assert [tick.label for tick in chart.times][-1] == "now"


def test_the_words_say_what_the_picture_shows():
    chart = chart_of(CPU, {"one": [point(1000, 10, 90), point(1100, 30)]}, WINDOW)
    assert chart.summary == "one: 30 % at the end, 20 % on average, 90 % at most."
    assert chart.now == "30 %"
    assert chart.columns == ("Average", "Maximum")
    assert chart.rows == ((1100, ("30 %", "30 %")), (1000, ("10 %", "90 %")))


def test_replicas_have_a_line_and_a_column_each_and_not_too_many():
    series = {f"replica {number}": [point(1000 + number, number)] for number in range(8)}
    chart = chart_of(CPU, series, WINDOW)
    assert [line.kind for line in chart.lines] == ["1", "2", "3", "4", "5", "6"]
    assert chart.columns == tuple(f"replica {number}" for number in range(6))
    assert len(chart.rows) == 6


def test_without_points_there_is_nothing_to_draw():
    chart = chart_of(CPU, {"one": []}, WINDOW)
    assert chart.summary == "Nothing was measured in this time."
    assert all(line.path == "" for line in chart.lines)


@given(some.lists(some.tuples(some.integers(0, 3000), some.floats(0, 1e15)), max_size=30))
def test_nothing_is_drawn_outside_the_frame(values: list[tuple[int, float]]):
    points = [point(at, value) for at, value in sorted(values)]
    subject = Subject("memory", "Memory", Measure.CPU_PERCENT, in_bytes)
    for line in chart_of(subject, {"one": points}, WINDOW).lines:
        for corner in line.path.replace("M", "L").split("L")[1:]:
            x, y = map(float, corner.split())
            assert charts.LEFT <= x <= charts.RIGHT + 1
            assert charts.TOP <= y <= charts.BOTTOM


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123e6, "123 MB"), (2e18, "2000 PB"), (-1, "0 B")],
)
def test_bytes_are_written_for_people(value: float, text: str):
    assert in_bytes(value) == text


@given(some.floats(charts.LEAST_TOP, 1e18))
def test_the_top_is_above_every_value_and_not_far(value: float):
    assert value <= round_up(value) * (1 + 1e-9)
    assert round_up(value) <= 2.5 * value
