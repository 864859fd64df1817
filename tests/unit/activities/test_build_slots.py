"""Which server is asked for a slot, and what is written down about whoever has to wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.build_slots import BuildSlotActivities, repository_key
from activities.planning import PlanningActivities
from domain.build_slots import BuildSlots, admit, ask, release, with_limit
from domain.builders import BuildState
from domain.configuration import ApplicationConfiguration, BuildOptions, GitSource
from domain.deployments import OperationKind, StepName, StepStatus
from domain.errors import NotPossibleNow
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Application, Deployment, Server

ANVIL = m.PlannedServer(id="anvil", name="anvil")
BENCH = m.PlannedServer(id="bench", name="bench")


class Keepers:
    """The slots of all servers, in memory; of those in `refusing` nobody gets one."""

    def __init__(self) -> None:
        self.slots: dict[str, BuildSlots] = {}
        self.refusing: set[str] = set()
        self.ended: tuple[str, ...] = ()

    async def lease(self, server: Server, request: m.BuildSlotRequest) -> m.BuildSlotAnswer:
        if server.id in self.refusing:
            raise NotPossibleNow("This server is being removed.")
        slots = with_limit(self.slots.get(server.id, BuildSlots()), request.limit)
        if request.waits or slots.free or request.deployment_id in slots.holders:
            slots = ask(slots, request.deployment_id, request.group)
        self.slots[server.id], _ = slots, _ = admit(slots)
        return m.BuildSlotAnswer(
            is_granted=request.deployment_id in slots.builds,
            position=slots.position(request.deployment_id),
            waiting=len(slots.waiting),
            running=slots.builds,
        )

    async def release(self, server_id: str, deployment_id: str) -> None:
        self.slots[server_id], _ = admit(release(self.slots.get(server_id, BuildSlots()), deployment_id))

    async def closed(self, deployment_ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(one for one in deployment_ids if one in self.ended)

    def holders(self) -> dict[str, tuple[str, ...]]:
        return {server: slots.holders for server, slots in self.slots.items() if slots.holders}


class Yard:
    """Two build servers with a slot each, and deployments of one application on the local server."""

    def __init__(self, store: Store, application: Application) -> None:
        self.store = store
        self.application = application
        self.keepers = Keepers()
        self.activities = BuildSlotActivities(store, self.keepers)

    async def begin(self, deployment_id: str) -> m.ReleasePlan:
        command = m.Command(
            deployment_id=deployment_id, application_id=self.application.id, kind=OperationKind.DEPLOY
        )
        return await ActivityEnvironment().run(
            PlanningActivities(self.store).begin, m.BeginDeployment(command=command)
        )

    async def lease(self, deployment_id: str, **fields: Any) -> m.BuildSlotLease:
        given = {"servers": (ANVIL, BENCH), "shown_on": "anvil", **fields}
        lease = m.LeaseBuildSlot(deployment_id=deployment_id, application_id=self.application.id, **given)
        return await ActivityEnvironment().run(self.activities.lease, lease)

    async def step(self, deployment_id: str) -> tuple[str, StepStatus, str]:
        steps = await self.store.deployments.steps(deployment_id)
        [step] = [one for one in steps if one.name is StepName.BUILD]
        return step.server, step.status, step.message

    async def has_built(self, server_id: str) -> None:
        """A deployment of the same repository was built there."""
        configuration = await self.store.applications.configuration(self.application.id)
        row = await self.store.deployments.record(Deployment(application_id=self.application.id))
        await self.store.builds.begin(row.id, server_id, repository_key(self.store, configuration))
        await self.store.deployments.update(row.id, image_id="sha256:image", build_state=BuildState.NONE)


@pytest.fixture
async def yard(servers_store: Store) -> Yard:
    store = servers_store
    for name in ("anvil", "bench"):
        usable: dict[str, Any] = {"status": ServerStatus.USABLE, "address": name, "is_usable": True}
        await store.servers.create(
            Server(id=name, team_id="team", name=name, is_build_server=True, concurrent_builds=1, **usable)
        )
    project = await store.projects.create(team_id="team", name="Project")
    environment = (await store.projects.environments(project.id))[0]
    row = Application(team_id="team", environment_id=environment.id, name="shop", configuration_sealed="")
    configuration = ApplicationConfiguration(
        application_id=row.id,
        name="shop",
        team_id="team",
        project_id=project.id,
        server_ids=("local",),
        source=GitSource(repository="https://git.example.com/shop.git"),
        build=BuildOptions(use_build_server=True),
    )
    return Yard(store, await store.applications.create(row, configuration))


async def test_a_build_server_is_planned_to_build_and_nothing_else(yard: Yard) -> None:
    plan = await yard.begin("new")

    assert (plan.build_on, plan.builders, plan.needs_build_slot) == (ANVIL, (ANVIL, BENCH), True)
    assert [server.id for server in plan.servers] == ["local"]
    places = {name: [step.server for step in plan.steps if step.name is name] for name in StepName}
    assert places[StepName.BUILD] == ["anvil"]
    assert (
        places[StepName.RESOLVE_SOURCE] == places[StepName.DISTRIBUTE] == places[StepName.START] == ["local"]
    )


async def test_a_build_server_of_another_architecture_or_team_is_none(yard: Yard) -> None:
    store = yard.store
    await store.servers.set("local", architecture="amd64")
    await store.servers.set("anvil", architecture="arm64")
    await store.servers.set("bench", is_build_server=False)

    plan = await yard.begin("new")

    assert (plan.builders, plan.build_on) == ((), None)
    assert [step.server for step in plan.steps if step.name is StepName.BUILD] == ["local"]


async def test_who_comes_later_gets_the_other_server_and_then_waits_visibly(yard: Yard) -> None:
    for deployment in ("one", "two", "three"):
        await yard.begin(deployment)
    first = await yard.lease("one")
    await yard.store.builds.begin("one", "anvil", "key")
    second = await yard.lease("two")
    await yard.store.builds.begin("two", "bench", "key")
    third = await yard.lease("three")

    assert (first.is_granted, second.is_granted, third.is_granted) == (True, True, False)
    assert {one.server.id for one in (first, second) if one.server} == {"anvil", "bench"}
    assert third.server is not None
    where = third.server.name
    assert third.message == f"Queued: 1st of 1 on {where}; 1 build runs there (shop)."
    assert await yard.step("three") == (where, StepStatus.RUNNING, third.message)
    builds = await yard.store.builds.on_server(where, team_id="team")
    assert [(one.deployment_id, one.state) for one in builds] == [
        ("one" if where == "anvil" else "two", BuildState.BUILDING),
        ("three", BuildState.WAITING),
    ]
    assert await yard.store.builds.on_server(where, team_id="another") == ()


@pytest.mark.parametrize("warm", ["anvil", "bench"])
async def test_the_server_that_has_built_from_the_repository_builds_again(yard: Yard, warm: str) -> None:
    await yard.has_built(warm)
    await yard.begin("new")

    lease = await yard.lease("new")

    assert (lease.is_granted, lease.server and lease.server.id) == (True, warm)
    assert (await yard.step("new"))[0] == warm


async def test_who_waits_moves_to_a_server_that_has_room_and_leaves_its_place(yard: Yard) -> None:
    for deployment in ("one", "two", "three"):
        await yard.begin(deployment)
        await yard.lease(deployment)
    waits_on = next(server for server, slots in yard.keepers.slots.items() if slots.waiting)
    other = "bench" if waits_on == "anvil" else "anvil"
    [holder] = yard.keepers.slots[other].builds
    await yard.keepers.release(other, holder)

    lease = await yard.lease("three", waits_on=waits_on, shown_on=waits_on)

    assert (lease.is_granted, lease.server and lease.server.id) == (True, other)
    assert yard.keepers.slots[waits_on].waiting == ()
    assert yard.keepers.slots[other].builds == ("three",)


async def test_servers_that_cannot_build_are_passed_over_and_named_when_there_is_no_other(
    yard: Yard,
) -> None:
    await yard.begin("new")
    await yard.store.servers.set("anvil", status=ServerStatus.UNREACHABLE)
    yard.keepers.refusing.add("bench")

    lease = await yard.lease("new")

    assert (lease.is_granted, lease.server) == (False, None)
    assert lease.message == (
        "No build server can be used now: anvil is unreachable. bench: This server is being removed."
    )
    assert await yard.step("new") == ("anvil", StepStatus.RUNNING, lease.message)
    yard.keepers.refusing.clear()
    assert (await yard.lease("new")).server == BENCH


async def test_a_server_that_was_lost_is_asked_last(yard: Yard) -> None:
    await yard.has_built("anvil")
    await yard.begin("new")

    assert (await yard.lease("new")).server == ANVIL
    await yard.keepers.release("anvil", "new")
    assert (await yard.lease("new", lost=("anvil",))).server == BENCH
    await yard.keepers.release("bench", "new")
    await yard.store.servers.set("bench", status=ServerStatus.UNREACHABLE)
    assert (await yard.lease("new", lost=("anvil",))).server == ANVIL


async def test_a_deployment_that_has_ended_is_no_longer_shown_as_building(yard: Yard) -> None:
    for deployment in ("dead", "alive"):
        await yard.begin(deployment)
        await yard.store.builds.begin(deployment, "anvil", "key")
    yard.keepers.ended = ("dead",)
    holders = m.BuildHolders(server_id="anvil", deployment_ids=("dead", "alive"))

    found = await ActivityEnvironment().run(yard.activities.find_closed, holders)

    assert found.deployment_ids == ("dead",)
    builds = await yard.store.builds.on_server("anvil", team_id="team")
    assert [one.deployment_id for one in builds] == ["alive"]
    assert await yard.store.builds.counts(["anvil", "bench"]) == {"anvil": (1, 0), "bench": (0, 0)}


def test_repositories_are_remembered_by_fingerprints_of_one_team(servers_store: Store) -> None:
    def key(team: str, repository: str) -> str:
        source = GitSource(repository=repository)
        return repository_key(
            servers_store,
            ApplicationConfiguration(
                application_id="a", name="n", team_id=team, project_id="p", server_ids=(), source=source
            ),
        )

    address = "https://user:password@git.example.com/shop.git"
    assert key("team", address) == key("team", address)
    assert len({key("team", address), key("another", address), key("team", address + "x")}) == 3
    assert "password" not in key("team", address)
