"""What becomes of deleted applications on servers that their deletion did not ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.clean_up import CleanUpActivities
from activities.deleted_applications import expect_remains
from activities.records import RecordActivities
from activities.server_leaving import Leaving
from activities.server_removal import ServerRemovalActivities
from activities.settling import SettlingActivities
from adapters.host_commands import Completed
from domain.deployments import OperationKind, StepName
from domain.errors import NotFound
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Application, Server
from tests.unit.activities.test_images_of_several_servers import application_on, plan_of
from tests.unit.activities.test_servers_left_out import planned, released
from workflows.server_state import ServerState


@dataclass
class Machine:
    """A server with what an application has left there, and what somebody else calls nearly the same."""

    application_id: str
    containers: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)
    release: str = "unknown"
    mounted: set[str] = field(default_factory=set)
    """What of the stored somebody else's container uses."""

    def __post_init__(self) -> None:
        one = self.application_id
        self.containers = {f"{one}-release-1", "of-somebody-else"}
        self.images = {f"seaway/{one}:abc", "of-somebody-else:1"}
        self.stored = {f"{one}-data", "of-somebody-else"}
        self.folders = {f"applications/{one}", f"applications/{one}/files"}
        self.routes = {one}

    async def parts(self, _server_id: str) -> Any:
        return SimpleNamespace(engine=self, proxy=self, files=self, swarm=None, network="seaway")

    async def link(self, _server_id: str) -> Any:
        return self

    async def forget(self, _server_id: str) -> None:
        pass

    async def run(self, _arguments: list[str], **_: object) -> Completed:
        return Completed(0, "", "")

    async def remove_network(self, _name: str) -> None:
        pass

    async def list_containers(self, labels: dict[str, str]) -> list[Any]:
        # The labels of an image count for the containers of whoever builds upon it.
        asked = labels.get("seaway.application", self.application_id)
        found = {
            "seaway.application": self.application_id,
            "seaway.role": "replica",
            "seaway.release": self.release,
        }
        mine = asked == self.application_id
        return [SimpleNamespace(name=one, labels=found) for one in self.containers if mine]

    async def stop(self, name: str, _grace: int) -> None:
        assert name in self.containers

    async def remove(self, name: str) -> None:
        self.containers.discard(name)

    async def images_with_prefix(self, name: str) -> list[str]:
        return sorted(one for one in self.images if one.startswith(name))

    async def remove_image(self, reference: str) -> bool:
        self.images.discard(reference)
        return True

    async def volumes(self, _labels: object) -> list[str]:
        return sorted(self.stored)

    async def remove_volume(self, name: str) -> bool:
        self.stored.discard(name if name not in self.mounted else "")
        return name not in self.mounted

    async def users_of_volume(self, _name: str) -> list[str]:
        return ["backup"]

    async def remove_tree(self, relative: object) -> None:
        self.folders = {one for one in self.folders if not f"{one}/".startswith(f"{relative}/")}

    async def current(self, application_id: str) -> Any:
        return SimpleNamespace(release_id="release") if application_id in self.routes else None

    async def withdraw(self, application_id: str) -> None:
        self.routes.discard(application_id)

    async def names(self) -> frozenset[str]:
        return frozenset(self.routes)


async def moved(store: Store) -> Application:
    """An application that was released on `far`, and then on `local` only."""
    application = await application_on(store, "far")
    await released(store, application, "first")
    configuration = await store.applications.configuration(application.id)
    there = configuration.model_copy(update={"server_ids": ("local",)})
    await store.applications.modify(
        application.id, team_id="team", edit=lambda _row, _old, written: (there, written)
    )
    await released(store, application, "second")
    return application


async def forget(store: Store, application: Application) -> None:
    await ActivityEnvironment().run(
        RecordActivities(store).forget, m.ForgetApplication(application_id=application.id)
    )


async def settle(store: Store, machine: Machine, server_id: str = "far") -> m.StepOutcome:
    servers: Any = machine
    activities = SettlingActivities(store, servers)
    return await ActivityEnvironment().run(activities.settle, m.ServerTask(server_id=server_id))


async def test_a_server_that_an_application_had_moved_from_keeps_nothing_of_it(servers_store: Store) -> None:
    application = await moved(servers_store)
    machine = Machine(application.id)
    plan = await planned(servers_store, application, "third", OperationKind.DELETE)
    assert [one.id for one in plan.servers] == ["local"]
    # As long as it is known, a settling takes nothing: its deletion may yet fail.
    await settle(servers_store, machine)
    assert (machine.images, machine.folders) == (
        Machine(application.id).images,
        Machine(application.id).folders,
    )
    await forget(servers_store, application)
    assert [one.application_id for one in await servers_store.deletions.left_on("far")] == [application.id]

    outcome = await settle(servers_store, machine)

    assert not outcome.skipped
    assert machine.containers == {"of-somebody-else"}
    assert machine.images == {"of-somebody-else:1"}
    assert machine.routes == set()
    assert machine.folders == {f"applications/{application.id}"}
    assert f"{application.id}-data" in machine.stored, "nobody asked for the data to go"
    assert await servers_store.deletions.left_on("far") == []


async def test_data_goes_where_the_deletion_said_so(servers_store: Store) -> None:
    application = await moved(servers_store)
    await servers_store.deletions.expect(application.id, ["far"], delete_volumes=True)
    await forget(servers_store, application)
    machine = Machine(application.id)
    await settle(servers_store, machine)
    assert (machine.stored, machine.folders) == ({"of-somebody-else"}, set())


