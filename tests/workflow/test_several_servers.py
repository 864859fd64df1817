"""One application on several servers: built once, and switched on all of them or on none."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowFailureError

from activities import messages as m
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import ALL_HOOKS, OLD, PUSHED, plan_of
from tests.workflow.undo_cases import (
    BEFORE_SWITCH,
    DISCARD,
    REMOVE_COMMAND,
    REMOVE_NEW,
    RESUME_OLD,
    SWITCH_BACK,
)

SERVERS = ("east", "west", "north")
ON_ALL = set(SERVERS)
AFTER_SWITCH = [*SWITCH_BACK, *BEFORE_SWITCH]
ONCE = {"run-pre-deploy-command", "run-release-command", REMOVE_COMMAND, "run-post-deploy-command"}
CASES = [
    ("distribute-image", [DISCARD]),
    ("run-pre-deploy-command", [DISCARD]),
    ("run-release-command", [REMOVE_COMMAND, DISCARD]),
    ("start-replicas", BEFORE_SWITCH),
    ("check-health", BEFORE_SWITCH),
    ("apply-routes", AFTER_SWITCH),
    ("run-post-deploy-command", AFTER_SWITCH),
    ("drain-replicas", AFTER_SWITCH),
]


def plan_on(bench: Bench, *servers: str, host_ports: bool = False) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, hooks=ALL_HOOKS, servers=servers, host_ports=host_ports
    )


async def fails(bench: Bench) -> m.FinishDeployment:
    handle = await bench.deploy()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    [finish] = bench.fakes.finishes().values()
    return finish


def servers_of(bench: Bench, label: str) -> list[str]:
    return [call.server for call in bench.fakes.calls if call.label == label]


def undos_on(bench: Bench, server: str) -> list[str]:
    calls = [call for call in bench.fakes.calls if call.server == server]
    return [call.label for call in calls if call.label.startswith("undo ")]


@pytest.mark.parametrize(
    ("servers", "label", "undos"),
    [(SERVERS, *case) for case in CASES] + [(SERVERS[:2], "apply-routes", AFTER_SWITCH)],
    ids=lambda value: len(value) if isinstance(value, tuple) else value if isinstance(value, str) else "",
)
async def test_what_fails_on_the_second_server_is_undone_on_all(
    bench: Bench, servers: tuple[str, ...], label: str, undos: list[str]
) -> None:
    plan_on(bench, *servers)
    server = servers[0] if label in ONCE else "west"
    bench.fakes.fail(label, "release_unhealthy", "West is ill.", server=server)

    finish = await fails(bench)

    assert finish.status is DeploymentStatus.FAILED
    assert finish.error_message == "West is ill. The old version keeps serving."
    assert set(bench.fakes.undos()) == set(undos)
    for one in servers:  # Each goes back by itself, the newest first.
        assert undos_on(bench, one) == [undo for undo in undos if undo not in ONCE or one == servers[0]]
    for undo in undos:
        assert sorted(servers_of(bench, undo)) == sorted(servers[:1] if undo in ONCE else servers)
    routes = bench.fakes.messages("apply-routes")
    assert bool(routes) == ("undo apply-routes" in undos)
    assert {back.serve.release_id for back in bench.fakes.messages("undo apply-routes")} <= {OLD}
    assert "record-release" not in bench.fakes.labels()


async def test_no_server_switches_before_all_are_proven_healthy(bench: Bench) -> None:
    plan_on(bench, *SERVERS)
    held = bench.fakes.hold("check-health", server="north")
    handle = await bench.deploy()
    await held.has_begun()
    entries = bench.fakes.timeline.entries
    while entries.count("check-health ended") < 2:
        await bench.progress()
    assert servers_of(bench, "apply-routes") == []

    held.release()
    await ending(handle)

    healthy = max(at for at, entry in enumerate(entries) if entry == "check-health ended")
    assert entries.count("check-health ended") == 3
    assert healthy < entries.index("apply-routes began")


async def test_servers_that_have_switched_go_back_when_another_one_cannot(bench: Bench) -> None:
    plan_on(bench, *SERVERS)
    slow = bench.fakes.hold("apply-routes", server="west")
    bench.fakes.fail("apply-routes", "route_refused", server="west")
    handle = await bench.deploy()
    await slow.has_begun()
    entries = bench.fakes.timeline.entries
    while entries.count("apply-routes ended") < 2:
        await bench.progress()
    slow.release()

    with pytest.raises(WorkflowFailureError):
        await ending(handle)

    assert set(servers_of(bench, "undo apply-routes")) == ON_ALL
    [finish] = bench.fakes.finishes().values()
    assert {step.server: step.status for step in finish.steps if step.name is StepName.SWITCH} == {
        "east": StepStatus.COMPENSATED,
        "west": StepStatus.FAILED,
        "north": StepStatus.COMPENSATED,
    }


async def test_one_server_builds_and_sends_the_image_to_the_others(bench: Bench) -> None:
    plan_on(bench, *SERVERS)

    await ending(await bench.deploy())

    [resolve] = bench.fakes.messages("resolve-source")
    assert resolve.look_on == ("id-of-east", "id-of-west", "id-of-north")
    [build] = bench.fakes.messages("build-image")
    assert (build.server_id, build.sent_by) == ("id-of-east", "")
    sent = bench.fakes.messages("distribute-image")
    assert [message.server_id for message in sent] == ["id-of-east", "id-of-west", "id-of-north"]
    assert {(message.source.id, message.image) for message in sent} == {("id-of-east", build.image)}
    [finish] = bench.fakes.finishes().values()
    on = {name: [step.server for step in finish.steps if step.name is name] for name in StepName}
    assert on[StepName.RESOLVE_SOURCE] == on[StepName.BUILD] == ["east"]
    assert on[StepName.DISTRIBUTE] == list(SERVERS)
    assert {step.status for step in finish.steps} == {StepStatus.SUCCEEDED}


async def test_an_image_that_only_another_server_has_is_sent_from_there(bench: Bench) -> None:
    plan_on(bench, *SERVERS)
    bench.fakes.present_on = ("id-of-west",)

    await ending(await bench.deploy(OperationKind.ROLLBACK))

    [build] = bench.fakes.messages("build-image")
    assert (build.server_id, build.sent_by) == ("id-of-east", "west")
    assert {message.source.name for message in bench.fakes.messages("distribute-image")} == {"west"}


async def test_the_image_is_pushed_before_other_servers_get_it_by_the_server_that_has_it(
    bench: Bench,
) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, servers=SERVERS, push=PUSHED
    )
    bench.fakes.present_on = ("id-of-west",)

    await ending(await bench.deploy())

    labels = bench.fakes.labels()
    assert labels.index("build-image") < labels.index("push-image") < labels.index("distribute-image")
    [push] = bench.fakes.messages("push-image")
    assert (push.step.server, push.source.name) == ("east", "west")
    [publish] = bench.fakes.messages("publish-image")
    assert publish.server_id == "id-of-east"


async def test_a_push_that_fails_is_tried_again_without_another_build(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, push=PUSHED)
    bench.fakes.fail("push-image", "registry_unavailable", final=False, times=2)

    await ending(await bench.deploy())

    labels = bench.fakes.labels()
    assert (labels.count("build-image"), labels.count("push-image")) == (1, 3)


async def test_a_refused_push_ends_the_deployment_and_takes_its_image_back(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, push=PUSHED)
    bench.fakes.fail("push-image", "registry_refused", "It lets nobody in.")

    finish = await fails(bench)

    assert (finish.error_code, finish.error_message) == ("registry_refused", "It lets nobody in.")
    assert bench.fakes.undos() == ["undo withdraw-image", DISCARD]


async def test_an_image_that_all_servers_have_is_not_discarded(bench: Bench) -> None:
    plan_on(bench, *SERVERS)
    bench.fakes.image_present = True
    bench.fakes.fail("check-health", server="west")

    await fails(bench)

    assert set(bench.fakes.undos()) == {REMOVE_NEW, REMOVE_COMMAND}


async def test_a_failed_build_is_discarded_where_it_ran(bench: Bench) -> None:
    plan_on(bench, *SERVERS)
    bench.fakes.fail("build-image")

    finish = await fails(bench)

    assert servers_of(bench, DISCARD) == ["east"]
    assert {step.status for step in finish.steps if step.name is StepName.DISTRIBUTE} == {StepStatus.PENDING}


async def test_a_release_undone_after_its_switch_keeps_no_old_version_waiting_that_is_down(
    bench: Bench,
) -> None:
    plan_on(bench, *SERVERS, host_ports=True)
    bench.fakes.fail("run-post-deploy-command", server="east")

    await fails(bench)

    undos = ["undo apply-routes", REMOVE_NEW, RESUME_OLD, REMOVE_COMMAND, DISCARD]
    assert undos_on(bench, "east") == undos
    assert set(servers_of(bench, RESUME_OLD)) == ON_ALL


async def test_commands_run_once_and_not_on_each_server(bench: Bench) -> None:
    plan_on(bench, *SERVERS)

    await ending(await bench.deploy())

    for label in ("run-pre-deploy-command", "run-release-command", "run-post-deploy-command"):
        assert servers_of(bench, label) == ["east"]


@pytest.mark.parametrize("code", ["server_unreachable", "host_key_changed", "authentication_refused"])
async def test_a_server_that_is_lost_while_a_release_is_undone_is_passed_over(
    bench: Bench, code: str
) -> None:
    plan_on(bench, *SERVERS)
    bench.fakes.fail("check-health", "release_unhealthy", "North is ill.", server="north")
    bench.fakes.fail(REMOVE_NEW, code, "West does not answer.", server="west")

    finish = await fails(bench)

    assert finish.error_message == "North is ill. What is left on west goes once it is usable again."
    started = {step.server: step for step in finish.steps if step.name is StepName.START}
    assert {server: step.status for server, step in started.items()} == {
        "east": StepStatus.COMPENSATED,
        "west": StepStatus.FAILED,
        "north": StepStatus.COMPENSATED,
    }
    assert started["west"].message == "West does not answer."
    assert set(servers_of(bench, DISCARD)) == ON_ALL
    # Once it was waited for in vain, each further undo is tried there, and waits no more.
    lost = {one.step.server: one.step.is_lost for one in bench.fakes.messages(DISCARD)}
    assert lost == {"east": False, "west": True, "north": False}


async def test_a_server_that_is_waited_for_keeps_no_other_down(bench: Bench) -> None:
    plan_on(bench, *SERVERS, host_ports=True)
    bench.fakes.fail("check-health", "release_unhealthy", "West is ill.", server="west")
    west = bench.fakes.hold(REMOVE_NEW, server="west", stubborn=True)
    handle = await bench.deploy()

    async def are_back() -> bool:
        return set(servers_of(bench, RESUME_OLD)) == {"east", "north"}

    await west.has_begun()
    await eventually(are_back)
    west.release()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)

    assert set(servers_of(bench, RESUME_OLD)) == ON_ALL
    assert undos_on(bench, "west") == [REMOVE_NEW, RESUME_OLD, DISCARD]


async def test_a_server_that_is_lost_when_the_new_version_serves_does_not_hold_it_up(bench: Bench) -> None:
    plan_on(bench, *SERVERS)
    bench.fakes.fail("retire-replicas", "server_unreachable", "West does not answer.", server="west")

    result = await ending(await bench.deploy())

    assert result.status is DeploymentStatus.FINISHED
    [finish] = bench.fakes.finishes().values()
    stopped = {step.server: step.status for step in finish.steps if step.name is StepName.STOP_OLD}
    assert stopped == {
        "east": StepStatus.SUCCEEDED,
        "west": StepStatus.FAILED,
        "north": StepStatus.SUCCEEDED,
    }
    assert set(servers_of(bench, "clean-up")) == ON_ALL
    # It was waited for in vain once, and is not again by each step that follows.
    lost = {one.step.server: one.step.is_lost for one in bench.fakes.messages("clean-up")}
    assert lost == {"east": False, "west": True, "north": False}


@pytest.mark.parametrize("code", ["disk_full", "not_possible_now"])
async def test_a_server_where_the_way_back_cannot_be_written_keeps_what_visitors_get_there(
    bench: Bench, code: str
) -> None:
    plan_on(bench, *SERVERS)
    bench.fakes.fail("run-post-deploy-command", server="east")
    bench.fakes.fail("undo apply-routes", code, "The disk is full.", server="west")

    finish = await fails(bench)

    assert finish.status is DeploymentStatus.FAILED
    assert sorted(servers_of(bench, REMOVE_NEW)) == ["east", "north"]
    assert sorted(servers_of(bench, DISCARD)) == ["east", "north"]
    switched = {step.server: step.status for step in finish.steps if step.name is StepName.SWITCH}
    assert switched == {
        "east": StepStatus.COMPENSATED,
        "west": StepStatus.FAILED,
        "north": StepStatus.COMPENSATED,
    }


@pytest.mark.parametrize("is_away", [False, True], ids=["answers", "away before"])
async def test_a_server_that_is_left_lets_go_of_the_application_when_the_others_serve(
    bench: Bench, is_away: bool
) -> None:
    south = m.PlannedServer(id="id-of-south", name="south")

    def moved(command: m.Command) -> m.ReleasePlan:
        plan = plan_of(command.kind, command.deployment_id, servers=SERVERS)
        step = Step(name=StepName.STOP_OLD, server="south")
        away = (south.id,) if is_away else ()
        return plan.model_copy(update={"left": (south,), "away": away, "steps": (*plan.steps, step)})

    bench.fakes.plan = moved

    await ending(await bench.deploy())

    assert [call.label for call in bench.fakes.calls if call.server == "south"] == [
        "apply-routes",
        "drain-replicas",
        "retire-replicas",
    ]
    labels = bench.fakes.labels()
    assert labels.index("record-release") < labels.index("retire-replicas")
    [withdrawal] = [one for one in bench.fakes.messages("apply-routes") if one.server_id == south.id]
    [removal] = [one for one in bench.fakes.messages("retire-replicas") if one.server_id == south.id]
    assert (withdrawal.serve, removal.keep) == (None, None)
    assert withdrawal.step.is_lost is removal.step.is_lost is is_away
    [finish] = bench.fakes.finishes().values()
    assert {step.status for step in finish.steps if step.server == "south"} == {StepStatus.SUCCEEDED}
