"""Which build server builds, and which takes over: asked for by real deployments."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities import messages as m
from activities import signatures as s
from domain.builders import MOST_TRIES
from domain.deployments import DeploymentStatus, StepName, StepStatus
from tests.workflow.bench import ending
from tests.workflow.fake_activities import Held
from tests.workflow.yard import Yard

pytestmark = pytest.mark.thorough


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