async def test_a_server_is_not_given_up_in_silence_while_somebody_uses_data_that_should_go(
    servers_store: Store,
) -> None:
    application = await moved(servers_store)
    await servers_store.deletions.expect(application.id, ["far"], delete_volumes=True)
    await forget(servers_store, application)
    machine = Machine(application.id)
    machine.mounted = {f"{application.id}-data"}
    servers: Any = machine
    leaving = Leaving(servers_store, servers, "seaway")
    far = await servers_store.servers.get("far")
    problem = await leaving.take_away(far, in_any_case=False)
    assert problem is not None
    assert "stays, because backup uses it" in problem.message
    assert machine.containers == {"of-somebody-else"}
    machine.mounted.clear()
    assert await leaving.take_away(far, in_any_case=False) is None


def counted_openings(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The deployments whose snapshots are opened from now on."""
    opened: list[str] = []
    released_by = store.deployments.released

    def counting(row: Any) -> Any:
        opened.append(row.id)
        return released_by(row)

    monkeypatch.setattr(store.deployments, "released", counting)
    return opened


async def test_what_many_releases_have_in_common_is_opened_once(
    servers_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = await moved(servers_store)
    for name in ("third", "fourth", "fifth"):
        await released(servers_store, application, name)
    opened = counted_openings(servers_store, monkeypatch)
    configuration = await servers_store.applications.configuration(application.id)
    command = m.Command(deployment_id="deletion", application_id=application.id, kind=OperationKind.DELETE)
    await expect_remains(servers_store, command, configuration)
    assert len(opened) == 2, "one on each server that it was on"
    await forget(servers_store, application)
    assert len(await servers_store.deletions.left_on("far")) == 1


async def test_a_server_opens_only_the_releases_that_it_has_something_of(
    servers_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = await moved(servers_store)
    opened = counted_openings(servers_store, monkeypatch)
    machine = Machine(application.id)
    await settle(servers_store, machine)
    # The replicas on it are of no known release; what serves has to be known in any case.
    assert set(opened) == {"second"}
    machine.release = "first"
    await settle(servers_store, machine)
    assert set(opened) == {"first", "second"}
    assert f"{application.id}-release-1" not in machine.containers


async def test_what_of_an_unknown_application_is_another_seaways_stays(servers_store: Store) -> None:
    machine = Machine("another")
    await settle(servers_store, machine)
    assert (machine.images, machine.containers) == (Machine("another").images, Machine("another").containers)


async def test_a_server_that_the_deletion_cleans_is_not_asked_again(servers_store: Store) -> None:
    application = await moved(servers_store)
    await planned(servers_store, application, "third", OperationKind.DELETE)
    machine = Machine(application.id)
    servers: Any = machine
    step = m.StepReference(deployment_id="third", name=StepName.CLEAN_UP, server="local")
    clean = m.CleanUp(
        step=step, application_id=application.id, server_id="local", everything=True, delete_volumes=True
    )
    await ActivityEnvironment().run(CleanUpActivities(servers_store, servers).clean_up, clean)
    await forget(servers_store, application)
    assert await servers_store.deletions.left_on("local") == []
    assert [one.application_id for one in await servers_store.deletions.left_on("far")] == [application.id]
    # It was away when its replicas were stopped.
    assert machine.containers == {"of-somebody-else"}


async def test_a_server_that_is_forgotten_and_answers_loses_what_its_applications_left(
    servers_store: Store,
) -> None:
    application = await application_on(servers_store, "far")
    await servers_store.servers.set("far", is_reachable=True, status=ServerStatus.NOT_USABLE)
    plan = await plan_of(servers_store, application, OperationKind.DELETE, without_server_id="far")
    assert plan.servers == ()
    await forget(servers_store, application)
    machine = Machine(application.id)
    servers: Any = machine
    removal = m.RemoveServer(server_id="far", forget=True)
    await ActivityEnvironment().run(ServerRemovalActivities(servers_store, servers).remove, removal)
    assert (machine.containers, machine.images) == ({"of-somebody-else"}, {"of-somebody-else:1"})
    assert "far" not in {one.id for one in await servers_store.servers.all_remote()}


async def test_build_servers_are_remembered_and_those_that_are_forgotten_are_not(
    servers_store: Store,
) -> None:
    builder = Server(
        team_id="team", name="anvil", address="192.0.2.9", is_build_server=True, data_folder="/data"
    )
    builder = await servers_store.servers.create(builder)
    application = await application_on(servers_store, "far")
    configuration = await servers_store.applications.configuration(application.id)
    build = configuration.build.model_copy(update={"use_build_server": True})
    built = configuration.model_copy(update={"build": build})
    await servers_store.applications.modify(
        application.id, team_id="team", edit=lambda _row, _old, written: (built, written)
    )
    await plan_of(servers_store, application, OperationKind.DELETE)
    await forget(servers_store, application)
    assert len(await servers_store.deletions.left_on(builder.id)) == 1
    assert await servers_store.deletions.left_on("new") == [], "nothing was ever there"
    await servers_store.servers.forget(builder.id)
    assert await servers_store.deletions.left_on(builder.id) == []
    try:
        await servers_store.applications.get(application.id)
    except NotFound:
        return
    raise AssertionError("the application is still known")


def test_a_server_with_remains_is_settled_although_it_was_never_away() -> None:
    state = ServerState(server_id="far", status=ServerStatus.USABLE, is_watched=True)
    state.settle(m.ServerCondition(status=ServerStatus.USABLE))
    assert not state.was_away
    state.settle(m.ServerCondition(status=ServerStatus.USABLE, has_remains=True))
    assert state.was_away
