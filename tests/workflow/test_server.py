"""The life of a server: its steps in order, what follows a failing one, looks, removal, lost workers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError

from activities import messages as m
from domain.deployments import StepStatus
from domain.servers import ServerStatus, ServerStepName
from tests.workflow.bench import Bench, ending
from tests.workflow.server_bench import Server, until_called
from workflows.server import LOOKS_IN_ONE_HISTORY

# A task that an eviction leaves behind shows up as a coroutine that was never awaited.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

STEPS = [
    "reach-server",
    "look-at-system",
    "check-prerequisites",
    "ensure-engine",
    "check-engine-version",
    "ensure-folders",
    "ensure-proxy",
]
PROVISIONING = ["begin-provisioning", *STEPS, "finish-provisioning"]
SOON = timedelta(milliseconds=20)
ONE_IN_MEMORY = pytest.mark.parametrize(
    "forgetful_bench", [0, 1], ids=["no cache", "cache of one"], indirect=True
)


async def ended(server: Server) -> WorkflowExecutionStatus | None:
    await ending(server.handle)
    return (await server.handle.describe()).status


async def test_the_steps_run_in_order_and_then_the_server_is_usable(bench: Bench) -> None:
    server = Server(bench)
    bench.fakes.skipped = {"ensure-engine"}
    receipt = await server.provision()
    progress = await server.until(ServerStatus.USABLE)

    assert not receipt.repeated
    assert bench.fakes.labels() == PROVISIONING
    assert [step.name for step in progress.steps] == list(ServerStepName)
    statuses = {step.name: step.status for step in progress.steps}
    assert statuses.pop(ServerStepName.ENGINE) is StepStatus.SKIPPED
    assert set(statuses.values()) == {StepStatus.SUCCEEDED}
    await server.remove()
    await ended(server)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("server_unreachable", ServerStatus.UNREACHABLE),
        ("host_key_changed", ServerStatus.HOST_KEY_CHANGED),
        ("not_possible_now", ServerStatus.NOT_USABLE),
    ],
)
async def test_a_failing_step_ends_the_run_and_the_server_can_be_asked_again(
    bench: Bench, code: str, status: ServerStatus
) -> None:
    server = Server(bench)
    bench.fakes.fail("check-prerequisites", code, "The disk is full.", times=1)
    await server.provision()
    progress = await server.until(status)
    assert progress.message == "The disk is full."
    assert [step.status for step in progress.steps] == [
        StepStatus.SUCCEEDED,
        StepStatus.SUCCEEDED,
        StepStatus.FAILED,
        *[StepStatus.PENDING] * 4,
    ]

    await server.provision("second")
    await server.until(ServerStatus.USABLE)
    failed = ["begin-provisioning", *STEPS[:3], "finish-provisioning"]
    assert bench.fakes.labels() == [*failed, *PROVISIONING]
    await server.remove()
    await ended(server)


async def test_a_request_counts_once_and_one_during_a_run_comes_after_it(bench: Bench) -> None:
    server = Server(bench)
    held = bench.fakes.hold("ensure-engine")
    await server.provision()
    await held.has_begun()
    repeated = await server.provision()
    waiting = await server.provision("second")
    assert (repeated.repeated, waiting.repeated, waiting.waits) == (True, False, True)
    assert (await server.progress()).provisioning_waits
    held.release()
    await until_called(bench, "finish-provisioning", 2)
    assert bench.fakes.labels() == PROVISIONING * 2
    await server.remove()
    await ended(server)


async def test_a_usable_server_is_looked_at_and_recovers_by_itself(bench: Bench) -> None:
    gone = m.ServerCondition(status=ServerStatus.UNREACHABLE, message="No answer.")
    bench.fakes.look_again_after = SOON
    bench.fakes.looks = [gone, gone]
    server = Server(bench)
    await server.provision()
    await until_called(bench, "check-server", 3)
    assert (await server.until(ServerStatus.USABLE)).message == ""
    await until_called(bench, "settle-server")
    await server.remove()
    await ended(server)
    looks = [label for label in bench.fakes.labels() if label in ("check-server", "settle-server")]
    assert looks.count("settle-server") == 1
    assert looks.index("settle-server") >= 2


async def test_what_a_deleted_application_left_goes_although_the_server_was_never_away(bench: Bench) -> None:
    bench.fakes.look_again_after = SOON
    fine = m.ServerCondition(status=ServerStatus.USABLE)
    # The first one is the answer to the beginning of the provisioning.
    bench.fakes.looks = [fine, fine, fine.model_copy(update={"has_remains": True})]
    server = Server(bench)
    await server.provision()
    await until_called(bench, "settle-server")
    await until_called(bench, "check-server", 4)
    await server.remove()
    await ended(server)
    labels = bench.fakes.labels()
    assert labels.count("settle-server") == 1
    assert labels[: labels.index("settle-server")].count("check-server") == 2


async def test_a_server_is_settled_until_that_works(bench: Bench) -> None:
    bench.fakes.look_again_after = SOON
    gone = m.ServerCondition(status=ServerStatus.UNREACHABLE, message="No answer.")
    bench.fakes.looks = [gone, gone]
    bench.fakes.fail("settle-server", "engine_unavailable", times=1)
    server = Server(bench)
    await server.provision()
    await until_called(bench, "settle-server", 2)
    await until_called(bench, "check-server", 5)
    await server.remove()
    await ended(server)
    assert bench.fakes.labels().count("settle-server") == 2


async def test_a_server_is_settled_again_when_operations_that_gave_it_up_have_ended(bench: Bench) -> None:
    bench.fakes.look_again_after = SOON
    stopped = m.ServerCondition(status=ServerStatus.NOT_USABLE, message="Docker does not run.")
    bench.fakes.looks = [stopped, stopped]
    outcomes = [m.StepOutcome(waits=True), m.StepOutcome()]

    async def settle(_task: object) -> m.StepOutcome:
        return outcomes.pop(0)

    bench.fakes.real["settle-server"] = settle
    server = Server(bench)
    await server.provision()
    await until_called(bench, "settle-server", 2)
    await until_called(bench, "check-server", 5)
    await server.remove()
    await ended(server)
    assert bench.fakes.labels().count("settle-server") == 2


async def test_a_server_that_was_never_usable_is_not_looked_at(bench: Bench) -> None:
    bench.fakes.look_again_after = SOON
    bench.fakes.fail("reach-server", "server_unreachable", times=1)
    server = Server(bench)
    await server.provision()
    await server.until(ServerStatus.UNREACHABLE)
    await server.provision("second")
    await server.until(ServerStatus.USABLE)
    assert bench.fakes.labels()[: len(PROVISIONING) + 3] == [
        *("begin-provisioning", "reach-server", "finish-provisioning"),
        *PROVISIONING,
    ]
    await server.remove()
    await ended(server)


async def test_a_removal_ends_a_provisioning_under_way(bench: Bench) -> None:
    server = Server(bench)
    held = bench.fakes.hold("ensure-engine")
    await server.provision()
    await held.has_begun()
    await server.provision("waiting")
    await server.remove()
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED
    assert bench.fakes.labels() == [*PROVISIONING[:5], "finish-provisioning", "remove-server"]
    assert bench.fakes.timeline.entries.index("ensure-engine stopped") < bench.fakes.timeline.entries.index(
        "remove-server began"
    )


async def test_a_removal_ends_a_look_under_way(bench: Bench) -> None:
    """One at a server that does not answer takes half a minute."""
    bench.fakes.look_again_after = SOON
    held = bench.fakes.hold("check-server")
    server = Server(bench)
    await server.provision()
    await held.has_begun()
    await server.remove(forget=True)
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED
    happened = bench.fakes.timeline.entries
    assert happened.index("check-server stopped") < happened.index("remove-server began")
    (removal,) = bench.fakes.messages("remove-server")
    assert removal.forget


async def test_a_server_that_is_needed_stays(bench: Bench) -> None:
    bench.fakes.removals = [m.ServerRemoval(kept_by=("shop",), message="Needed by shop.")]
    server = Server(bench, is_watched=True, status=ServerStatus.USABLE, again_after=timedelta(hours=1))
    await server.remove()
    # What it was before is looked at again at once.
    await until_called(bench, "check-server")
    assert (await server.until(ServerStatus.USABLE)).message == ""
    await server.provision("afterwards")
    await until_called(bench, "finish-provisioning")
    await server.remove("again")
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED


async def test_a_server_from_which_nothing_can_be_taken_away_stays(bench: Bench) -> None:
    message = "Not removed, because Docker does not answer."
    bench.fakes.removals = [m.ServerRemoval(is_kept=True, is_given_up=True, message=message)]
    server = Server(bench)
    await server.remove()
    assert (await server.until(ServerStatus.NOT_USABLE)).message == message
    await server.remove("again")
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED


async def test_who_asks_to_forget_it_while_a_removal_is_tried_is_not_passed_over(bench: Bench) -> None:
    kept = m.ServerRemoval(is_kept=True, is_given_up=True, message="Docker does not answer.")
    bench.fakes.removals = [kept]
    held = bench.fakes.hold("remove-server")
    server = Server(bench)
    await server.remove()
    await held.has_begun()
    await server.remove("again", forget=True)
    held.release()
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED
    assert [message.forget for message in bench.fakes.messages("remove-server")] == [False, True]


@pytest.mark.thorough
async def test_a_removal_with_resources_waits_until_they_are_gone(
    bench: Bench,
) -> None:
    bench.fakes.removals = [m.ServerRemoval(kept_by=("shop",), message="Waits for shop.")]
    server = Server(bench)
    await server.remove(with_resources=True)
    progress = await server.until(ServerStatus.REMOVING)
    assert progress.message in ("", "Waits for shop.")
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await server.provision()
    assert "being removed" in str(refused.value.cause)
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED
    assert bench.fakes.labels() == ["remove-server"] * 2
    assert [message.resources_leave for message in bench.fakes.messages("remove-server")] == [True, True]


async def test_a_removal_ends_when_what_is_on_the_server_cannot_be_deleted(bench: Bench) -> None:
    message = "Not everything could be deleted: shop."
    bench.fakes.removals = [m.ServerRemoval(kept_by=("shop",), is_given_up=True, message=message)]
    server = Server(bench)
    await server.remove(with_resources=True)
    assert (await server.until(ServerStatus.NOT_USABLE)).message == message
    assert bench.fakes.labels() == ["remove-server"]
    await server.remove("again")
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED


async def test_a_server_that_nobody_knows_any_more_ends_its_workflow(bench: Bench) -> None:
    bench.fakes.looks = [m.ServerCondition(status=ServerStatus.REMOVING, is_gone=True)]
    server = Server(bench)
    await server.provision()
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED
    assert bench.fakes.labels() == ["begin-provisioning"]


async def test_a_cancelled_workflow_writes_down_that_it_ended(bench: Bench) -> None:
    server = Server(bench)
    held = bench.fakes.hold("ensure-engine")
    await server.provision()
    await held.has_begun()
    await server.handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await ending(server.handle)
    (finish,) = bench.fakes.messages("finish-provisioning")
    assert finish.code == "cancelled"


@pytest.mark.thorough
async def test_many_looks_make_no_long_history(bench: Bench) -> None:
    bench.fakes.look_again_after = timedelta(milliseconds=1)
    server = Server(bench)
    await server.provision()
    await until_called(bench, "check-server", LOOKS_IN_ONE_HISTORY + 5)
    await server.remove()
    await ended(server)
    runs = [run async for run in bench.client.list_workflows(f"WorkflowId = '{server.handle.id}'")]
    assert {run.status for run in runs} == {
        WorkflowExecutionStatus.CONTINUED_AS_NEW,
        WorkflowExecutionStatus.COMPLETED,
    }
    assert bench.fakes.labels().count("begin-provisioning") == 1


@ONE_IN_MEMORY
@pytest.mark.thorough
async def test_a_forgotten_workflow_goes_on_from_its_history(forgetful_bench: Bench) -> None:
    bench = forgetful_bench
    bench.fakes.look_again_after = SOON
    bench.fakes.fail("ensure-folders", "not_possible_now", times=1)
    server = Server(bench)
    # Without a query after each step: those are answered first, and each needs the whole history.
    await server.provision()
    await until_called(bench, "finish-provisioning")
    await server.provision("second")
    await until_called(bench, "check-server", 3)
    held = bench.fakes.hold("ensure-engine")
    await server.provision("third")
    await held.has_begun()
    assert (await server.progress()).status is ServerStatus.PROVISIONING
    await server.remove()
    assert await ended(server) is WorkflowExecutionStatus.COMPLETED
    provisioned = [label for label in bench.fakes.labels() if label != "check-server"]
    assert provisioned == [
        *[*PROVISIONING[:7], "finish-provisioning"],
        *PROVISIONING,
        *[*PROVISIONING[:5], "finish-provisioning"],
        "remove-server",
    ]
