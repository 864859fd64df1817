"""The queue of an application: one command at a time, in order, the newest deploy wins."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from activities.messages import CommandReceipt
from domain.deployments import DeploymentStatus, OperationKind
from tests.workflow.bench import Bench, ending
from tests.workflow.fake_activities import Held
from tests.workflow.plans import short_plan
from workflows import names

DEPLOY, RESTART, SCALE, STOP = (
    OperationKind.DEPLOY,
    OperationKind.RESTART,
    OperationKind.SCALE,
    OperationKind.STOP,
)
FINISHED, SUPERSEDED = DeploymentStatus.FINISHED, DeploymentStatus.SUPERSEDED


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.fakes.plan = short_plan
    return bench


async def busy(bench: Bench, name: str = "running") -> Held:
    """A deployment that runs until it is released."""
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of(name))
    await bench.submit(bench.command(DEPLOY, name))
    await held.has_begun()
    return held


async def test_commands_run_one_at_a_time_in_their_order(bench: Bench) -> None:
    held = await busy(bench)
    order = ["restart", "scale", "stop", "start"]
    receipts = [await bench.submit(bench.command(OperationKind(kind), kind)) for kind in order]
    held.release()
    await bench.until_recorded("running", *order)

    assert [receipt.position for receipt in receipts] == [1, 2, 3, 4]
    assert {receipt.running_deployment_id for receipt in receipts} == {bench.id_of("running")}
    before = [bench.id_of(name) for name in ["running", *order[:-1]]]
    assert [receipt.after_deployment_id for receipt in receipts] == before
    assert bench.fakes.begun() == [bench.id_of(name) for name in ["running", *order]]
    assert bench.fakes.most_at_once == 1
    assert set(bench.fakes.outcomes().values()) == {FINISHED}


async def test_a_command_that_need_not_wait_is_told_so(bench: Bench) -> None:
    receipt = await bench.submit(bench.command(DEPLOY))

    assert receipt == CommandReceipt(deployment_id=bench.id_of("new"), position=0)


async def test_a_newer_deploy_supersedes_those_that_wait_and_they_are_closed_at_once(bench: Bench) -> None:
    held = await busy(bench)
    await bench.submit(bench.command(DEPLOY, "older"))
    receipt = await bench.submit(bench.command(DEPLOY, "newer"))

    await bench.until_recorded("older")
    assert bench.id_of("running") not in bench.fakes.ended  # it runs on meanwhile
    assert receipt.superseded == (bench.id_of("older"),)
    assert receipt.position == 1
    older = bench.fakes.finishes()[bench.id_of("older")]
    assert (older.status, older.superseded_by) == (SUPERSEDED, bench.id_of("newer"))

    held.release()
    await bench.until_recorded("running", "newer")
    assert bench.fakes.begun() == [bench.id_of("running"), bench.id_of("newer")]
    assert bench.fakes.outcomes()[bench.id_of("running")] is FINISHED


async def test_a_restart_between_two_deploys_keeps_its_place(bench: Bench) -> None:
    held = await busy(bench)
    for kind, name in [(DEPLOY, "older"), (RESTART, "restart"), (DEPLOY, "newer"), (STOP, "stop")]:
        await bench.submit(bench.command(kind, name))
    held.release()
    await bench.until_recorded("running", "older", "restart", "newer", "stop")

    assert bench.fakes.begun() == [bench.id_of(name) for name in ["running", "restart", "newer", "stop"]]


async def test_the_same_command_twice_is_one_deployment_while_it_waits_runs_and_after_it_ended(
    bench: Bench,
) -> None:
    held = await busy(bench)
    waiting = bench.command(RESTART, "waiting")
    await bench.submit(waiting)

    again = [
        await bench.submit(bench.command(DEPLOY, "running"), "again-running"),
        await bench.submit(waiting, "again-waiting"),
    ]
    held.release()
    await bench.until_recorded("running", "waiting")
    again.append(await bench.submit(waiting, "again-ended"))
    await bench.submit(bench.command(RESTART, "last"))
    await bench.until_recorded("last")

    assert [receipt.repeated for receipt in again] == [True, True, True]
    assert bench.fakes.begun() == [bench.id_of(name) for name in ["running", "waiting", "last"]]


async def test_the_same_command_twenty_times_at_once_is_one_deployment(bench: Bench) -> None:
    command = bench.command(DEPLOY)
    receipts = await asyncio.gather(*[bench.submit(command, f"delivery-{n}") for n in range(20)])
    await bench.submit(bench.command(RESTART, "last"))
    await bench.until_recorded("new", "last")

    assert sorted(receipt.repeated for receipt in receipts) == [False, *[True] * 19]
    assert bench.fakes.begun() == [bench.id_of("new"), bench.id_of("last")]
    assert set(bench.fakes.outcomes().values()) == {FINISHED}


@pytest.mark.thorough
async def test_of_thirty_commands_at_once_never_two_run_together_and_each_ends_once(bench: Bench) -> None:
    kinds = [DEPLOY, RESTART, DEPLOY]
    commands = [bench.command(kinds[n % 3], f"command-{n}") for n in range(30)]
    receipts = await asyncio.gather(*[bench.submit(command) for command in commands])
    await bench.until_recorded(*[f"command-{n}" for n in range(30)])

    assert bench.fakes.most_at_once == 1
    ids = [command.deployment_id for command in commands]
    superseded = [old for receipt in receipts for old in receipt.superseded]
    assert sorted([*bench.fakes.begun(), *superseded]) == sorted(ids)
    assert bench.fakes.outcomes() == {
        **dict.fromkeys(ids, FINISHED),
        **dict.fromkeys(superseded, SUPERSEDED),
    }


async def test_a_failed_deployment_does_not_stop_the_queue(bench: Bench) -> None:
    held = await busy(bench)
    bench.fakes.fail("begin-deployment", "not_possible_now", deployment_id=bench.id_of("broken"))
    await bench.submit(bench.command(RESTART, "broken"))
    await bench.submit(bench.command(DEPLOY, "next"))
    held.release()
    await bench.until_recorded("broken", "next")

    assert bench.fakes.outcomes() == {
        bench.id_of("running"): FINISHED,
        bench.id_of("broken"): DeploymentStatus.FAILED,
        bench.id_of("next"): FINISHED,
    }


async def test_the_record_that_one_was_superseded_is_tried_until_it_works(bench: Bench) -> None:
    held = await busy(bench)
    older = bench.id_of("older")
    bench.fakes.fail("finish-deployment", "transient", final=False, times=3, deployment_id=older)
    await bench.submit(bench.command(DEPLOY, "older"))
    await bench.submit(bench.command(DEPLOY, "newer"))
    await bench.until_recorded("older")

    assert bench.fakes.labels(older) == ["finish-deployment"] * 4
    held.release()
    await bench.until_recorded("newer")


async def test_a_deployment_can_be_found_by_whose_it_is_and_what_it_does(bench: Bench) -> None:
    await bench.submit(bench.command(SCALE, "scaling"))
    await bench.until_recorded("scaling")
    await ending(bench.deployment("scaling"))

    attributes = (await bench.deployment("scaling").describe()).typed_search_attributes
    found = {key: attributes[key] for key in (names.TEAM, names.PROJECT, names.APPLICATION, names.KIND)}
    assert found == {
        names.TEAM: "team",
        names.PROJECT: "project",
        names.APPLICATION: bench.application_id,
        names.KIND: "scale",
    }
    assert attributes[names.OUTCOME] == "finished"


async def test_a_terminated_queue_leaves_its_deployment_whole_and_a_new_one_does_not_repeat_it(
    bench: Bench,
) -> None:
    held = await busy(bench)
    await bench.queue.terminate()

    receipt = await bench.submit(bench.command(DEPLOY, "running"), "again")
    await bench.submit(bench.command(RESTART, "next"))
    await bench.until_recorded("next")
    held.release()
    await bench.until_recorded("running")

    assert not receipt.repeated  # a new queue cannot know
    assert bench.fakes.begun() == [bench.id_of("running"), bench.id_of("next")]
    assert set(bench.fakes.outcomes().values()) == {FINISHED}


async def test_a_deployment_that_ended_is_not_repeated_by_a_new_queue_either(bench: Bench) -> None:
    await bench.submit(bench.command(DEPLOY))
    await bench.until_recorded("new")
    await ending(bench.deployment("new"))
    await bench.queue.terminate()

    await bench.submit(bench.command(DEPLOY), "again")
    await bench.submit(bench.command(RESTART, "next"))
    await bench.until_recorded("next")

    assert bench.fakes.begun() == [bench.id_of("new"), bench.id_of("next")]


async def test_a_cancelled_queue_lets_the_running_one_end_and_cancels_those_that_wait(bench: Bench) -> None:
    held = await busy(bench)
    await bench.submit(bench.command(RESTART, "waiting"))
    await bench.queue.cancel()
    # An answer shows that the queue has seen the cancellation.
    assert not (await bench.cancel("unknown")).was_queued
    held.release()

    with pytest.raises(WorkflowFailureError):
        await ending(bench.queue)
    assert (await bench.queue.describe()).status is WorkflowExecutionStatus.CANCELED
    assert bench.fakes.outcomes() == {
        bench.id_of("running"): FINISHED,
        bench.id_of("waiting"): DeploymentStatus.CANCELLED,
    }
    assert bench.fakes.begun() == [bench.id_of("running")]
