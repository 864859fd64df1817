"""Which servers a release goes on without, and what its steps are then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.deployments import Step, StepName, StepStatus
from domain.errors import InvalidInput
from domain.release_policies import (
    LONGEST_NOTE,
    MAY_BE_LEFT_OUT,
    LeftOut,
    check_min_available,
    concerns_one_server,
    goes_on,
    is_behind,
    note_of,
    required_servers,
    steps_without,
)

COMMANDS = (StepName.PRE_DEPLOY, StepName.RELEASE_COMMAND, StepName.POST_DEPLOY)
NAMES = ("east", "west", "north")


@pytest.mark.parametrize(
    ("step", "code", "may"),
    [
        (StepName.HEALTH, "release_unhealthy", True),
        (StepName.START, "replica_refused", True),
        (StepName.DISTRIBUTE, "disk_full", True),
        (StepName.DISTRIBUTE, "deployment_failed", True),
        (StepName.SWITCH, "proxy_unavailable", True),
        (StepName.STOP_OLD, "server_unreachable", True),
        (StepName.RESOLVE_SOURCE, "server_unreachable", True),
        (StepName.RESOLVE_SOURCE, "unknown_revision", False),
        (StepName.BUILD, "disk_full", True),
        (StepName.BUILD, "host_key_changed", True),
        (StepName.BUILD, "build_failed", False),
        (StepName.BUILD, "deadline_exceeded", False),
        (StepName.DRAIN, "server_unreachable", True),
        (StepName.DRAIN, "engine_unavailable", False),
        (StepName.RELEASE_COMMAND, "command_failed", False),
        (StepName.PUSH, "server_unreachable", False),
        (StepName.EDGE, "server_unreachable", False),
        (StepName.HEALTH, "internal", False),
        (StepName.DISTRIBUTE, "registry_refused", False),
        (StepName.DISTRIBUTE, "registry_unavailable", True),
    ],
)
def test_only_what_is_a_servers_own_trouble_is_done_without(step: StepName, code: str, may: bool) -> None:
    assert concerns_one_server(step, code) is may


@pytest.mark.parametrize(
    ("min_available", "servers", "required"),
    [(None, 3, 3), (1, 3, 1), (2, 3, 2), (3, 3, 3), (5, 3, 3), (0, 3, 1), (None, 1, 1)],
)
def test_all_servers_are_required_unless_fewer_are_asked_for(
    min_available: int | None, servers: int, required: int
) -> None:
    assert required_servers(min_available, servers) == required


@given(
    step=st.sampled_from(StepName),
    codes=st.lists(st.sampled_from(["release_unhealthy", "server_unreachable", "build_failed", "internal"])),
    servers=st.integers(1, 50),
    min_available=st.none() | st.integers(1, 50),
)
def test_a_release_never_goes_on_with_fewer_servers_than_are_required(
    step: StepName, codes: list[str], servers: int, min_available: int | None
) -> None:
    required = required_servers(min_available, servers)
    on = goes_on(step, codes, servers, required)
    assert 1 <= required <= servers
    if on:
        assert servers - len(codes) >= required
        assert step in MAY_BE_LEFT_OUT | {StepName.DRAIN} or not codes
    if min_available is None and codes:
        assert not on


@pytest.mark.parametrize("wrong", [4, 50])
def test_more_servers_than_there_are_cannot_be_asked_for(wrong: int) -> None:
    with pytest.raises(InvalidInput, match="Choose at most 3") as refused:
        check_min_available(wrong, 3)
    assert list(refused.value.fields) == ["min_available"]


def test_a_swarm_is_one_place() -> None:
    with pytest.raises(InvalidInput, match="Remove min_available"):
        check_min_available(1, 1, on_swarm=True)
    check_min_available(None, 1, on_swarm=True)


@pytest.mark.parametrize(
    ("has", "current", "runs", "behind"),
    [
        ("new", "new", True, False),
        ("old", "new", True, True),
        (None, "new", True, True),
        ("old", "new", False, False),
        (None, None, True, False),
    ],
)
def test_a_server_is_behind_that_lacks_what_serves(
    has: str | None, current: str | None, runs: bool, behind: bool
) -> None:
    assert is_behind(has, current, runs=runs) is behind


def all_steps() -> tuple[Step, ...]:
    names = (StepName.RESOLVE_SOURCE, StepName.BUILD, StepName.PUSH, *COMMANDS)
    once = [Step(name=name, server="east") for name in names]
    each = [
        Step(name=name, server=server)
        for name in (StepName.DISTRIBUTE, StepName.START, StepName.HEALTH, StepName.SWITCH, StepName.DRAIN)
        for server in NAMES
    ]
    return (*once, *each, Step(name=StepName.EDGE, server="east"))


@given(
    left=st.sampled_from(NAMES),
    failed=st.sampled_from([StepName.DISTRIBUTE, StepName.START, StepName.HEALTH, StepName.SWITCH]),
    statuses=st.lists(st.sampled_from(StepStatus), min_size=22, max_size=22),
)
def test_without_a_server_every_step_is_still_there_once_and_done_by_somebody(
    left: str, failed: StepName, statuses: list[StepStatus]
) -> None:
    instead = next(name for name in NAMES if name != left)
    before = [
        step.model_copy(update={"status": status}) for step, status in zip(all_steps(), statuses, strict=True)
    ]
    after = steps_without(before, left, instead, failed, "It is ill.")

    assert [step.name for step in after] == [step.name for step in before]
    assert len({(step.name, step.server) for step in after}) == len(after)
    for old, new in zip(before, after, strict=True):
        if old.server != left or old.name is StepName.EDGE:
            assert new == old
        elif new.server == left and new.status is StepStatus.PENDING:
            assert new.name is StepName.RESOLVE_SOURCE
    # Telling it twice changes nothing, so that a repeated activity is harmless.
    assert steps_without(after, left, instead, failed, "It is ill.") == after
    [mark] = [step for step in after if step.server == left and step.name is failed]
    assert (mark.status, mark.message) == (StepStatus.FAILED, "It is ill.")


def test_what_only_the_first_server_was_to_do_another_one_does() -> None:
    after = steps_without(all_steps(), "east", "west", StepName.DISTRIBUTE, "It does not answer.")
    on = {step.name: step.server for step in after if step.name in (*COMMANDS, StepName.BUILD, StepName.PUSH)}
    assert set(on.values()) == {"west"}
    health = {step.server: step.status for step in after if step.name is StepName.HEALTH}
    assert health == {
        "east": StepStatus.SKIPPED,
        "west": StepStatus.PENDING,
        "north": StepStatus.PENDING,
    }


def test_the_note_names_each_server_and_why() -> None:
    assert note_of([]) == ""
    assert note_of([LeftOut("west", "It is ill.")]) == (
        "Released without west (It is ill). It keeps what it had until a later release gets there."
    )
    both = note_of([LeftOut("west", "It is ill."), LeftOut("north", "Disk full")])
    assert both.startswith("Released without west (It is ill), north (Disk full). They keep what they had")
    assert len(note_of([LeftOut("west", "x" * 5000)])) == LONGEST_NOTE
