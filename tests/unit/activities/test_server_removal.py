"""What is taken off a server that is given up, where its machine has other names too."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.server_removal import ServerRemovalActivities
from adapters.docker.connection import EngineRefusal
from adapters.host_commands import Completed
from adapters.server_setup import SIGNED_IN
from adapters.traefik.settings import OWNER_LABEL
from domain.errors import EngineUnavailable, SeawayError, ServerUnreachable
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Server, Team

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"
FOLDER = "/var/lib/seaway/seaway"


@dataclass
class Machine:
    """Notes what is removed from it."""

    network: str = "seaway"
    problems: list[SeawayError] = field(default_factory=list)
    is_crowded: bool = False
    removed: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Machine:
        return self

    @property
    def commands(self) -> Machine:
        return self

    async def list_containers(self, _labels: object) -> list[Any]:
        if self.problems:
            raise self.problems.pop()
        return [SimpleNamespace(name="proxy", labels={OWNER_LABEL: f"{FOLDER}/proxy/dynamic"})]

    async def remove(self, name: str) -> None:
        self.removed.append(name)

    async def images_with_prefix(self, _name: str) -> list[str]:
        return ["seaway/traefik:3.7", "seaway/of-another-seaway:1"]

    async def remove_image(self, reference: str) -> bool:
        self.removed.append(reference)
        return True

    async def remove_network(self, name: str) -> None:
        if self.is_crowded:
            raise EngineRefusal(403, "network has active endpoints")
        self.removed.append(name)

    async def run(self, arguments: list[str], **_: object) -> Completed:
        if SIGNED_IN in arguments:
            return Completed(2, "", "No such file or directory")
        self.removed.append(arguments[-1])
        return Completed(0, "", "")

    async def parts(self, server_id: str) -> Machine:
        self.asked.append(server_id)
        return self

    async def link(self, server_id: str) -> Any:
        self.asked.append(server_id)
        return self

    async def forget(self, server_id: str) -> None:
        self.forgotten.append(server_id)


async def removed(store: Store, *, theirs_folder: str) -> list[str]:
    async with store.database.writing() as session:
        session.add(Team(id="others", name="Others"))
    await store.servers.set("far", host_key=KEY, data_folder=FOLDER)
    theirs = Server(team_id="others", name="theirs", host_key=KEY, data_folder=theirs_folder)
    await store.servers.create(theirs)
    machine = Machine()
    servers: Any = machine
    activities = ServerRemovalActivities(store, servers)
    answer = await ActivityEnvironment().run(activities.remove, m.RemoveServer(server_id="far"))
    assert answer.kept_by == ()
    assert "far" not in {one.id for one in await store.servers.all_remote()}
    return machine.removed


async def test_what_another_team_uses_on_the_same_machine_stays(servers_store: Store) -> None:
    assert await removed(servers_store, theirs_folder=FOLDER) == []


async def test_of_a_server_that_is_forgotten_nothing_is_asked(servers_store: Store) -> None:
    await servers_store.servers.set("far", host_key=KEY, data_folder=FOLDER)
    machine = Machine()
    servers: Any = machine
    activities = ServerRemovalActivities(servers_store, servers)
    removal = m.RemoveServer(server_id="far", forget=True)
    answer = await ActivityEnvironment().run(activities.remove, removal)
    assert answer.kept_by == ()
    assert "far" not in {one.id for one in await servers_store.servers.all_remote()}
    assert (machine.removed, machine.forgotten, machine.asked) == ([], ["far"], [])


TAKEN = {"proxy", "seaway/traefik:3.7", FOLDER, "seaway", "seaway-builds"}
STOPPED = EngineUnavailable("Docker does not answer.")


async def removal_from(
    store: Store, machine: Machine, *, forget: bool = False, **row: object
) -> m.ServerRemoval:
    await store.servers.set("far", host_key=KEY, data_folder=FOLDER, **row)
    servers: Any = machine
    activities = ServerRemovalActivities(store, servers)
    return await ActivityEnvironment().run(activities.remove, m.RemoveServer(server_id="far", forget=forget))


async def test_a_server_whose_engine_is_stopped_stays_with_the_reason_and_all_that_is_there(
    servers_store: Store,
) -> None:
    machine = Machine(problems=[STOPPED])
    answer = await removal_from(servers_store, machine, is_reachable=True)
    assert (answer.is_kept, answer.is_given_up, answer.kept_by) == (True, True, ())
    assert "Docker does not answer." in answer.message
    assert "ask to forget it" in answer.message
    row = await servers_store.servers.get("far")
    assert (row.status, row.status_message) == (ServerStatus.NOT_USABLE, answer.message)
    [event] = await servers_store.watch.events("far")
    assert (event.kind, event.message) == (ServerEventKind.REMOVAL_REFUSED, answer.message)
    assert machine.removed == []
    # Once it is mended, it goes as a whole.
    assert not (await removal_from(servers_store, machine, is_reachable=True)).is_kept
    assert set(machine.removed) == TAKEN


async def test_a_link_that_was_gone_before_does_not_keep_a_server(servers_store: Store) -> None:
    machine = Machine(problems=[ServerUnreachable("The link is gone.")])
    assert not (await removal_from(servers_store, machine, is_reachable=True)).is_kept
    assert set(machine.removed) == TAKEN


async def test_of_a_server_that_is_forgotten_and_answers_goes_what_can_go(servers_store: Store) -> None:
    machine = Machine(problems=[STOPPED])
    answer = await removal_from(servers_store, machine, forget=True, is_reachable=True)
    assert not answer.is_kept
    assert "far" not in {one.id for one in await servers_store.servers.all_remote()}
    assert set(machine.removed) == {FOLDER, "seaway-builds"}


async def test_a_network_that_somebody_else_uses_keeps_no_server(servers_store: Store) -> None:
    machine = Machine(is_crowded=True)
    assert not (await removal_from(servers_store, machine, is_reachable=True)).is_kept
    assert set(machine.removed) == TAKEN - {"seaway"}


async def test_who_only_names_a_host_key_keeps_nothing_there(servers_store: Store) -> None:
    taken_away = set(await removed(servers_store, theirs_folder=""))
    assert taken_away == TAKEN
