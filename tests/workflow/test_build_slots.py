"""Builds take turns on a server: the slots that its workflow keeps, asked for by real deployments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from activities import messages as m
from activities import signatures as s
from activities.build_slots import BuildSlotActivities
from api.server_operations import ServerOperations
from domain.builders import MOST_TRIES
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.errors import TransientError
from domain.servers import ServerStatus
from seaway.build_slots import WorkflowSlotKeepers
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Server
from tests.harness.waiting import eventually
from tests.workflow.bench import CALL_LIMIT, Bench, ending, running_worker
from tests.workflow.fake_activities import LIMIT_SECONDS, FakeActivities, Held
from tests.workflow.plans import plan_of
from tests.workflow.undo_cases import DISCARD
from workflows import names
from workflows.server import LOOKS_IN_ONE_HISTORY

pytestmark = pytest.mark.thorough
LONG = timedelta(seconds=LIMIT_SECONDS)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


class Yard:
    """Servers of one bench with deployments that hold still while they build."""

    def __init__(self, bench: Bench, store: Store) -> None:
        self.bench = bench
        self.store = store
        self.keepers = WorkflowSlotKeepers(bench.client, store, bench.task_queue)
        self.operations = ServerOperations(bench.client, store, bench.task_queue)
        slots = BuildSlotActivities(store, self.keepers)
        bench.fakes.real = {
            s.LEASE_BUILD_SLOT.name: slots.lease,
            s.FIND_CLOSED_HOLDERS.name: slots.find_closed,
        }

    def id_of(self, server: str) -> str:
        return f"id-of-{self.bench.id_of(server)}"

    async def server(self, name: str, slots: int, **fields: Any) -> Server:
        _, team = await self.store.access.create_user(
            email=f"{name}@example.test", password=SecretStr("a long enough password"), team_name="Team"
        )
        known = {"status": ServerStatus.USABLE, "is_usable": True, "address": f"{name}.example.test"}
        row = Server(
            id=self.id_of(name),
            team_id=team.id,
            name=self.bench.id_of(name),
            concurrent_builds=slots,
            **{**known, **fields},
        )
        return await self.store.servers.create(row)

    def plan(self, *servers: str, **options: Any) -> None:
        """Deployments from here on are on these servers."""
        named = [self.bench.id_of(name) for name in servers]
        self.bench.fakes.plan = lambda command: plan_of(
            command.kind, command.deployment_id, servers=named, needs_build_slot=True, **options
        )

    def hold(self, *deployments: str) -> list[Held]:
        """Their builds hang until they are released."""
        return [
            self.bench.fakes.hold("build-image", deployment_id=self.bench.id_of(name)) for name in deployments
        ]

    async def deploy(self, name: str, project: str = "project") -> WorkflowHandle[Any, m.DeploymentResult]:
        command = self.bench.command(OperationKind.DEPLOY, name).model_copy(update={"project_id": project})
        return await self.bench.client.start_workflow(
            names.DEPLOYMENT_WORKFLOW,
            command,
            id=names.deployment_workflow_id(command.deployment_id),
            task_queue=self.bench.task_queue,
            result_type=m.DeploymentResult,
            rpc_timeout=CALL_LIMIT,
        )

    async def builds(self, server: str = "anvil") -> tuple[list[str], list[str]]:
        """The short names of those that build there, and of those that wait to."""
        found = await self.operations.progress(self.id_of(server))
        suffix = f"-{self.bench.unique}"
        building, waiting = found.building, found.waiting_to_build
        return [one.removesuffix(suffix) for one in building], [one.removesuffix(suffix) for one in waiting]

    async def until(self, building: list[str], waiting: list[str], server: str = "anvil") -> None:
        wanted = (building, waiting)
        found: list[object] = []

        async def is_reached() -> bool:
            found[:] = [await self.builds(server)]
            return found == [wanted]

        await eventually(
            is_reached,
            LIMIT_SECONDS,
            interval_seconds=0.02,
            describe=lambda: f"{wanted}, not {found}",
            ignored=(TransientError,),  # nobody has asked for a slot yet, so there is no workflow
        )

    async def build_step(self, name: str) -> Step:
        progress = await self.bench.progress(name)
        [step] = [one for one in progress.steps if one.name is StepName.BUILD]
        return step


@pytest.fixture
def yard(bench: Bench, store: Store) -> Yard:
    return Yard(bench, store)


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


async def until_third_waits(yard: Yard) -> tuple[list[Held], list[WorkflowHandle[Any, m.DeploymentResult]]]:
    """Two build servers with a slot each, two builds in them, and a third one that waits for the first."""
    for name in ("anvil", "bench"):
        await yard.server(name, 1, is_build_server=True)
    yard.plan("ship", builders=[yard.bench.id_of("anvil"), yard.bench.id_of("bench")])
    yard.bench.fakes.real[s.LEASE_BUILD_SLOT.name] = in_order(yard)
    first, second = yard.hold("first", "second")
    running = [await yard.deploy("first")]
    await first.has_begun()
    running.append(await yard.deploy("second"))
    await second.has_begun()
    running.append(await yard.deploy("third"))
    await yard.until(["first"], ["third"], "anvil")
    await yard.until(["second"], [], "bench")
    return [first, second], running


async def check_builders(yard: Yard, *expected: str) -> None:
    """The three deployments were built there, shown there, and sent from there."""
    names_of = [yard.bench.id_of(name) for name in ("first", "second", "third")]
    calls = [call for call in yard.bench.fakes.calls if call.label == "build-image"]
    built = {call.deployment_id: call.server for call in calls}
    assert [built[name] for name in names_of] == [yard.bench.id_of(name) for name in expected]
    sent = yard.bench.fakes.messages("distribute-image")
    assert {message.server_id for message in sent} == {yard.id_of("ship")}
    assert {message.step.deployment_id: message.source.name for message in sent} == built
    for name, finish in yard.bench.fakes.finishes().items():
        assert [step.server for step in finish.steps if step.name is StepName.BUILD] == [built[name]]
    for name in ("anvil", "bench"):
        await yard.until([], [], name)


async def test_one_of_several_build_servers_builds_and_sends_the_image(yard: Yard) -> None:
    [first, second], [*running] = await until_third_waits(yard)

    first.release()

    for handle in (running[0], running[2]):
        assert (await ending(handle)).status is DeploymentStatus.FINISHED
    second.release()
    await ending(running[1])
    await check_builders(yard, "anvil", "bench", "anvil")


@pytest.mark.drill  # it asks again only after five seconds
async def test_who_waits_goes_to_another_build_server_that_has_room_by_then(yard: Yard) -> None:
    held, running = await until_third_waits(yard)

    held[1].release()

    for handle in running[1:]:
        assert (await ending(handle)).status is DeploymentStatus.FINISHED
    assert await yard.builds("anvil") == (["first"], [])
    held[0].release()
    await ending(running[0])
    await check_builders(yard, "anvil", "bench", "bench")


def in_order(yard: Yard) -> Any:
    """Each server in turn, then the first queue; the real activity would look for rows of deployments."""

    async def lease(lease: m.LeaseBuildSlot) -> m.BuildSlotLease:
        asked = [one for one in lease.servers if one.id not in lease.lost] or lease.servers
        for waits in (False, True):
            for planned in asked:
                server = await yard.store.servers.get(planned.id)
                request = m.BuildSlotRequest(
                    deployment_id=lease.deployment_id, limit=server.concurrent_builds, waits=waits
                )
                answer = await yard.keepers.lease(server, request)
                if answer.is_granted or waits:
                    for other in lease.servers:
                        if answer.is_granted and other != planned:
                            await yard.keepers.release(other.id, lease.deployment_id)
                    return m.BuildSlotLease(server=planned, is_granted=answer.is_granted, message="Queued.")
        raise AssertionError(lease)

    return lease


async def two_builders(yard: Yard, **fields: Any) -> None:
    """Build servers with a slot each, for deployments on another server."""
    for name in ("anvil", "bench"):
        await yard.server(name, 1, is_build_server=True, **fields)
    yard.plan("ship", builders=[yard.bench.id_of("anvil"), yard.bench.id_of("bench")])
    yard.bench.fakes.real[s.LEASE_BUILD_SLOT.name] = in_order(yard)


@pytest.mark.parametrize("code", ["server_unreachable", "host_key_changed", "disk_full"])
async def test_another_build_server_takes_over_from_one_that_is_lost(yard: Yard, code: str) -> None:
    await two_builders(yard)
    anvil, bench = yard.bench.id_of("anvil"), yard.bench.id_of("bench")
    yard.bench.fakes.fail("build-image", code, "It is away.", server=anvil)
    [held] = yard.hold("new")
    running = await yard.deploy("new")
    await held.has_begun()

    await yard.until([], [], "anvil")
    await yard.until(["new"], [], "bench")
    shown = await yard.build_step("new")
    assert (shown.server, shown.status) == (bench, StepStatus.RUNNING)
    held.release()

    assert (await ending(running)).status is DeploymentStatus.FINISHED
    built = yard.bench.fakes.messages("build-image")
    assert [(one.step.server, one.instead) for one in built] == [
        (anvil, ""),
        (bench, f"The build on {anvil} was lost (It is away). {bench} builds instead."),
    ]
    assert [one.source.name for one in yard.bench.fakes.messages("distribute-image")] == [bench]
    [finish] = yard.bench.fakes.finishes().values()
    steps = [(one.server, one.status) for one in finish.steps if one.name is StepName.BUILD]
    assert steps == [(bench, StepStatus.SUCCEEDED)]
    for name in ("anvil", "bench"):
        await yard.until([], [], name)


async def test_who_takes_a_build_over_waits_for_its_turn(yard: Yard) -> None:
    await two_builders(yard)
    first, second = yard.hold("first", "second")
    running = [await yard.deploy("first")]
    await first.has_begun()
    running.append(await yard.deploy("second"))
    await second.has_begun()
    yard.bench.fakes.fail("build-image", "server_unreachable", server=yard.bench.id_of("anvil"))

    first.release()

    await yard.until(["second"], ["first"], "bench")
    assert (await yard.build_step("first")).status is StepStatus.RUNNING
    second.release()
    for handle in running:
        assert (await ending(handle)).status is DeploymentStatus.FINISHED
    for name in ("anvil", "bench"):
        await yard.until([], [], name)


async def test_the_only_build_server_builds_again_once_it_is_back(yard: Yard) -> None:
    await yard.server("anvil", 1, is_build_server=True)
    anvil = yard.bench.id_of("anvil")
    yard.plan("ship", builders=[anvil])
    yard.bench.fakes.real[s.LEASE_BUILD_SLOT.name] = in_order(yard)
    yard.bench.fakes.fail("build-image", "server_unreachable", times=2, server=anvil)

    result = await ending(await yard.deploy("new"))

    assert result.status is DeploymentStatus.FINISHED
    assert [one.server_id for one in yard.bench.fakes.messages("build-image")] == [yard.id_of("anvil")] * 3
    assert yard.bench.fakes.undos() == []
    await yard.until([], [], "anvil")


@pytest.mark.parametrize(
    ("code", "tries"), [("build_failed", 1), ("host_key_changed", 2), ("server_unreachable", MOST_TRIES)]
)
async def test_a_build_that_no_server_can_do_fails_in_the_end(yard: Yard, code: str, tries: int) -> None:
    await two_builders(yard)
    yard.bench.fakes.fail("build-image", code, "It is away.")

    with pytest.raises(WorkflowFailureError):
        await ending(await yard.deploy("new"))

    built = [one.step.server for one in yard.bench.fakes.messages("build-image")]
    assert len(built) == tries
    [finish] = yard.bench.fakes.finishes().values()
    assert (finish.status, finish.error_code) == (DeploymentStatus.FAILED, code)
    undone = {one.step.server: one.step.is_lost for one in yard.bench.fakes.messages("undo discard-image")}
    # Whoever has been waited for already is not waited for again, but the last one is.
    assert {name: undone[name] for name in built} == {name: name != built[-1] for name in built}
    for name in ("anvil", "bench")[:tries]:
        await yard.until([], [], name)


async def test_a_cancelled_wait_for_another_build_server_leaves_no_slot(yard: Yard) -> None:
    await two_builders(yard)
    first, second = yard.hold("first", "second")
    running = [await yard.deploy("first")]
    await first.has_begun()
    running.append(await yard.deploy("second"))
    await second.has_begun()
    yard.bench.fakes.fail("build-image", "server_unreachable", server=yard.bench.id_of("anvil"))
    first.release()
    await yard.until(["second"], ["first"], "bench")

    await running[0].cancel()

    with pytest.raises(WorkflowFailureError):
        await ending(running[0])
    await yard.until(["second"], [], "bench")
    await yard.until([], [], "anvil")
    second.release()
    assert (await ending(running[1])).status is DeploymentStatus.FINISHED


async def test_an_image_that_a_server_has_needs_no_build_server(yard: Yard) -> None:
    yard.plan("ship", "boat", builders=["builder-that-is-gone"])
    yard.bench.fakes.present_on = (yard.id_of("boat"),)

    result = await ending(await yard.deploy("new"))

    assert result.status is DeploymentStatus.FINISHED
    assert yard.bench.fakes.messages("lease-build-slot") == []
    [build] = yard.bench.fakes.messages("build-image")
    assert build.server_id == yard.id_of("boat")
    assert {one.source.id for one in yard.bench.fakes.messages("distribute-image")} == {yard.id_of("boat")}


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
