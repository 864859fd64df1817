"""Which container of which node a command goes to, and what is said where there is none."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from activities import task_containers
from activities.swarm_nodes import known_nodes, nodes_for_release, nodes_with_image, require_nodes
from activities.task_containers import task_container
from adapters.docker.swarm_states import ServiceState, TaskState, membership
from domain.errors import DeploymentError, EngineUnavailable, NotFound, NotPossibleNow, ServerUnreachable
from domain.swarm import SwarmMembership, SwarmNode, SwarmRole
from store.tables import Server

BOSS = SwarmNode("n1", "boss", SwarmRole.MANAGER, "ready", "active")
HAND = SwarmNode("n2", "hand", SwarmRole.WORKER, "ready", "active")
FIRST = TaskState("t1", "s1", 1, "n2", "running", "running", container_id="c1" * 32)
SECOND = TaskState("t2", "s1", 2, "n1", "running", "running", container_id="c2" * 32)


class Engine:
    """A manager with these tasks."""

    def __init__(self, *tasks: TaskState) -> None:
        self._tasks = tasks

    async def service(self, name: str) -> ServiceState | None:
        return ServiceState("s1", name, 2) if self._tasks else None

    async def tasks(self, service_id: str) -> list[TaskState]:
        return list(self._tasks)

    async def swarm_nodes(self) -> list[SwarmNode]:
        return [BOSS, HAND]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The nodes that are servers of Seaway's: at first the manager."""
    row = SimpleNamespace(id="server1", name="first", address="10.0.0.1")
    known: dict[str, Any] = {"n1": SimpleNamespace(server=row, parts="parts of boss")}

    async def known_nodes(*_: object) -> dict[str, Any]:
        return known

    monkeypatch.setattr(task_containers, "known_nodes", known_nodes)
    return known


async def chosen(*tasks: TaskState, **wanted: Any) -> tuple[Any, str]:
    nothing: Any = None
    parts: Any = SimpleNamespace(engine=Engine(*tasks))
    return await task_container(nothing, nothing, "server1", parts, "shop-r1", **wanted)


async def test_no_worker_takes_over_what_is_meant_for_its_manager() -> None:
    team = [Server(id=name, team_id="team", name=name, address=name, is_usable=True) for name in "abc"]
    for row in team:
        row.is_swarm_worker = row.id != "b"
        row.is_swarm_manager = row.id == "b"
    # Workers hear of the ids of managers, and one in other hands may say what it likes.
    says = {"a": "n1", "b": "n1", "c": "n1"}

    async def listed(*, team_id: str) -> list[Server]:
        return team

    async def parts(server_id: str) -> Any:
        async def swarm() -> SwarmMembership:
            return SwarmMembership(SwarmRole.MANAGER, says[server_id])

        return SimpleNamespace(engine=SimpleNamespace(swarm=swarm))

    async def get(server_id: str) -> Server:
        return next(row for row in team if row.id == server_id)

    store: Any = SimpleNamespace(servers=SimpleNamespace(list=listed, get=get))
    servers: Any = SimpleNamespace(parts=parts)
    known = await known_nodes(store, servers, "b")
    assert {node_id: node.server.id for node_id, node in known.items()} == {"n1": "b"}
    says.update(a="n2", c="n2")
    known = await known_nodes(store, servers, "b")
    assert {node_id: node.server.id for node_id, node in known.items()} == {"n1": "b", "n2": "a"}


@pytest.mark.parametrize("info", [[], {"Swarm": []}, {"Swarm": {"LocalNodeState": ["active"]}}, "?"])
async def test_a_node_that_answers_nonsense_is_no_node_and_no_hindrance(info: Any) -> None:
    team = [Server(id=name, team_id="team", name=name, address=name, is_usable=True) for name in "ab"]
    team[0].is_swarm_worker = team[1].is_swarm_manager = True

    async def listed(*, team_id: str) -> list[Server]:
        return team

    async def get(server_id: str) -> Server:
        return team[1]

    async def parts(server_id: str) -> Any:
        async def swarm() -> SwarmMembership:
            return SwarmMembership(SwarmRole.MANAGER, "n1") if server_id == "b" else membership(info)

        async def image_id(_reference: str) -> str:
            raise KeyError("Id")

        return SimpleNamespace(engine=SimpleNamespace(swarm=swarm, image_id=image_id))

    store: Any = SimpleNamespace(servers=SimpleNamespace(list=listed, get=get))
    servers: Any = SimpleNamespace(parts=parts)
    known = await known_nodes(store, servers, "b")
    assert [node.server.id for node in known.values()] == ["b"]
    assert await nodes_with_image(known, "sha256:1") == frozenset()
    assert (await nodes_for_release(store, servers, "b", "sha256:1"))[1] == {"n1"}


