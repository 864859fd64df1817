"""From where on a release cannot be undone."""

from __future__ import annotations

import pytest

from domain.configuration import (
    ApplicationConfiguration,
    GitSource,
    Hooks,
    ImageSource,
    PortMapping,
    PushOptions,
    RuntimeOptions,
)
from domain.deployments import OperationKind, Step, StepName, StepStatus
from domain.release_planning import is_past_return, planned_steps

CONFIGURATION = ApplicationConfiguration(
    application_id="a1",
    name="application",
    team_id="t1",
    project_id="p1",
    server_ids=("s1", "s2"),
    source=ImageSource(reference="image"),
)
PUBLISHED = CONFIGURATION.model_copy(
    update={"runtime": RuntimeOptions(port_mappings=(PortMapping(host_port=8080, container_port=80),))}
)


def until(configuration: ApplicationConfiguration, name: StepName, kind: OperationKind) -> list[Step]:
    """All steps before this one are over, it runs on the first server, and what follows is pending."""
    steps = list(planned_steps(kind, configuration, ["first", "second"], replaces=True))
    running = next(index for index, step in enumerate(steps) if step.name is name)
    for index in range(running):
        steps[index] = steps[index].model_copy(update={"status": StepStatus.SUCCEEDED})
    steps[running] = steps[running].model_copy(update={"status": StepStatus.RUNNING})
    return steps


@pytest.mark.parametrize(
    ("name", "past"),
    [
        (StepName.BUILD, False),
        (StepName.SWITCH, False),
        (StepName.DRAIN, False),
        (StepName.STOP_OLD, True),
        (StepName.CLEAN_UP, True),
    ],
)
def test_a_release_can_be_undone_until_the_old_version_stops(name: StepName, past: bool) -> None:
    assert is_past_return(until(CONFIGURATION, name, OperationKind.DEPLOY)) is past


@pytest.mark.parametrize(
    ("name", "past"),
    [
        (StepName.STOP_OLD, False),
        (StepName.START, False),
        (StepName.HEALTH, False),
        (StepName.SWITCH, False),
        (StepName.CLEAN_UP, True),
    ],
)
def test_where_the_old_version_stops_first_it_can_be_undone_until_the_clean_up(
    name: StepName, past: bool
) -> None:
    assert is_past_return(until(PUBLISHED, name, OperationKind.DEPLOY)) is past


def test_a_stop_can_be_undone_while_it_drains() -> None:
    assert not is_past_return(until(CONFIGURATION, StepName.DRAIN, OperationKind.STOP))
    assert is_past_return(until(CONFIGURATION, StepName.STOP_OLD, OperationKind.STOP))


def test_what_has_not_begun_can_be_undone() -> None:
    assert not is_past_return([])


def test_commands_are_for_the_first_server_and_a_left_one_only_lets_go() -> None:
    hooks = Hooks(pre_deploy="a", release="b", post_deploy="c")
    configuration = CONFIGURATION.model_copy(update={"hooks": hooks})
    steps = planned_steps(
        OperationKind.DEPLOY, configuration, ["first", "second"], replaces=True, left=["third"]
    )
    on = {name: [step.server for step in steps if step.name is name] for name in StepName}
    assert on[StepName.PRE_DEPLOY] == on[StepName.RELEASE_COMMAND] == on[StepName.POST_DEPLOY] == ["first"]
    assert on[StepName.SWITCH] == ["first", "second"]
    assert on[StepName.STOP_OLD] == ["first", "second", "third"]
    assert on[StepName.CLEAN_UP] == ["first", "second"]


def test_there_is_no_old_version_to_ask_before_where_none_ran() -> None:
    configuration = CONFIGURATION.model_copy(update={"hooks": Hooks(pre_deploy="a")})
    steps = planned_steps(
        OperationKind.DEPLOY, configuration, ["first"], replaces=True, replaces_on_first=False
    )
    assert StepName.PRE_DEPLOY not in [step.name for step in steps]


@pytest.mark.parametrize(
    ("kind", "build_on", "planned"),
    [
        (OperationKind.DEPLOY, "second", [(StepName.PUSH, "second"), (StepName.PUBLISH, "second")]),
        (OperationKind.DEPLOY, None, [(StepName.PUSH, "first"), (StepName.PUBLISH, "first")]),
        (OperationKind.ROLLBACK, None, [(StepName.PUBLISH, "first")]),
        (OperationKind.RESTART, None, []),
        (OperationKind.STOP, None, []),
    ],
)
def test_who_builds_pushes_what_is_new_and_tags_what_serves(
    kind: OperationKind, build_on: str | None, planned: list[tuple[StepName, str]]
) -> None:
    pushed = CONFIGURATION.model_copy(
        update={
            "source": GitSource(repository="https://git.example.com/shop.git"),
            "push": PushOptions(name="registry.example.com/shop", tag="latest"),
        }
    )
    steps = planned_steps(kind, pushed, ["first", "second"], replaces=True, build_on=build_on)
    found = [(step.name, step.server) for step in steps if step.name in (StepName.PUSH, StepName.PUBLISH)]
    assert found == planned
    names = list(dict.fromkeys(step.name for step in steps))
    if StepName.PUSH in names:
        assert names.index(StepName.PUSH) == names.index(StepName.BUILD) + 1
    untagged = pushed.model_copy(update={"push": PushOptions(name="registry.example.com/shop")})
    assert not any(
        step.name is StepName.PUBLISH for step in planned_steps(kind, untagged, ["first"], replaces=True)
    )
    of_image = pushed.model_copy(update={"source": CONFIGURATION.source})
    assert not {StepName.PUSH, StepName.PUBLISH} & {
        step.name for step in planned_steps(kind, of_image, ["first"], replaces=True)
    }
