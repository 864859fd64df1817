"""A cancelled deployment: the step ends first, then everything is undone; later it only goes forward."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from activities.messages import Progress
from domain.deployments import DeploymentStatus, StepName, StepStatus
from tests.workflow.bench import Bench, ending, running_worker
from tests.workflow.fake_activities import FakeActivities
from tests.workflow.plans import ALL_HOOKS, plan_of, short_plan
from tests.workflow.undo_cases import (
    AFTER_THE_POINT_OF_NO_RETURN,
    BEFORE_SWITCH,
    SWITCH_BACK,
    UNDO_CASES,
    UndoCase,
)
from workflows import names


def plan_with_everything(bench: Bench, *, host_ports: bool = False) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, hooks=ALL_HOOKS, host_ports=host_ports
    )


async def expect_cancelled(bench: Bench, handle: WorkflowHandle[Any, Any], undos: list[str]) -> None:
    with pytest.raises(WorkflowFailureError) as caught:
        await ending(handle)
    assert isinstance(caught.value.cause, CancelledError)
    description = await handle.describe()
    assert description.status is WorkflowExecutionStatus.CANCELED
    assert description.typed_search_attributes[names.OUTCOME] == "cancelled-by-user"
    assert bench.fakes.undos() == undos
    assert bench.fakes.labels()[-1] == "finish-deployment"
    [finish] = bench.fakes.messages("finish-deployment")
    assert (finish.status, finish.error_code) == (DeploymentStatus.CANCELLED, "cancelled")


@pytest.mark.thorough
@pytest.mark.parametrize("case", UNDO_CASES, ids=str)
async def test_a_cancelled_step_has_stopped_before_anything_is_undone(bench: Bench, case: UndoCase) -> None:
    plan_with_everything(bench, host_ports=case.host_ports)
    held = bench.fakes.hold(case.label)
    handle = await bench.deploy()
    await held.has_begun()

    await handle.cancel()

    await expect_cancelled(bench, handle, case.undos)
    entries = bench.fakes.timeline.entries
    cancelled_at = entries.index(f"{case.label} cancelled")
    following = [*case.undos, "finish-deployment"][0]
    assert entries[cancelled_at : cancelled_at + 3] == [
        f"{case.label} cancelled",
        f"{case.label} stopped",
        f"{following} began",
    ]


@pytest.mark.parametrize(
    ("label", "undos"),
    [
        ("begin-deployment", []),
        ("build-image", ["undo discard-image"]),
        ("apply-routes", [*SWITCH_BACK, *BEFORE_SWITCH]),
        ("drain-replicas", [*SWITCH_BACK, *BEFORE_SWITCH]),
    ],
)
async def test_a_cancellation_counts_although_the_step_was_done_anyway(
    bench: Bench, label: str, undos: list[str]
) -> None:
    plan_with_everything(bench)
    held = bench.fakes.hold(label, stubborn=True)
    handle = await bench.deploy()
    await held.has_begun()

    await handle.cancel()

    await expect_cancelled(bench, handle, undos)
    labels = bench.fakes.labels()
    assert labels[labels.index(label) + 1 :] == [*undos, "finish-deployment"]


async def test_a_deployment_cancelled_before_a_worker_saw_it_is_recorded_as_cancelled(
    bench: Bench, no_complaints: None
) -> None:
    late = Bench(bench.client, FakeActivities())
    handle = await late.deploy()
    await handle.cancel()

    async with running_worker(late):
        await expect_cancelled(late, handle, [])
    assert late.fakes.labels() == ["finish-deployment"]


@pytest.mark.parametrize("label", AFTER_THE_POINT_OF_NO_RETURN)
async def test_a_cancellation_after_the_point_of_no_return_changes_nothing(bench: Bench, label: str) -> None:
    bench.fakes.plan = short_plan
    held = bench.fakes.hold(label)
    handle = await bench.deploy()
    await held.has_begun()
    assert not (await bench.progress()).cancellable

    await handle.cancel()
    # The answer to a query shows that the workflow has seen the cancellation.
    assert not (await bench.progress()).cancellable
    held.release()

    assert (await ending(handle)).status is DeploymentStatus.FINISHED
    assert bench.fakes.undos() == []
    assert f"{label} cancelled" not in bench.fakes.timeline.entries
    [finish] = bench.fakes.messages("finish-deployment")
    assert finish.status is DeploymentStatus.FINISHED
    assert {step.status for step in finish.steps} == {StepStatus.SUCCEEDED}


@pytest.mark.parametrize("label", ["undo retire-replicas", "undo discard-image", "finish-deployment"])
async def test_a_further_cancellation_does_not_interrupt_the_compensation(bench: Bench, label: str) -> None:
    step = bench.fakes.hold("check-health")
    undo = bench.fakes.hold(label)
    handle = await bench.deploy()
    await step.has_begun()
    await handle.cancel()
    await undo.has_begun()
    assert not (await bench.progress()).cancellable

    await handle.cancel()
    assert not (await bench.progress()).cancellable
    undo.release()

    await expect_cancelled(bench, handle, ["undo retire-replicas", "undo discard-image"])
    assert f"{label} cancelled" not in bench.fakes.timeline.entries


async def test_a_cancellation_during_the_compensation_of_a_failure_leaves_it_a_failure(bench: Bench) -> None:
    bench.fakes.fail("check-health", "release_unhealthy")
    undo = bench.fakes.hold("undo retire-replicas")
    handle = await bench.deploy()
    await undo.has_begun()

    await handle.cancel()
    assert not (await bench.progress()).cancellable
    undo.release()

    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    assert bench.fakes.undos() == ["undo retire-replicas", "undo discard-image"]
    [finish] = bench.fakes.messages("finish-deployment")
    assert (finish.status, finish.error_code) == (DeploymentStatus.FAILED, "release_unhealthy")


async def test_a_cancellation_ends_the_step_on_every_server_first(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, servers=("east", "west"), build_once=False
    )
    holds = [bench.fakes.hold("build-image", server=server) for server in ("east", "west")]
    handle = await bench.deploy()
    await asyncio.gather(*[held.has_begun() for held in holds])

    await handle.cancel()

    await expect_cancelled(bench, handle, ["undo discard-image"] * 2)
    entries = bench.fakes.timeline.entries
    assert entries.count("build-image stopped") == 2
    last_stopped = max(at for at, entry in enumerate(entries) if entry == "build-image stopped")
    assert last_stopped < entries.index("undo discard-image began")


async def test_the_progress_tells_how_every_step_stands(bench: Bench) -> None:
    bench.fakes.skipped = {"build-image"}
    health = bench.fakes.hold("check-health")
    undo = bench.fakes.hold("undo retire-replicas")
    handle = await bench.deploy()
    await health.has_begun()

    running = await bench.progress()
    assert (running.status, running.cancellable) == (DeploymentStatus.IN_PROGRESS, True)
    assert [(step.name, step.status) for step in running.steps] == [
        (StepName.RESOLVE_SOURCE, StepStatus.SUCCEEDED),
        (StepName.BUILD, StepStatus.SKIPPED),
        (StepName.START, StepStatus.SUCCEEDED),
        (StepName.HEALTH, StepStatus.RUNNING),
        (StepName.SWITCH, StepStatus.PENDING),
        (StepName.DRAIN, StepStatus.PENDING),
        (StepName.STOP_OLD, StepStatus.PENDING),
        (StepName.CLEAN_UP, StepStatus.PENDING),
    ]
    [start] = [step for step in running.steps if step.name is StepName.START]
    assert start.message == "start-replicas done"
    assert start.started_at is not None
    assert start.finished_at is not None
    assert start.started_at <= start.finished_at

    await handle.cancel()
    await undo.has_begun()
    undoing = await bench.progress()
    assert (undoing.status, undoing.cancellable) == (DeploymentStatus.IN_PROGRESS, False)
    assert _status(undoing, StepName.HEALTH) is StepStatus.FAILED
    assert _status(undoing, StepName.START) is StepStatus.SUCCEEDED

    undo.release()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    ended = await bench.progress()
    assert ended.status is DeploymentStatus.CANCELLED
    assert _status(ended, StepName.START) is StepStatus.COMPENSATED


def _status(progress: Progress, name: StepName) -> StepStatus:
    [step] = [step for step in progress.steps if step.name is name]
    return step.status