async def test_a_manager_that_is_away_for_a_moment_is_asked_again_and_not_done_without() -> None:
    async def listed(*, team_id: str) -> list[Server]:
        return [await get("b")]

    async def get(server_id: str) -> Server:
        return Server(id="b", team_id="team", name="b", is_swarm_manager=True)

    async def parts(server_id: str) -> Any:
        raise ServerUnreachable("The link broke off.")

    store: Any = SimpleNamespace(servers=SimpleNamespace(list=listed, get=get))
    servers: Any = SimpleNamespace(parts=parts)
    with pytest.raises(EngineUnavailable) as error:
        await nodes_for_release(store, servers, "b", "sha256:1")
    assert error.value.retryable


async def test_any_replica_is_the_first_that_seaway_reaches(reached: dict[str, Any]) -> None:
    assert await chosen(FIRST, SECOND) == ("parts of boss", SECOND.container_id)
    reached["n2"] = SimpleNamespace(server=SimpleNamespace(id="2", name="s", address="b"), parts="of hand")
    assert await chosen(SECOND, FIRST) == ("of hand", FIRST.container_id)


async def test_a_replica_on_a_foreign_node_is_refused_with_the_command_that_reaches_it(
    reached: dict[str, Any],
) -> None:
    with pytest.raises(NotPossibleNow) as refused:
        await chosen(FIRST, SECOND, number=1)
    assert "Replica 1 runs on the node hand, which is no server of Seaway's" in refused.value.message
    assert "docker exec -it c1c1c1c1c1c1 sh" in refused.value.message


@pytest.mark.parametrize("server", ["server1", "first", "10.0.0.1", "boss", "n1"])
async def test_a_place_is_named_as_a_server_or_as_a_node(reached: dict[str, Any], server: str) -> None:
    assert await chosen(FIRST, SECOND, server=server) == ("parts of boss", SECOND.container_id)


async def test_what_does_not_run_is_told_with_what_does(reached: dict[str, Any]) -> None:
    with pytest.raises(NotFound) as unknown:
        await chosen(FIRST, SECOND, number=3)
    assert unknown.value.message == "It has no running replica 3. There are 1 on hand, 2 on boss."
    with pytest.raises(NotPossibleNow) as elsewhere:
        await chosen(SECOND, server="hand")
    assert "No replica of it runs on the server or node 'hand'" in elsewhere.value.message
    with pytest.raises(NotPossibleNow) as none:
        await chosen()
    assert none.value.message == "No replica of it runs at this moment."
    ended = dataclasses.replace(SECOND, state="failed")
    with pytest.raises(NotPossibleNow):
        await chosen(ended)


def test_a_release_without_a_node_says_whether_the_constraints_or_the_image_keep_it_off() -> None:
    assert require_nodes([BOSS, HAND], ["node.role==worker"], frozenset(["n1", "n2"])) == (HAND,)
    with pytest.raises(DeploymentError) as unfit:
        require_nodes([BOSS, HAND], ["node.labels.disk==ssd"], frozenset(["n1", "n2"]))
    assert "No node of the Swarm that takes tasks satisfies node.labels.disk==ssd" in unfit.value.message
    assert "boss (manager, ready), hand (worker, ready)" in unfit.value.message
    with pytest.raises(DeploymentError) as bare:
        require_nodes([BOSS, HAND], ["node.role==worker"], frozenset(["n1"]))
    assert "None of the nodes hand has the image" in bare.value.message
