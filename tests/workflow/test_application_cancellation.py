"""Cancelling a command of an application's queue, wherever it stands."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from activities.messages import CancelReceipt
from domain.deployments import DeploymentStatus, OperationKind
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import short_plan

DEPLOY, RESTART = OperationKind.DEPLOY, OperationKind.RESTART
FINISHED, CANCELLED = DeploymentStatus.FINISHED, DeploymentStatus.CANCELLED


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.fakes.plan = short_plan
    return bench


async def test_a_waiting_command_is_withdrawn_and_never_begins(bench: Bench) -> None:
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    for name in ("running", "waiting", "last"):
        await bench.submit(bench.command(RESTART, name))
    await held.has_begun()

    receipt = await bench.cancel("waiting")

    assert receipt == CancelReceipt(deployment_id=bench.id_of("waiting"), was_queued=True)
    await bench.until_recorded("waiting")
    assert bench.fakes.ended == {bench.id_of("waiting")}  # the running one runs on
    held.release()
    await bench.until_recorded("running", "last")
    assert bench.fakes.begun() == [bench.id_of("running"), bench.id_of("last")]
    assert bench.fakes.outcomes() == {
        bench.id_of("running"): FINISHED,
        bench.id_of("waiting"): CANCELLED,
        bench.id_of("last"): FINISHED,
    }


async def test_the_running_command_undoes_everything_before_the_next_one_begins(bench: Bench) -> None:
    step = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    undo = bench.fakes.hold("undo apply-routes", deployment_id=bench.id_of("running"))
    await bench.submit(bench.command(RESTART, "running"))
    await bench.submit(bench.command(RESTART, "next"))
    await step.has_begun()

    receipt = await bench.cancel("running")
    assert receipt == CancelReceipt(deployment_id=bench.id_of("running"), was_running=True)
    await undo.has_begun()
    assert (await bench.cancel("running")).was_running  # once more changes nothing
    undo.release()
    await bench.until_recorded("running", "next")

    assert bench.fakes.outcomes() == {bench.id_of("running"): CANCELLED, bench.id_of("next"): FINISHED}
    assert bench.fakes.most_at_once == 1
    assert bench.fakes.begun() == [bench.id_of("running"), bench.id_of("next")]
    assert "undo apply-routes cancelled" not in bench.fakes.timeline.entries
    with pytest.raises(WorkflowFailureError):
        await ending(bench.deployment("running"))
    assert (await bench.deployment("running").describe()).status is WorkflowExecutionStatus.CANCELED


async def test_a_command_cancelled_the_moment_it_was_submitted_ends_cancelled(bench: Bench) -> None:
    bench.fakes.hold("begin-deployment", deployment_id=bench.id_of("new"))
    await bench.submit(bench.command(DEPLOY))
    receipt = await bench.cancel("new")
    await bench.submit(bench.command(RESTART, "next"))
    await bench.until_recorded("new", "next")

    assert receipt.was_running
    assert bench.fakes.outcomes() == {bench.id_of("new"): CANCELLED, bench.id_of("next"): FINISHED}


async def test_a_running_command_past_the_point_of_no_return_finishes(bench: Bench) -> None:
    held = bench.fakes.hold("retire-replicas")
    await bench.submit(bench.command(DEPLOY))
    await held.has_begun()

    assert (await bench.cancel("new")).was_running
    assert not (await bench.progress()).cancellable
    held.release()
    await bench.until_recorded("new")

    assert bench.fakes.outcomes() == {bench.id_of("new"): FINISHED}


async def test_an_unknown_or_ended_command_cannot_be_cancelled(bench: Bench) -> None:
    await bench.submit(bench.command(DEPLOY))
    await bench.until_recorded("new")
    await ending(bench.deployment("new"))

    assert await bench.cancel("unknown") == CancelReceipt(deployment_id=bench.id_of("unknown"))
    ended = await bench.cancel("new")
    assert not ended.was_queued
    assert bench.fakes.outcomes() == {bench.id_of("new"): FINISHED}
