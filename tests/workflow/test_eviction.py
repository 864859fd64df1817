"""A worker that forgets every workflow between two tasks rebuilds it from its history, with the same end."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from domain.deployments import DeploymentStatus, OperationKind
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import plan_of, short_plan
from tests.workflow.undo_cases import DISCARD, REMOVE_NEW, SWITCH_BACK

SERVERS = ("east", "west")
UNDOS = [undo for undo in [*SWITCH_BACK, REMOVE_NEW, DISCARD] for _ in SERVERS]

# A task that an eviction leaves behind shows up as a coroutine that was never awaited.
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"),
]


NO_CACHE_OR_ONE = pytest.mark.parametrize(
    "forgetful_bench", [0, 1], ids=["no cache", "cache of one"], indirect=True
)


def plan_on_two_servers(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, servers=SERVERS)


async def test_a_failed_deployment_undoes_every_step_once(forgetful_bench: Bench) -> None:
    plan_on_two_servers(forgetful_bench)
    forgetful_bench.fakes.fail("drain-replicas", "engine_unavailable", server="west")
    handle = await forgetful_bench.deploy()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    assert forgetful_bench.fakes.undos() == UNDOS


async def test_a_deployment_cancelled_twice_undoes_every_step_once(forgetful_bench: Bench) -> None:
    bench = forgetful_bench
    plan_on_two_servers(bench)
    held = bench.fakes.hold("drain-replicas", server="east")
    undo = bench.fakes.hold("undo retire-replicas", server="east")
    handle = await bench.deploy()
    await held.has_begun()
    await handle.cancel()
    await undo.has_begun()
    await handle.cancel()
    assert not (await bench.progress()).cancellable
    undo.release()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert bench.fakes.undos() == UNDOS


async def test_a_deployment_past_the_point_of_no_return_finishes_in_spite_of_a_cancellation(
    forgetful_bench: Bench,
) -> None:
    held = forgetful_bench.fakes.hold("retire-replicas")
    handle = await forgetful_bench.deploy()
    await held.has_begun()
    await handle.cancel()
    assert not (await forgetful_bench.progress()).cancellable
    held.release()
    assert (await ending(handle)).status is DeploymentStatus.FINISHED


@NO_CACHE_OR_ONE
async def test_a_queue_keeps_its_order_its_cancellations_and_its_delete(forgetful_bench: Bench) -> None:
    bench = forgetful_bench
    bench.fakes.plan = short_plan
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("first"))
    kinds = {
        "first": OperationKind.DEPLOY,
        "older": OperationKind.DEPLOY,
        "withdrawn": OperationKind.RESTART,
        "restart": OperationKind.RESTART,
        "newer": OperationKind.DEPLOY,
    }
    for name, kind in kinds.items():
        await bench.submit(bench.command(kind, name))
    await held.has_begun()
    await bench.cancel("withdrawn")
    await bench.cancel("first")
    await bench.until_recorded(*kinds)
    await bench.submit(bench.command(OperationKind.DELETE, "delete"))
    await ending(bench.queue)

    assert bench.fakes.begun() == [bench.id_of(name) for name in ("first", "restart", "newer", "delete")]
    assert bench.fakes.outcomes() == {
        bench.id_of("first"): DeploymentStatus.CANCELLED,
        bench.id_of("older"): DeploymentStatus.SUPERSEDED,
        bench.id_of("withdrawn"): DeploymentStatus.CANCELLED,
        bench.id_of("restart"): DeploymentStatus.FINISHED,
        bench.id_of("newer"): DeploymentStatus.FINISHED,
        bench.id_of("delete"): DeploymentStatus.FINISHED,
    }


async def test_a_cancelled_queue_withdraws_what_waits(forgetful_bench: Bench) -> None:
    bench = forgetful_bench
    bench.fakes.plan = short_plan
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("running"))
    closing = bench.fakes.hold("finish-deployment", deployment_id=bench.id_of("waiting"))
    await bench.submit(bench.command(OperationKind.RESTART, "running"))
    await bench.submit(bench.command(OperationKind.RESTART, "waiting"))
    await held.has_begun()
    await bench.queue.cancel()
    await bench.cancel("unknown")
    held.release()
    await closing.has_begun()
    await bench.cancel("unknown")
    closing.release()
    with pytest.raises(WorkflowFailureError):
        await ending(bench.queue)
    assert bench.fakes.outcomes()[bench.id_of("waiting")] is DeploymentStatus.CANCELLED
