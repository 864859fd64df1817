"""Builds take turns on a server: the slots that its workflow keeps, asked for by real deployments."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from domain.deployments import DeploymentStatus, StepName, StepStatus
from store.store import Store
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending, running_worker
from tests.workflow.fake_activities import LIMIT_SECONDS, FakeActivities
from tests.workflow.undo_cases import DISCARD
from tests.workflow.yard import Yard
from workflows import names
from workflows.server import LOOKS_IN_ONE_HISTORY

pytestmark = pytest.mark.thorough


async def test_a_server_that_a_release_goes_on_without_has_its_slot_back_at_once(yard: Yard) -> None:
    await yard.server("anvil", 2)
    await yard.server("forge", 2)
    yard.plan("anvil", "forge", build_once=False, required=1)
    fakes = yard.bench.fakes
    fakes.fail("build-image", "disk_full", "No room.", server=yard.bench.id_of("forge"))
    proving = fakes.hold("check-health", server=yard.bench.id_of("anvil"))
    running = await yard.deploy("first")
    await proving.has_begun()

    await yard.until([], [], server="forge")
    await yard.until([], [], server="anvil")

    proving.release()
    assert (await ending(running)).status is DeploymentStatus.FINISHED


async def test_a_server_builds_two_at_once_and_the_others_wait_for_their_turn(yard: Yard) -> None:
    anvil = await yard.server("anvil", 2)
    yard.plan("anvil")
    first, second, third, fourth = yard.hold("first", "second", "third", "fourth")
    running = [await yard.deploy("first")]
    await first.has_begun()
    running.append(await yard.deploy("second"))
    await second.has_begun()
    for name, position in (("third", 1), ("fourth", 2)):
        running.append(await yard.deploy(name))
        await yard.until(["first", "second"], ["third", "fourth"][:position])

    async def said() -> str | None:
        return (await yard.build_step("fourth")).message or None

    message = await eventually(said, LIMIT_SECONDS)
    assert message == f"Queued: 2nd of 2 on {anvil.name}; 2 builds run there."
    assert (await yard.build_step("fourth")).status is StepStatus.RUNNING
    assert not third.begun.is_set()

    second.release()
    await third.has_begun()
    assert not fourth.begun.is_set()
    assert await yard.builds() == (["first", "third"], ["fourth"])
    for held in (first, third, fourth):
        held.release()
    for handle in running:
        assert (await ending(handle)).status is DeploymentStatus.FINISHED
    assert await yard.builds() == ([], [])
    [finish] = [one for one in yard.bench.fakes.finishes().values() if "fourth" in one.command.deployment_id]
    built = [step for step in finish.steps if step.name is StepName.BUILD]
    assert [(one.status, one.message) for one in built] == [(StepStatus.SUCCEEDED, "build-image done")]


async def test_a_project_with_many_builds_lets_another_one_pass(yard: Yard) -> None:
    await yard.server("anvil", 1)
    yard.plan("anvil")
    held = yard.hold("first", "second", "third", "other")
    handles = []
    for number, name in enumerate(("first", "second", "third")):
        handles.append(await yard.deploy(name))
        await yard.until(["first"], ["second", "third"][:number])
    handles.append(await yard.deploy("other", project="another"))

    await yard.until(["first"], ["second", "other", "third"])

    for one in held:
        one.release()
    ended = [(await ending(handle)).status for handle in handles]
    assert ended == [DeploymentStatus.FINISHED] * 4


async def test_a_deployment_whose_image_exists_takes_no_slot(yard: Yard) -> None:
    await yard.server("anvil", 1)
    yard.plan("anvil")
    [held] = yard.hold("builds")
    building = await yard.deploy("builds")
    await held.has_begun()
    yard.bench.fakes.image_present = True

    result = await ending(await yard.deploy("cached"))

    assert result.status is DeploymentStatus.FINISHED
    assert [build.lease is not None for build in yard.bench.fakes.messages("build-image")] == [True, False]
    assert await yard.builds() == (["builds"], [])
    held.release()
    await ending(building)


async def test_a_build_that_fails_frees_its_slot(yard: Yard) -> None:
    await yard.server("anvil", 1)
    yard.plan("anvil")
    [held] = yard.hold("failing")
    yard.bench.fakes.fail("build-image", deployment_id=yard.bench.id_of("failing"))
    failing = await yard.deploy("failing")
    await held.has_begun()
    waiting = await yard.deploy("waiting")
    await yard.until(["failing"], ["waiting"])

    held.release()

    with pytest.raises(WorkflowFailureError):
        await ending(failing)
    assert (await ending(waiting)).status is DeploymentStatus.FINISHED
    assert await yard.builds() == ([], [])


async def test_a_cancelled_build_frees_its_slot_and_a_cancelled_wait_its_place(yard: Yard) -> None:
    await yard.server("anvil", 1)
    yard.plan("anvil")
    [held] = yard.hold("building")
    building = await yard.deploy("building")
    await held.has_begun()
    leaving = await yard.deploy("leaving")
    await yard.until(["building"], ["leaving"])
    staying = await yard.deploy("staying")
    await yard.until(["building"], ["leaving", "staying"])

    await leaving.cancel()

    with pytest.raises(WorkflowFailureError):
        await ending(leaving)
    await yard.until(["building"], ["staying"])
    finish = yard.bench.fakes.finishes()[yard.bench.id_of("leaving")]
    [step] = [one for one in finish.steps if one.name is StepName.BUILD]
    assert finish.status is DeploymentStatus.CANCELLED
    assert (step.status, step.message) == (StepStatus.FAILED, "Cancelled.")
    assert DISCARD not in yard.bench.fakes.labels(yard.bench.id_of("leaving"))[:-2]

    await building.cancel()

    with pytest.raises(WorkflowFailureError):
        await ending(building)
    assert (await ending(staying)).status is DeploymentStatus.FINISHED
    await yard.until([], [])


async def test_the_slot_of_a_deployment_that_was_terminated_goes_to_the_next(yard: Yard) -> None:
    await yard.server("anvil", 1)
    yard.plan("anvil")
    yard.hold("dead")
    dead = await yard.deploy("dead")
    await yard.until(["dead"], [])
    await dead.terminate()

    next_one = await yard.deploy("next")

    assert (await ending(next_one)).status is DeploymentStatus.FINISHED
    assert await yard.builds() == ([], [])


async def test_who_waits_for_a_terminated_deployment_is_not_forgotten(yard: Yard) -> None:
    await yard.server("anvil", 1)
    yard.plan("anvil")
    yard.hold("dead", "doomed")
    dead = await yard.deploy("dead")
    await yard.until(["dead"], [])
    doomed = await yard.deploy("doomed")
    await yard.until(["dead"], ["doomed"])
    waiting = await yard.deploy("waiting")
    await yard.until(["dead"], ["doomed", "waiting"])

    await doomed.terminate()
    await dead.terminate()

    assert (await ending(waiting)).status is DeploymentStatus.FINISHED
    assert await yard.builds() == ([], [])


async def test_a_build_goes_on_in_its_slot_when_its_worker_has_gone(
    temporal_client: Client, no_complaints: None, store: Store
) -> None:
    bench = Bench(temporal_client, FakeActivities())
    yard = Yard(bench, store)
    await yard.server("anvil", 1)
    yard.plan("anvil")
    [held] = yard.hold("building")
    async with running_worker(bench):
        building = await yard.deploy("building")
        await held.has_begun()
        waiting = await yard.deploy("waiting")
        await yard.until(["building"], ["waiting"])
    held.begun.clear()

    async with running_worker(bench):
        await held.has_begun()
        assert await yard.builds() == (["building"], ["waiting"])
        held.release()
        for handle in (building, waiting):
            assert (await ending(handle)).status is DeploymentStatus.FINISHED
        assert await yard.builds() == ([], [])


@pytest.mark.drill  # fifty looks take a while
async def test_slots_outlive_the_history_of_their_server(yard: Yard) -> None:
    yard.bench.fakes.look_again_after = timedelta(milliseconds=1)
    server = await yard.server("anvil", 1, data_folder="/var/lib/seaway/seaway")
    yard.plan("anvil")
    [held] = yard.hold("building")
    building = await yard.deploy("building")
    await held.has_begun()
    waiting = await yard.deploy("waiting")
    await yard.until(["building"], ["waiting"])
    handle = yard.bench.client.get_workflow_handle(names.server_workflow_id(server.id))
    first = (await handle.describe()).run_id
    await yard.operations.provision(server, requested_by="someone")

    async def continued() -> bool:
        looked = yard.bench.fakes.labels().count("check-server") > LOOKS_IN_ONE_HISTORY
        return looked and (await handle.describe()).run_id != first

    await eventually(continued, LIMIT_SECONDS)
    assert await yard.builds() == (["building"], ["waiting"])
    held.release()
    for one in (building, waiting):
        assert (await ending(one)).status is DeploymentStatus.FINISHED
    assert await yard.builds() == ([], [])


async def test_servers_that_build_for_themselves_have_a_slot_each(yard: Yard) -> None:
    for name in ("east", "west"):
        await yard.server(name, 1)
    yard.plan("east", "west", build_once=False)
    [held] = yard.hold("new")
    handle = await yard.deploy("new")
    await yard.until(["new"], [], "east")
    await yard.until(["new"], [], "west")

    held.release()

    assert (await ending(handle)).status is DeploymentStatus.FINISHED
    for name in ("east", "west"):
        assert await yard.builds(name) == ([], [])


@pytest.mark.parametrize("forgetful_bench", [1], indirect=True)
async def test_forgotten_workflows_keep_slots_and_places(forgetful_bench: Bench, store: Store) -> None:
    yard = Yard(forgetful_bench, store)
    await yard.server("anvil", 1)
    yard.plan("anvil")
    [held] = yard.hold("building")
    building = await yard.deploy("building")
    await held.has_begun()
    waiting = await yard.deploy("waiting")
    await yard.until(["building"], ["waiting"])
    leaving = await yard.deploy("leaving")
    await yard.until(["building"], ["waiting", "leaving"])
    await leaving.cancel()
    with pytest.raises(WorkflowFailureError):
        await ending(leaving)

    held.release()

    for handle in (building, waiting):
        assert (await ending(handle)).status is DeploymentStatus.FINISHED
    assert await yard.builds() == ([], [])
