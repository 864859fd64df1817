"""The containers of a service's replicas, each with the engine that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from activities.servers import ServerParts, Servers
from activities.swarm_nodes import KnownNode, known_nodes
from adapters.docker.swarm_states import RUNNING, TaskState
from domain.errors import NotFound, NotPossibleNow
from domain.swarm import SwarmNode
from store.store import Store


@dataclass(frozen=True)
class PlacedTask:
    """A running replica, its node, and the server that the node is to Seaway; None where it is none."""

    task: TaskState
    node: SwarmNode | None
    known: KnownNode | None

    @property
    def number(self) -> int:
        """Which of the replicas it is."""
        return self.task.slot

    @property
    def node_name(self) -> str:
        """Its node for people."""
        return (self.node.hostname if self.node is not None else "") or self.task.node_id

    def is_at(self, server: str) -> bool:
        """Whether it runs on the node or the server that is called so; anything does for an empty name."""
        names = {self.node_name, self.task.node_id}
        if self.known is not None:
            row = self.known.server
            names |= {row.id, row.name, row.address}
        return not server or server in names


async def task_container(
    store: Store,
    servers: Servers,
    manager_id: str,
    parts: ServerParts,
    service: str,
    *,
    number: int | None = None,
    server: str = "",
) -> tuple[ServerParts, str]:
    """A running replica: its node's parts and the container's id.

    That of the number and on the server or node, if these are given; else the first on a node that Seaway
    reaches. Raises NotPossibleNow where nothing runs, or only where Seaway does not reach, and NotFound where
    there is no such replica. `parts` are the manager's.
    """
    placed = await _placed(store, servers, manager_id, parts, service)
    there = [one for one in placed if one.is_at(server)]
    if not there:
        where = f" on the server or node '{server}'" if server and placed else ""
        raise NotPossibleNow(f"No replica of it runs{where} at this moment.{_places(placed)}")
    wanted = [one for one in there if number is None or one.number == number]
    if not wanted:
        raise NotFound(f"It has no running replica {number}.{_places(there)}")
    for one in wanted:
        if one.known is not None:
            return one.known.parts, one.task.container_id
    raise NotPossibleNow(_not_reached(wanted[0]))


async def _placed(
    store: Store, servers: Servers, manager_id: str, parts: ServerParts, service: str
) -> Sequence[PlacedTask]:
    state = await parts.engine.service(service)
    tasks = await parts.engine.tasks(state.id) if state is not None else []
    nodes = {node.id: node for node in await parts.engine.swarm_nodes()}
    known = await known_nodes(store, servers, manager_id)
    found = [
        PlacedTask(task, nodes.get(task.node_id), known.get(task.node_id))
        for task in tasks
        if task.state == RUNNING and task.is_wanted and task.container_id
    ]
    return sorted(found, key=lambda one: one.number)


def _places(placed: Sequence[PlacedTask]) -> str:
    if not placed:
        return ""
    return f" There are {', '.join(f'{one.number} on {one.node_name}' for one in placed)}."


def _not_reached(placed: PlacedTask) -> str:
    return (
        f"Replica {placed.number} runs on the node {placed.node_name}, which is no server of Seaway's, or "
        "does not answer. Add it with `seaway server add ADDRESS --swarm-worker`, or run on it: "
        f"docker exec -it {placed.task.container_id[:12]} sh"
    )
