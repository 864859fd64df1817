"""The slots of a build server: never more than its limit, in turns, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.build_slots import BuildSlots, admit, ask, release, with_limit

GROUPS = ("shop", "blog", "wiki")
WISHES = st.lists(st.sampled_from(GROUPS), max_size=12)


def asked(slots: BuildSlots, *wishes: str) -> BuildSlots:
    """Each wish is `group` and a number: "shop1"."""
    for wish in wishes:
        slots = ask(slots, wish, wish.rstrip("0123456789"))
    return slots


def order_of(slots: BuildSlots) -> list[str]:
    """In which order they build when one after the other ends."""
    order: list[str] = []
    slots, granted = admit(slots)
    while granted:
        order += granted
        slots, granted = admit(release(slots, slots.running[0].holder))
        if not granted and slots.running:
            slots, granted = admit(release(slots, slots.running[0].holder))
    return order


@pytest.mark.parametrize(
    ("limit", "wishes", "building", "waiting"),
    [
        (2, [], [], []),
        (2, ["shop1"], ["shop1"], []),
        (2, ["shop1", "shop2", "shop3"], ["shop1", "shop2"], ["shop3"]),
        (1, ["shop1", "blog1", "wiki1"], ["shop1"], ["blog1", "wiki1"]),
        (1, ["shop1", "shop2", "shop3", "blog1"], ["shop1"], ["shop2", "blog1", "shop3"]),
        (1, ["shop1", "shop2", "blog1", "blog2", "wiki1"], ["shop1"], ["shop2", "blog1", "wiki1", "blog2"]),
    ],
)
def test_projects_take_turns(limit: int, wishes: list[str], building: list[str], waiting: list[str]) -> None:
    slots = with_limit(BuildSlots(), limit)
    if wishes:
        slots, _ = admit(asked(slots, wishes[0]))
    slots, _ = admit(asked(slots, *wishes[1:]))

    assert list(slots.builds) == building
    assert [one.holder for one in slots.waiting] == waiting
    assert [slots.position(one) for one in waiting] == list(range(1, len(waiting) + 1))
    assert [slots.position(one) for one in building] == [0] * len(building)


def test_asking_twice_keeps_the_place_and_the_slot() -> None:
    slots, _ = admit(asked(BuildSlots(limit=1), "shop1", "blog1", "wiki1"))

    assert admit(asked(slots, "shop1", "wiki1", "blog1")) == (slots, ())


def test_whoever_goes_frees_the_slot_or_leaves_the_queue() -> None:
    slots, _ = admit(asked(BuildSlots(limit=1), "shop1", "blog1", "wiki1"))

    without_blog = release(slots, "blog1")
    assert (without_blog.position("wiki1"), admit(without_blog)[1]) == (1, ())
    assert admit(release(slots, "shop1"))[1] == ("blog1",)
    assert release(slots, "unknown") == slots


def test_a_lower_limit_ends_no_build_and_a_higher_one_begins_more() -> None:
    slots, _ = admit(asked(BuildSlots(limit=2), "shop1", "blog1", "wiki1", "shop2"))

    fewer, granted = admit(with_limit(slots, 1))
    assert (len(fewer.running), granted) == (2, ())
    assert admit(release(fewer, "shop1"))[1] == ()
    assert admit(with_limit(slots, 4))[1] == ("wiki1", "shop2")


def test_nobody_begins_before_those_that_wait() -> None:
    slots, _ = admit(asked(BuildSlots(limit=1), "shop1", "blog1"))

    assert slots.free == 0
    assert release(slots, "shop1").free == 0


def numbered(groups: list[str]) -> list[str]:
    counts: Counter[str] = Counter()
    wishes = []
    for group in groups:
        counts[group] += 1
        wishes.append(f"{group}{counts[group]}")
    return wishes


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(["ask", "end"]), st.sampled_from(GROUPS))))
def test_never_more_than_the_limit_and_nobody_is_lost_or_doubled(
    limit: int, happenings: list[tuple[str, str]]
) -> None:
    slots, known, number = BuildSlots(limit=limit), set[str](), 0
    for what, group in happenings:
        if what == "ask":
            number += 1
            known.add(f"{group}{number}")
            slots = asked(slots, f"{group}{number}")
        elif slots.running:
            known.discard(slots.running[0].holder)
            slots = release(slots, slots.running[0].holder)
        slots, _ = admit(slots)
        assert len(slots.running) <= limit
        assert sorted(slots.holders) == sorted(known)
        assert not slots.waiting or len(slots.running) == limit
        assert BuildSlots.model_validate_json(slots.model_dump_json()) == slots


@given(st.integers(1, 3), WISHES)
def test_everybody_builds_once_and_a_project_in_the_order_in_which_it_asked(
    limit: int, groups: list[str]
) -> None:
    wishes = numbered(groups)

    order = order_of(asked(BuildSlots(limit=limit), *wishes))

    assert sorted(order) == sorted(wishes)
    for group in GROUPS:
        of_group = [one for one in order if one.startswith(group)]
        assert of_group == [one for one in wishes if one.startswith(group)]


@given(WISHES, st.sampled_from(GROUPS))
def test_however_many_a_project_asks_for_another_waits_for_two_of_them_at_most(
    groups: list[str], late: str
) -> None:
    busy = [group for group in groups if group != late]
    slots, _ = admit(asked(BuildSlots(limit=1), *numbered(busy)))

    slots = asked(slots, f"{late}1")

    others = len(set(busy))
    assert slots.position(f"{late}1") <= 2 * others + 1


@given(st.integers(1, 40))
def test_a_waiting_build_is_not_passed_for_ever_by_those_that_come_later(newcomers: int) -> None:
    slots, _ = admit(asked(BuildSlots(limit=1), "shop1", "shop2", "shop3"))
    passed = 0
    for number in range(newcomers):
        slots = ask(slots, f"new{number}", f"project{number}")
        slots, (granted,) = admit(release(slots, slots.running[0].holder))
        if slots.position("shop3") == 0:
            break
        passed += granted.startswith("new")

    assert passed <= 3
