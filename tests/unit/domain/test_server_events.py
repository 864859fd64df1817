"""Which deaths of replicas are worth telling."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.server_events import MOST_LIVES, ContainerAction, ContainerEvent, Deaths

REPLICA = {"seaway.role": "replica", "seaway.application": "shop"}
A = ContainerAction


def event(
    action: ContainerAction, *, signal: int = 0, exit_code: int = 0, role: str = "replica"
) -> ContainerEvent:
    labels = {**REPLICA, "seaway.role": role}
    return ContainerEvent(datetime.now(UTC), action, "shop-r-1", labels, signal, exit_code)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([event(A.START), event(A.DIE, exit_code=1)], ["died with exit code 1."]),
        ([event(A.OOM), event(A.DIE, exit_code=137)], ["died with exit code 137, out of memory."]),
        (
            [event(A.OOM), event(A.DIE, exit_code=137), event(A.DIE, exit_code=137)],
            ["died with exit code 137, out of memory."] * 2,
        ),
        ([event(A.KILL, signal=9), event(A.DIE, exit_code=137)], ["died with exit code 137."]),
        ([event(A.KILL, signal=15), event(A.DIE, exit_code=143)], []),
        ([event(A.KILL, signal=15), event(A.KILL, signal=9), event(A.DIE, exit_code=137)], []),
        ([event(A.DIE, exit_code=1, role="release-command")], []),
        (
            [event(A.KILL, signal=15), event(A.DIE), event(A.START), event(A.DIE, exit_code=2)],
            ["died with exit code 2."],
        ),
        ([event(A.PAUSE), event(A.UNPAUSE), event(A.DESTROY)], []),
    ],
    ids=[
        "it ended by itself",
        "it ran out of memory",
        "it ran out of memory, which is heard again",
        "somebody killed it",
        "it was asked to stop",
        "it was asked to stop and did not listen",
        "it was no replica",
        "it was restarted and then crashed",
        "it did not die",
    ],
)
def test_a_death_is_told_unless_it_was_asked_for(events: list[ContainerEvent], told: list[str]):
    deaths = Deaths()
    heard = [reason for reason in map(deaths.hear, events) if reason]
    assert [reason.removeprefix("The replica shop-r-1 ") for reason in heard] == told


@pytest.mark.parametrize(
    "events",
    [
        [event(A.KILL, signal=15, role="proxy"), event(A.DIE, exit_code=0, role="proxy")],
        [event(A.START, role="proxy"), event(A.DIE, exit_code=0, role="proxy")],
    ],
    ids=["somebody stopped it", "it ended by itself"],
)
def test_every_end_of_a_proxy_is_told(events: list[ContainerEvent]):
    deaths = Deaths()
    assert [reason for reason in map(deaths.hear, events) if reason] == [
        "The proxy stopped with exit code 0."
    ]


@pytest.mark.parametrize(("signal", "told"), [(15, 0), (9, 1)])
def test_a_proxy_that_was_replaced_before_the_watch_began_is_not_told(signal: int, told: int):
    began = datetime.now(UTC) + timedelta(seconds=5)
    deaths = Deaths(began)
    events = [event(A.KILL, signal=signal, role="proxy"), event(A.DIE, role="proxy")]
    assert len([reason for reason in map(deaths.hear, events) if reason]) == told
    assert [deaths.hear(replace(one, at=began)) for one in events] == [
        None,
        "The proxy stopped with exit code 0.",
    ]


def test_containers_that_are_heard_of_and_never_end_are_not_kept_for_ever():
    deaths = Deaths()
    for number in range(2 * MOST_LIVES):
        for action in (ContainerAction.HEALTH, ContainerAction.OOM):
            deaths.hear(ContainerEvent(datetime.now(UTC), action, f"shop-{number}"))
    assert len(deaths._lives) <= MOST_LIVES
