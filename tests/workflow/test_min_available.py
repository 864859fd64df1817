"""A release that goes on without servers, as many of them as its application allows."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowFailureError

from activities import messages as m
from domain.deployments import DeploymentStatus, OperationKind, StepName, StepStatus
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import ALL_HOOKS, OLD, PUSHED, plan_of
from tests.workflow.undo_cases import DISCARD, REMOVE_NEW, RESUME_OLD

pytestmark = pytest.mark.thorough

SERVERS = ("east", "west", "north")
STAYING = ["east", "north"]
WEST = "id-of-west"


def plan_on(bench: Bench, required: int = 2, *, host_ports: bool = False, build_once: bool = True) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind,
        command.deployment_id,
        hooks=ALL_HOOKS,
        servers=SERVERS,
        host_ports=host_ports,
        build_once=build_once,
        required=required,
    )


async def finishes(bench: Bench, kind: OperationKind = OperationKind.DEPLOY) -> m.FinishDeployment:
    await ending(await bench.deploy(kind))
    [finish] = bench.fakes.finishes().values()
    return finish


async def fails(bench: Bench) -> m.FinishDeployment:
    handle = await bench.deploy()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    [finish] = bench.fakes.finishes().values()
    return finish


def servers_of(bench: Bench, label: str) -> list[str]:
    return sorted(call.server for call in bench.fakes.calls if call.label == label)


def statuses(finish: m.FinishDeployment, name: StepName) -> dict[str, StepStatus]:
    return {step.server: step.status for step in finish.steps if step.name is name}


@pytest.mark.parametrize(
    ("label", "step", "undos"),
    [
        ("distribute-image", StepName.DISTRIBUTE, [DISCARD]),
        ("start-replicas", StepName.START, [REMOVE_NEW, DISCARD]),
        ("check-health", StepName.HEALTH, [REMOVE_NEW, DISCARD]),
        ("apply-routes", StepName.SWITCH, ["undo apply-routes", "undo drain-replicas", REMOVE_NEW, DISCARD]),
    ],
)
async def test_what_fails_on_one_server_is_undone_there_and_the_others_go_on(
    bench: Bench, label: str, step: StepName, undos: list[str]
) -> None:
    plan_on(bench)
    bench.fakes.fail(label, "release_unhealthy", "West is ill.", server="west")

    finish = await finishes(bench)

    assert (finish.status, finish.error_code) == (DeploymentStatus.FINISHED, "")
    assert finish.note.startswith("Released without west (West is ill). It keeps what it had")
    assert statuses(finish, step)["west"] is StepStatus.FAILED
    assert bench.fakes.undos() == undos
    assert {call.server for call in bench.fakes.calls if call.label in undos} == {"west"}
    assert statuses(finish, StepName.STOP_OLD) == {
        "east": StepStatus.SUCCEEDED,
        "west": StepStatus.SKIPPED,
        "north": StepStatus.SUCCEEDED,
    }
    for later in ("drain-replicas", "retire-replicas", "clean-up"):
        assert servers_of(bench, later) == STAYING
    [record] = bench.fakes.messages("record-release")
    assert record.serve.servers == ("id-of-east", "id-of-north")
    assert [(one.release_id, one.servers) for one in record.serve.elsewhere] == [(OLD, (WEST,))]
    [left] = bench.fakes.messages("leave-out-server")
    assert (left.server, left.instead, left.failed, left.message) == ("west", "east", step, "West is ill.")


async def test_a_server_left_out_that_is_waited_for_does_not_hold_up_the_way_back_of_the_others(
    bench: Bench,
) -> None:
    plan_on(bench)
    bench.fakes.fail("check-health", "release_unhealthy", "West is ill.", server="west")
    west = bench.fakes.hold(REMOVE_NEW, server="west", stubborn=True)
    bench.fakes.fail("run-post-deploy-command", "command_failed", "It cannot be.")
    handle = await bench.deploy()

    async def are_back() -> bool:
        return servers_of(bench, DISCARD) == STAYING

    await west.has_begun()
    await eventually(are_back)
    assert not bench.fakes.finishes()
    west.release()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    assert servers_of(bench, DISCARD) == sorted(SERVERS)
    assert servers_of(bench, REMOVE_NEW) == sorted(SERVERS)


async def test_what_fails_on_more_servers_than_may_is_undone_on_all(bench: Bench) -> None:
    plan_on(bench)
    for server in ("west", "north"):
        bench.fakes.fail("check-health", "release_unhealthy", "It is ill.", server=server)

    finish = await fails(bench)

    assert (finish.status, finish.note) == (DeploymentStatus.FAILED, "")
    assert servers_of(bench, REMOVE_NEW) == sorted(SERVERS)
    assert bench.fakes.messages("record-release") == []
    assert servers_of(bench, "apply-routes") == []


async def test_a_second_server_that_fails_later_ends_the_release_on_those_that_were_left(
    bench: Bench,
) -> None:
    plan_on(bench)
    bench.fakes.fail("start-replicas", "replica_refused", "West is full.", server="west")
    bench.fakes.fail("apply-routes", "route_refused", "North is ill.", server="north")

    finish = await fails(bench)

    assert finish.error_message == "North is ill."
    assert servers_of(bench, "undo apply-routes") == STAYING
    assert servers_of(bench, REMOVE_NEW) == sorted(SERVERS)
    assert servers_of(bench, DISCARD) == sorted(SERVERS)


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("build-image", "build_failed"),
        ("run-release-command", "command_failed"),
        ("check-health", "internal"),
    ],
)
async def test_what_is_no_servers_own_trouble_ends_the_release(bench: Bench, label: str, code: str) -> None:
    plan_on(bench, 1)
    bench.fakes.fail(label, code, "It broke.")

    finish = await fails(bench)

    assert finish.error_code == code
    assert finish.error_message.startswith("It broke.")
    assert bench.fakes.messages("leave-out-server") == []


async def test_a_post_deploy_command_that_fails_puts_the_servers_that_went_on_back(bench: Bench) -> None:
    plan_on(bench)
    bench.fakes.fail("check-health", "release_unhealthy", server="west")
    bench.fakes.fail("run-post-deploy-command", "command_failed")

    await fails(bench)

    assert servers_of(bench, "undo apply-routes") == STAYING
    assert servers_of(bench, REMOVE_NEW) == sorted(SERVERS)


async def test_another_server_builds_where_the_first_one_is_full(bench: Bench) -> None:
    plan_on(bench)
    bench.fakes.fail("build-image", "disk_full", "No room.", server="east")

    finish = await finishes(bench)

    assert servers_of(bench, "build-image") == ["east", "west"]
    assert {message.source.name for message in bench.fakes.messages("distribute-image")} == {"west"}
    assert servers_of(bench, "distribute-image") == ["north", "west"]
    assert statuses(finish, StepName.BUILD) == {"west": StepStatus.SUCCEEDED}
    assert statuses(finish, StepName.DISTRIBUTE)["east"] is StepStatus.FAILED
    for label in ("run-pre-deploy-command", "run-release-command", "run-post-deploy-command"):
        assert servers_of(bench, label) == ["west"]


async def test_servers_that_are_out_of_reach_are_left_out_before_anything_is_built(bench: Bench) -> None:
    plan_on(bench, 1)
    bench.fakes.unreached = tuple(
        m.Unreached(server_id=f"id-of-{one}", code="server_unreachable", message="It does not answer.")
        for one in ("east", "west")
    )

    finish = await finishes(bench)

    assert servers_of(bench, "build-image") == ["north"]
    assert servers_of(bench, "apply-routes") == ["north"]
    assert statuses(finish, StepName.DISTRIBUTE) == {
        "east": StepStatus.FAILED,
        "west": StepStatus.FAILED,
        "north": StepStatus.SUCCEEDED,
    }
    assert finish.note.startswith("Released without east (It does not answer), west (It does not answer).")


async def test_too_many_servers_out_of_reach_end_the_release(bench: Bench) -> None:
    plan_on(bench)
    bench.fakes.unreached = tuple(
        m.Unreached(server_id=f"id-of-{one}", code="server_unreachable", message="It does not answer.")
        for one in ("east", "west")
    )

    finish = await fails(bench)

    assert (finish.error_code, finish.error_message) == ("server_unreachable", "It does not answer.")
    assert servers_of(bench, "build-image") == []


async def test_servers_that_build_for_themselves_are_left_out_one_by_one(bench: Bench) -> None:
    plan_on(bench, build_once=False)
    bench.fakes.fail("build-image", "disk_full", "No room.", server="west")

    finish = await finishes(bench)

    assert statuses(finish, StepName.BUILD)["west"] is StepStatus.FAILED
    assert servers_of(bench, "apply-routes") == STAYING


async def test_an_old_version_that_had_to_stop_comes_back_on_a_server_that_is_left_out(bench: Bench) -> None:
    plan_on(bench, host_ports=True)
    bench.fakes.fail("check-health", "release_unhealthy", server="west")

    await finishes(bench)

    assert servers_of(bench, RESUME_OLD) == ["west"]
    assert bench.fakes.undos() == [REMOVE_NEW, RESUME_OLD, DISCARD]


async def test_a_server_that_is_left_out_holds_the_others_up_only_at_the_end(bench: Bench) -> None:
    plan_on(bench)
    bench.fakes.fail("check-health", "release_unhealthy", server="west")
    held = bench.fakes.hold(REMOVE_NEW, server="west")
    handle = await bench.deploy()
    await held.has_begun()
    while "record-release" not in bench.fakes.labels():
        await bench.progress()
    assert bench.fakes.messages("finish-deployment") == []

    held.release()
    await ending(handle)


async def test_a_cancellation_waits_for_a_server_that_is_being_put_back(bench: Bench) -> None:
    plan_on(bench)
    bench.fakes.fail("start-replicas", "replica_refused", server="west")
    undoing = bench.fakes.hold(REMOVE_NEW, server="west")
    checking = bench.fakes.hold("check-health", server="north")
    handle = await bench.deploy()
    await undoing.has_begun()
    await checking.has_begun()
    await handle.cancel()
    while bench.fakes.timeline.entries.count("check-health stopped") < 1:
        await bench.progress()
    undoing.release()

    with pytest.raises(WorkflowFailureError):
        await ending(handle)

    [finish] = bench.fakes.finishes().values()
    assert (finish.status, finish.note) == (DeploymentStatus.CANCELLED, "")
    assert "undo retire-replicas cancelled" not in bench.fakes.timeline.entries
    assert servers_of(bench, REMOVE_NEW) == sorted(SERVERS)


async def test_a_server_lost_while_the_old_version_drains_has_the_new_one(bench: Bench) -> None:
    plan_on(bench)
    bench.fakes.fail("drain-replicas", "server_unreachable", "West is away.", server="west")

    finish = await finishes(bench)

    assert finish.note == ""
    [record] = bench.fakes.messages("record-release")
    assert record.serve.servers == ()  # all of the plan
    assert bench.fakes.undos() == []
    assert servers_of(bench, "retire-replicas") == sorted(SERVERS)


async def test_a_push_that_the_server_left_out_was_to_make_another_one_makes(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, servers=SERVERS, push=PUSHED, required=2
    )
    bench.fakes.fail("check-health", "release_unhealthy", server="east")

    await finishes(bench)

    assert servers_of(bench, "push-image") == ["east"]
    assert servers_of(bench, "publish-image") == ["west"]
    assert "undo withdraw-image" not in bench.fakes.undos()


async def test_a_scaling_brings_a_server_that_is_behind_all_replicas(bench: Bench) -> None:
    def plan(command: m.Command) -> m.ReleasePlan:
        scaling = plan_of(
            command.kind, command.deployment_id, servers=SERVERS, replicas_before=2, replicas=3, required=2
        )
        assert scaling.served is not None
        older = m.Served(configuration_of="older", release_id="older", replicas=1, servers=(WEST,))
        served = scaling.served.model_copy(
            update={"servers": ("id-of-east", "id-of-north"), "elsewhere": (older,)}
        )
        return scaling.model_copy(update={"served": served})

    bench.fakes.plan = plan

    await finishes(bench, OperationKind.SCALE)

    first = {start.server_id: start.first for start in bench.fakes.messages("start-replicas")}
    assert first == {"id-of-east": 3, WEST: 1, "id-of-north": 3}


async def test_a_release_without_servers_is_rebuilt_from_its_history(forgetful_bench: Bench) -> None:
    plan_on(forgetful_bench)
    forgetful_bench.fakes.fail("check-health", "release_unhealthy", "West is ill.", server="west")

    finish = await finishes(forgetful_bench)

    assert finish.note.startswith("Released without west (West is ill).")
    assert servers_of(forgetful_bench, "apply-routes") == STAYING
