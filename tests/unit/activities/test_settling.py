"""What is taken away from a server that comes back."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.messages import ServerTask, StepOutcome
from activities.settling import SettlingActivities
from adapters.docker.states import ContainerState
from domain.configuration import Domain, RoutingOptions, RuntimeOptions
from domain.deployments import DeploymentStatus

NOBODY: Mapping[str, str] = {}
LABELS = {"seaway.application": "shop", "seaway.role": "replica"}


class Machine:
    """An engine and a proxy, with replicas of two releases of `shop`."""

    def __init__(self, stopped: Collection[str], replicas: int) -> None:
        self.stopped = stopped
        self.replicas = replicas
        self.started: list[str] = []
        self.removed: list[str] = []
        self.withdrawn: list[str] = []
        self.applied: list[str] = []
        self.outcome = StepOutcome()
        self.settled: list[str] = []

    async def list_containers(self, _labels: object) -> list[Any]:
        replicas = [
            self._container(f"shop-{release}-{number}", release)
            for release in (("old", "new") if self.replicas else ())
            for number in range(1, self.replicas + 1)
        ]
        # Somebody runs one from an image that was made of a replica: nobody ever touches it.
        return [*replicas, *(self._container("somebodys", release) for release in ("old", "new"))]

    def _container(self, name: str, release: str) -> ContainerState:
        return ContainerState(
            id=release,
            name=name,
            image="",
            status="",
            running=release not in self.stopped,
            exit_code=0,
            pid=0,
            restart_count=0,
            oom_killed=False,
            started_at=None,
            labels={**LABELS, "seaway.release": release},
        )

    async def stop(self, _name: str, _grace: int) -> None:
        pass

    async def start(self, name: str) -> None:
        assert self.removed, "what takes its ports has to go first"
        self.started.append(name)

    async def remove(self, name: str) -> None:
        self.removed.append(name)

    async def names(self) -> frozenset[str]:
        return frozenset({"shop"})

    async def current(self, _application_id: str) -> Any:
        return SimpleNamespace(release_id="new")

    async def apply(self, routes: Any) -> None:
        self.applied.append(routes.release_id)

    async def withdraw(self, application_id: str) -> None:
        self.withdrawn.append(application_id)

    async def note_settled(self, _server_id: str, since: str) -> None:
        self.settled.append(since)


async def nothing_left(_server_id: str) -> list[Any]:
    return []


async def settled(
    server_id: str,
    *,
    ends_meanwhile: bool = False,
    behind: Mapping[str, str] = NOBODY,
    stopped: Collection[str] = (),
    runtime: RuntimeOptions | None = None,
    replicas: int = 1,
    **servers_of_releases: tuple[str, ...],
) -> Machine:
    """The machine, after the server's row by this id was settled; `new` is what serves.

    With `ends_meanwhile`, from the second look at the database on. `behind` is which servers have which
    release, where that was written down. `stopped` is of which releases the replicas do not run;
    `replicas` is how many of each release there are on it.
    """
    machine = Machine(stopped, replicas)
    looks = 0

    def has_ended() -> bool:
        nonlocal looks
        looks += 1
        return not ends_meanwhile or looks > 1

    rows = {
        release: SimpleNamespace(
            id=release,
            release_id=None,
            status=DeploymentStatus.FINISHED,
            server_ids=servers,
            snapshot_sealed="",
            application_id="shop",
            runtime=runtime or RuntimeOptions(),
            routing=RoutingOptions(domains=(Domain(host="shop.example.com"),)),
        )
        for release, servers in servers_of_releases.items()
    }

    async def parts(_server_id: str) -> Any:
        return SimpleNamespace(engine=machine, proxy=machine, swarm=None)

    async def application(_application_id: str) -> Any:
        current = "new" if has_ended() else "old"
        return SimpleNamespace(current_deployment_id=current, desired_state="running")

    async def no_applications(*, team_id: str) -> list[Any]:
        return []

    async def server(server_id: str) -> Any:
        return SimpleNamespace(
            id=server_id, team_id="team", is_build_server=False, unsettled_since="a moment ago"
        )

    async def deployment(deployment_id: str) -> Any:
        return rows[deployment_id]

    async def all_of_application(_application_id: str) -> list[Any]:
        found = [copy.copy(row) for row in rows.values()]
        if not has_ended():
            found[-1].status = DeploymentStatus.IN_PROGRESS
        return found

    async def held(_application_id: str) -> list[Any]:
        return [SimpleNamespace(server_id=one, deployment_id=release) for one, release in behind.items()]

    deployments = SimpleNamespace(
        get=deployment, snapshot=deployment, all_of_application=all_of_application, released=lambda row: row
    )
    store: Any = SimpleNamespace(
        applications=SimpleNamespace(get=application, list=no_applications),
        deletions=SimpleNamespace(left_on=nothing_left),
        deployments=deployments,
        releases=SimpleNamespace(of=held),
        servers=SimpleNamespace(get=server, settled=machine.note_settled),
    )
    servers: Any = SimpleNamespace(parts=parts)
    task = ServerTask(server_id=server_id)
    machine.outcome = await ActivityEnvironment().run(SettlingActivities(store, servers).settle, task)
    return machine


@pytest.mark.parametrize("twin", ["another team's", "the same team's, by another address"])
async def test_what_another_row_of_the_same_machine_has_there_stays(twin: str) -> None:
    machine = await settled(twin, old=("east",), new=("east",))
    assert (machine.removed, machine.withdrawn) == ([], [])


async def test_a_server_that_a_release_went_on_without_comes_back_to_the_release_before() -> None:
    servers = ("east", "west")
    having = {"east": "new", "west": "old"}

    machine = await settled("west", behind=having, old=servers, new=servers)
    assert (machine.removed, machine.applied) == (["shop-new-1"], ["old"])

    machine = await settled("east", behind=having, old=servers, new=servers)
    assert (machine.removed, machine.applied) == (["shop-old-1"], [])


async def test_what_a_release_had_to_stop_first_runs_again_when_the_server_is_back() -> None:
    servers = ("east", "west")
    having = {"east": "new", "west": "old"}

    machine = await settled("west", behind=having, stopped=["old"], old=servers, new=servers)
    assert (machine.removed, machine.started) == (["shop-new-1"], ["shop-old-1"])


async def test_replicas_that_a_scaling_could_not_take_away_go() -> None:
    machine = await settled(
        "east", replicas=3, runtime=RuntimeOptions(replicas=2), old=("west",), new=("east",)
    )
    assert (machine.removed, machine.started) == (["shop-new-3"], [])


async def test_what_ended_by_itself_and_is_not_to_be_started_again_stays_so() -> None:
    servers = ("east", "west")
    having = {"east": "new", "west": "old"}
    once = RuntimeOptions(restart_policy="no")

    machine = await settled("west", behind=having, stopped=["old"], runtime=once, old=servers, new=servers)
    assert (machine.removed, machine.started) == (["shop-new-1"], [])


async def test_what_the_server_had_before_the_application_moved_away_goes() -> None:
    machine = await settled("east", old=("east",), new=("east",))
    assert (machine.removed, machine.withdrawn) == (["shop-old-1"], [])
    assert not machine.outcome.waits
    machine = await settled("east", old=("east",), new=("west",))
    assert (machine.removed, machine.withdrawn) == (["shop-old-1"], [])


async def test_a_release_that_ends_while_its_server_is_settled_stays_and_is_looked_at_again() -> None:
    machine = await settled("east", ends_meanwhile=True, old=("east",), new=("east",))
    assert (machine.removed, machine.withdrawn) == ([], [])
    assert machine.outcome.waits
    assert machine.settled == []


async def test_routes_that_are_all_that_is_left_of_a_release_lead_back() -> None:
    servers = ("east", "west")
    having = {"east": "new", "west": "old"}
    machine = await settled("west", behind=having, replicas=0, old=servers, new=servers)
    assert (machine.removed, machine.applied) == ([], ["old"])
    assert machine.settled == ["a moment ago"]
