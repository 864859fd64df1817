"""The queue of an application: the newest deploy wins, a delete ends everything, all else keeps its place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from domain.deployments import OperationKind
from domain.queues import enqueue

DEPLOY, RESTART, STOP, DELETE = (
    OperationKind.DEPLOY,
    OperationKind.RESTART,
    OperationKind.STOP,
    OperationKind.DELETE,
)


@dataclass(frozen=True)
class Wish:
    number: int
    kind: OperationKind


def wishes(*kinds: OperationKind) -> list[Wish]:
    return [Wish(number, kind) for number, kind in enumerate(kinds)]


def enqueue_all(commands: list[Wish]) -> tuple[list[Wish], list[Wish]]:
    """What waits after all of them, and all that were superseded on the way."""

    def step(state: tuple[list[Wish], list[Wish]], new: Wish) -> tuple[list[Wish], list[Wish]]:
        waiting, superseded = enqueue(state[0], new)
        return waiting, [*state[1], *superseded]

    start: tuple[list[Wish], list[Wish]] = ([], [])
    return reduce(step, commands, start)


SOME_WISHES = st.lists(st.sampled_from(OperationKind), max_size=30).map(lambda kinds: wishes(*kinds))


def test_a_deploy_supersedes_the_one_that_waits_and_a_restart_keeps_its_place() -> None:
    older, restart, newer, stop = commands = wishes(DEPLOY, RESTART, DEPLOY, STOP)

    assert enqueue_all(commands) == ([restart, newer, stop], [older])


def test_a_delete_supersedes_everything_that_waits() -> None:
    *waiting, delete = commands = wishes(DEPLOY, RESTART, STOP, DELETE)

    assert enqueue_all(commands) == ([delete], waiting)


@given(SOME_WISHES)
def test_every_command_either_waits_or_is_superseded_and_never_both(commands: list[Wish]) -> None:
    waiting, superseded = enqueue_all(commands)

    assert sorted([*waiting, *superseded], key=lambda wish: wish.number) == commands


@given(SOME_WISHES)
def test_those_that_wait_keep_the_order_in_which_they_came(commands: list[Wish]) -> None:
    waiting, _ = enqueue_all(commands)

    assert waiting == sorted(waiting, key=lambda wish: wish.number)
    assert waiting[-1:] == commands[-1:]


@given(SOME_WISHES)
def test_at_most_one_deploy_waits_and_it_is_the_newest(commands: list[Wish]) -> None:
    waiting, _ = enqueue_all(commands)

    deploys = [wish for wish in commands if wish.kind is DEPLOY]
    waiting_deploys = [wish for wish in waiting if wish.kind is DEPLOY]
    assert waiting_deploys in ([], deploys[-1:])


@given(SOME_WISHES)
def test_only_a_delete_supersedes_anything_but_a_deploy(commands: list[Wish]) -> None:
    _, superseded = enqueue_all(commands)
    last_delete = max((wish.number for wish in commands if wish.kind is DELETE), default=-1)

    assert all(wish.kind is DEPLOY or wish.number < last_delete for wish in superseded)


@given(SOME_WISHES, st.sampled_from(OperationKind))
def test_a_queue_is_left_as_it_was_and_a_new_one_is_made(commands: list[Wish], kind: OperationKind) -> None:
    before = list(commands)
    enqueue(commands, Wish(99, kind))

    assert commands == before
