"""Deleting an application: it is the queue's last command, or the queue goes on."""

from __future__ import annotations

import uuid

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.deployments import DeploymentStatus, OperationKind
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import short_plan

DEPLOY, RESTART, DELETE = OperationKind.DEPLOY, OperationKind.RESTART, OperationKind.DELETE
FINISHED, CANCELLED = DeploymentStatus.FINISHED, DeploymentStatus.CANCELLED


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.fakes.plan = short_plan
    return bench


async def runs(bench: Bench, name: str) -> bool:
    """Whether the queue has come to this delete, which a repetition of it tells."""
    receipt = await bench.submit(bench.command(DELETE, name), f"is-it-running-{uuid.uuid4()}")
    return receipt.running_deployment_id == bench.id_of(name)


async def expect_refusal(bench: Bench, name: str) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await bench.submit(bench.command(DEPLOY, name))
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.type == "not_possible_now"
    assert "being deleted" in caught.value.cause.message


async def test_a_delete_supersedes_what_waits_refuses_what_comes_and_ends_the_queue(bench: Bench) -> None:
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    for kind, name in [(DEPLOY, "running"), (RESTART, "restart"), (DEPLOY, "waiting")]:
        await bench.submit(bench.command(kind, name))
    await held.has_begun()

    receipt = await bench.submit(bench.command(DELETE, "delete"))

    assert receipt.superseded == (bench.id_of("restart"), bench.id_of("waiting"))
    await bench.until_recorded("restart", "waiting")
    await expect_refusal(bench, "while-it-waits")
    deleting = bench.fakes.hold("clean-up", deployment_id=bench.id_of("delete"))
    held.release()
    await deleting.has_begun()
    await expect_refusal(bench, "while-it-runs")
    assert (await bench.submit(bench.command(DELETE, "delete"), "again")).repeated
    deleting.release()

    await ending(bench.queue)
    assert (await bench.queue.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert bench.fakes.begun() == [bench.id_of("running"), bench.id_of("delete")]
    superseded = [finish for finish in bench.fakes.finishes().values() if finish.superseded_by]
    assert {finish.superseded_by for finish in superseded} == {bench.id_of("delete")}
    assert bench.fakes.labels()[-1] == "forget-application"


async def test_a_delete_begins_only_when_those_that_it_superseded_are_closed(bench: Bench) -> None:
    running = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    closing = bench.fakes.hold("finish-deployment", deployment_id=bench.id_of("waiting"))
    for kind, name in [(DEPLOY, "running"), (DEPLOY, "waiting"), (DELETE, "delete")]:
        await bench.submit(bench.command(kind, name))
    await running.has_begun()
    await closing.has_begun()
    running.release()
    await bench.until_recorded("running")
    await ending(bench.deployment("running"))
    await eventually(lambda: runs(bench, "delete"))
    await ending(await bench.deploy(name="bystander"))  # time enough for a hasty delete to begin
    closing.release()
    await ending(bench.queue)

    happened = bench.fakes.timeline.by_deployment
    closed = happened.index((bench.id_of("waiting"), "finish-deployment ended"))
    assert closed < happened.index((bench.id_of("delete"), "begin-deployment began"))


async def test_a_delete_without_a_server_that_is_gone_ends_what_waits_for_it(bench: Bench) -> None:
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    await bench.submit(bench.command(DEPLOY, "running"))
    await held.has_begun()

    await bench.submit(bench.command(DELETE, "delete", without_server_id="gone"))

    await ending(bench.queue)
    assert bench.fakes.outcomes() == {bench.id_of("running"): CANCELLED, bench.id_of("delete"): FINISHED}


async def test_a_failed_delete_lets_later_commands_pass(bench: Bench) -> None:
    bench.fakes.fail("apply-routes", "proxy_unavailable", deployment_id=bench.id_of("delete"))
    await bench.submit(bench.command(DELETE, "delete"))
    await bench.until_recorded("delete")

    await eventually(
        lambda: bench.submit(bench.command(DEPLOY, "later")),
        describe="the queue learns that the delete has failed",
        ignored=(WorkflowUpdateFailedError,),
    )
    await bench.until_recorded("later")

    assert bench.fakes.outcomes() == {
        bench.id_of("delete"): DeploymentStatus.FAILED,
        bench.id_of("later"): FINISHED,
    }
    assert "forget-application" not in bench.fakes.labels()


async def test_a_waiting_delete_that_is_cancelled_lets_later_commands_pass(bench: Bench) -> None:
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    await bench.submit(bench.command(DEPLOY, "running"))
    await held.has_begun()
    await bench.submit(bench.command(DELETE, "delete"))

    assert (await bench.cancel("delete")).was_queued
    await bench.submit(bench.command(DEPLOY, "later"))
    held.release()
    await bench.until_recorded("running", "delete", "later")

    assert bench.fakes.outcomes()[bench.id_of("delete")] is CANCELLED
    assert bench.fakes.begun() == [bench.id_of("running"), bench.id_of("later")]


async def test_after_a_delete_the_same_id_can_have_a_queue_again(bench: Bench) -> None:
    await bench.submit(bench.command(DELETE, "delete"))
    await ending(bench.queue)

    await bench.submit(bench.command(DEPLOY, "later"))
    await bench.until_recorded("later")

    assert bench.fakes.begun() == [bench.id_of("delete"), bench.id_of("later")]
