"""A step that fails: everything is taken back, newest first, and the failure is told as it was."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from domain.deployments import DeploymentStatus, OperationKind, StepName, StepStatus
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import ALL_HOOKS, OLD, plan_of, short_plan
from tests.workflow.undo_cases import AFTER_THE_POINT_OF_NO_RETURN, UNDO_CASES, UndoCase
from workflows import names
from workflows.failures import Failure, told_at_the_end


def plan_with_everything(bench: Bench, *, host_ports: bool = False) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, hooks=ALL_HOOKS, host_ports=host_ports
    )


async def failure_of(bench: Bench, kind: OperationKind = OperationKind.DEPLOY) -> ApplicationError:
    handle = await bench.deploy(kind)
    with pytest.raises(WorkflowFailureError) as caught:
        await ending(handle)
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause


@pytest.mark.parametrize("case", UNDO_CASES, ids=str)
async def test_a_failing_step_undoes_all_that_was_done_newest_first(bench: Bench, case: UndoCase) -> None:
    plan_with_everything(bench, host_ports=case.host_ports)
    bench.fakes.fail(case.label, "release_unhealthy", "It did not come up. Look at its log.")

    error = await failure_of(bench)

    assert (error.type, error.message) == ("release_unhealthy", "It did not come up. Look at its log.")
    labels = bench.fakes.labels()
    failed_at = labels.index(case.label)
    assert labels[failed_at + 1 :] == [*case.undos, "finish-deployment"]
    [finish] = bench.fakes.finishes().values()
    end = f" The old version {'serves' if case.host_ports else 'keeps serving'}."
    if case.label == "begin-deployment":  # nobody knows yet whether there is one
        end = ""
    assert (finish.status, finish.error_code, finish.error_message) == (
        DeploymentStatus.FAILED,
        error.type,
        f"{error.message}{end}",
    )


async def test_the_steps_tell_which_failed_which_were_undone_and_which_never_ran(bench: Bench) -> None:
    plan_with_everything(bench)
    bench.fakes.skipped = {"run-pre-deploy-command"}
    bench.fakes.fail("check-health", "release_unhealthy", "It answers 500.")

    await failure_of(bench)

    [finish] = bench.fakes.finishes().values()
    assert {step.name: step.status for step in finish.steps} == {
        StepName.RESOLVE_SOURCE: StepStatus.SUCCEEDED,
        StepName.BUILD: StepStatus.COMPENSATED,
        StepName.PRE_DEPLOY: StepStatus.SKIPPED,
        StepName.RELEASE_COMMAND: StepStatus.COMPENSATED,
        StepName.START: StepStatus.COMPENSATED,
        StepName.HEALTH: StepStatus.FAILED,
        StepName.SWITCH: StepStatus.PENDING,
        StepName.POST_DEPLOY: StepStatus.PENDING,
        StepName.DRAIN: StepStatus.PENDING,
        StepName.STOP_OLD: StepStatus.PENDING,
        StepName.CLEAN_UP: StepStatus.PENDING,
    }
    [health] = [step for step in finish.steps if step.name is StepName.HEALTH]
    assert health.message == "It answers 500."
    assert (await bench.progress()).steps == finish.steps
    attributes = (await bench.deployment("new").describe()).typed_search_attributes
    assert attributes[names.OUTCOME] == "failed"


async def test_what_served_before_is_what_the_undo_puts_back(bench: Bench) -> None:
    plan_with_everything(bench)
    bench.fakes.fail("drain-replicas")

    await failure_of(bench)

    [back] = bench.fakes.messages("undo apply-routes")
    [drained] = bench.fakes.messages("undo drain-replicas")
    [removed] = bench.fakes.messages("undo retire-replicas")
    [discarded] = bench.fakes.messages("undo discard-image")
    assert {back.serve.release_id, drained.keep.release_id, removed.keep.release_id} == {OLD}
    assert discarded.image == f"seaway/application:{bench.id_of('new')}"


async def test_a_failed_first_deployment_leaves_no_route_and_no_replica(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, replaces=False)
    bench.fakes.fail("apply-routes", "route_refused")

    await failure_of(bench)

    [back] = bench.fakes.messages("undo apply-routes")
    [removed] = bench.fakes.messages("undo retire-replicas")
    assert back.serve is removed.keep is None


async def test_a_failed_stop_sends_the_traffic_back_and_waits_for_nobody(bench: Bench) -> None:
    bench.fakes.fail("drain-replicas")

    await failure_of(bench, OperationKind.STOP)

    assert bench.fakes.undos() == ["undo apply-routes"]


async def test_an_image_that_was_there_before_is_not_discarded(bench: Bench) -> None:
    bench.fakes.image_present = True
    bench.fakes.fail("check-health")

    await failure_of(bench)

    assert bench.fakes.undos() == ["undo retire-replicas"]


async def test_a_step_that_may_pass_is_tried_again_and_the_deployment_goes_on(bench: Bench) -> None:
    bench.fakes.fail("start-replicas", "engine_unavailable", final=False, times=2)

    result = await ending(await bench.deploy())

    assert result.status is DeploymentStatus.FINISHED
    assert bench.fakes.labels().count("start-replicas") == 3
    assert bench.fakes.undos() == []


async def test_an_undo_that_fails_three_times_is_tried_until_it_works(bench: Bench) -> None:
    bench.fakes.fail("check-health", "release_unhealthy")
    bench.fakes.fail("undo retire-replicas", "engine_unavailable", final=False, times=3)

    error = await failure_of(bench)

    assert error.type == "release_unhealthy"
    assert bench.fakes.undos() == [*["undo retire-replicas"] * 4, "undo discard-image"]
    [finish] = bench.fakes.finishes().values()
    assert finish.error_code == "release_unhealthy"


@pytest.mark.parametrize("label", AFTER_THE_POINT_OF_NO_RETURN)
async def test_after_the_point_of_no_return_a_step_is_tried_until_it_works(bench: Bench, label: str) -> None:
    bench.fakes.plan = short_plan
    bench.fakes.fail(label, "transient", final=False, times=3)

    result = await ending(await bench.deploy())

    assert result.status is DeploymentStatus.FINISHED
    assert bench.fakes.labels().count(label) == 4
    assert bench.fakes.undos() == []
    assert {finish.status for finish in bench.fakes.finishes().values()} == {DeploymentStatus.FINISHED}


@pytest.mark.parametrize("label", ["record-release", "retire-replicas", "clean-up"])
async def test_after_the_point_of_no_return_nothing_is_taken_back(bench: Bench, label: str) -> None:
    bench.fakes.plan = short_plan
    bench.fakes.fail(label, "internal", final=True)

    error = await failure_of(bench)

    assert error.type == "internal"
    assert bench.fakes.undos() == []
    assert set(bench.fakes.outcomes().values()) == {DeploymentStatus.FAILED}


async def test_the_record_of_a_failure_is_tried_until_it_works(bench: Bench) -> None:
    bench.fakes.fail("build-image", "build_failed")
    bench.fakes.fail("finish-deployment", "transient", final=False, times=3)

    error = await failure_of(bench)

    assert error.type == "build_failed"
    assert bench.fakes.labels().count("finish-deployment") == 4


async def test_a_failure_on_one_server_ends_the_step_on_the_other_before_anything_is_undone(
    bench: Bench,
) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, servers=("east", "west"), build_once=False
    )
    east = bench.fakes.hold("build-image", server="east")
    west = bench.fakes.hold("build-image", server="west")
    bench.fakes.fail("build-image", "build_failed", "No space left on west.", server="west")
    handle = await bench.deploy()
    await east.has_begun()
    await west.has_begun()
    west.release()

    with pytest.raises(WorkflowFailureError) as caught:
        await ending(handle)

    # The other server's build was only cancelled: that is not why the deployment ended.
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.type == "build_failed"
    [finish] = bench.fakes.finishes().values()
    assert (finish.status, finish.error_message) == (DeploymentStatus.FAILED, "No space left on west.")
    entries = bench.fakes.timeline.entries
    assert entries.index("build-image stopped") < entries.index("undo discard-image began")
    assert {call.server for call in bench.fakes.calls if call.label == "undo discard-image"} == {
        "east",
        "west",
    }
    assert {step.server: step.message for step in finish.steps if step.name is StepName.BUILD} == {
        "east": "Cancelled.",
        "west": "No space left on west.",
    }


@pytest.mark.parametrize(
    ("code", "has_served", "had_to_stop", "lost", "end"),
    [
        ("release_unhealthy", True, False, (), " The old version keeps serving."),
        ("command_failed", True, True, (), " The old version serves."),
        ("cancelled", True, False, (), " The old version keeps serving."),
        ("cancelled", False, False, (), ""),
        ("release_unhealthy", False, True, (), ""),
        ("cancelled", True, False, ("east",), " What is left on east goes once it is usable again."),
        ("source_incomplete", True, False, ("east",), ""),
    ],
)
def test_what_visitors_get_after_a_failure_is_said_where_it_is_known(
    code: str, has_served: bool, had_to_stop: bool, lost: tuple[str, ...], end: str
) -> None:
    failure = Failure(code, "It broke.", "evidence")
    told = told_at_the_end(failure, has_served=has_served, had_to_stop=had_to_stop, lost=lost)
    assert told == Failure(code, f"It broke.{end}", "evidence")
