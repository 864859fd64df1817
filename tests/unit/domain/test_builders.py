"""The choice among build servers, and the words for whoever waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import (
    MOST_TRIES,
    Builder,
    by_preference,
    fits,
    is_taken_over,
    ordinal,
    taken_over_message,
    waiting_message,
)

BUILDERS = st.lists(
    st.builds(
        Builder,
        id=st.text("abc", min_size=1, max_size=4),
        is_warm=st.booleans(),
        limit=st.integers(1, 4),
        running=st.integers(0, 6),
        waiting=st.integers(0, 6),
    ),
    max_size=6,
)


@pytest.mark.parametrize(
    ("builders", "chosen"),
    [
        ([Builder("cold"), Builder("warm", is_warm=True)], "warm"),
        ([Builder("cold", limit=8), Builder("warm", is_warm=True, running=1)], "warm"),
        ([Builder("cold"), Builder("warm", is_warm=True, running=2)], "cold"),
        ([Builder("busy", running=1), Builder("idle")], "idle"),
        ([Builder("small"), Builder("large", limit=4)], "large"),
        ([Builder("long", running=2, waiting=3), Builder("short", running=2, waiting=1)], "short"),
        ([Builder("small", running=2, waiting=2), Builder("large", limit=8, running=8, waiting=3)], "large"),
        ([Builder("cold", running=2), Builder("warm", is_warm=True, running=2)], "warm"),
        ([Builder("freed", running=1, waiting=1), Builder("free", running=1)], "free"),
    ],
)
def test_a_free_slot_comes_first_then_a_warm_cache_then_room(builders: list[Builder], chosen: str) -> None:
    assert by_preference(builders)[0].id == chosen
    assert by_preference(reversed(builders))[0].id == chosen


@given(BUILDERS)
def test_nobody_waits_where_a_slot_is_free(builders: list[Builder]) -> None:
    ordered = by_preference(builders)

    assert sorted(ordered, key=repr) == sorted(builders, key=repr)
    free = [one.free > 0 for one in ordered]
    assert free == sorted(free, reverse=True)


@pytest.mark.parametrize(
    ("builder", "servers", "expected"),
    [
        ("amd64", ["amd64"], True),
        ("arm64", ["amd64"], False),
        ("", ["amd64"], True),
        ("amd64", [""], True),
        ("amd64", ["amd64", "arm64"], False),
        ("", ["amd64", "arm64"], False),
    ],
)
def test_an_image_must_run_on_every_server(builder: str, servers: list[str], expected: bool) -> None:
    assert fits(builder, servers) is expected


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (["shop"], "Queued: 2nd of 3 on anvil; 2 builds run there (shop)."),
        (["shop", "blog"], "Queued: 2nd of 3 on anvil; 2 builds run there (shop, blog)."),
        (["a", "b", "c", "d", "e"], "Queued: 2nd of 3 on anvil; 5 builds run there (a, b, c and 2 more)."),
        ([], "Queued: 2nd of 3 on anvil; 2 builds run there."),
    ],
)
def test_whoever_waits_is_told_for_whom(running: list[str], said: str) -> None:
    assert waiting_message("anvil", 2, 3, max(len(running), 2), running) == said


def test_one_build_is_one() -> None:
    assert (
        waiting_message("anvil", 1, 1, 1, ["shop"]) == "Queued: 1st of 1 on anvil; 1 build runs there (shop)."
    )


def test_places_are_counted_as_people_do() -> None:
    numbers = [1, 2, 3, 4, 11, 12, 13, 21, 112]
    assert [ordinal(number) for number in numbers] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th")
    ]


@pytest.mark.parametrize(
    ("code", "lost", "expected"),
    [
        ("server_unreachable", ["a"], True),
        ("server_unreachable", ["a", "b"], True),
        ("server_unreachable", ["a"] * MOST_TRIES, False),
        ("disk_full", ["a"], True),
        ("disk_full", ["a", "b"], False),
        ("host_key_changed", ["b", "a"], False),
        ("build_failed", ["a"], False),
        ("deadline_exceeded", ["a"], False),
    ],
)
def test_a_build_is_taken_over_where_another_machine_may_do_better(
    code: str, lost: list[str], expected: bool
) -> None:
    assert is_taken_over(code, lost, ["a", "b"]) is expected


def test_a_log_begins_with_why_another_server_builds() -> None:
    lost = "The build on a was lost (No answer)."
    assert taken_over_message("a", "b", "No answer.") == f"{lost} b builds instead."
    assert taken_over_message("a", "a", "No answer.") == f"{lost} a builds again."
