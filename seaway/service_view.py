"""The replicas of services of a Swarm, shown as the containers of other servers are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from activities.servers import ServerParts
from adapters.docker.engine import DockerEngine
from adapters.docker.states import ContainerState, Kept, LogEntry
from adapters.docker.swarm_states import RUNNING, ServiceState, TaskState
from domain.replicas import REPLICA_ROLE, ROLE_LABEL
from domain.services import SERVICE_ROLE


class LogSource(Protocol):
    """Where the output of a replica comes from, by its name."""

    async def log_entries(self, name: str, tail: int) -> list[LogEntry]:
        """The last lines."""
        ...

    def follow_logs(self, name: str, tail: int, since: datetime | None = None) -> AsyncIterator[LogEntry]:
        """The last lines, of those since then, and every new one."""
        ...


class TaskLogs:
    """The output of tasks, whichever nodes they run on; a replica is called `service.slot.task`."""

    def __init__(self, engine: DockerEngine) -> None:
        """`engine` is a manager's."""
        self._engine = engine

    async def log_entries(self, name: str, tail: int) -> list[LogEntry]:
        """The last lines of one task; none of what the Swarm has not even begun to place."""
        if name.endswith("."):
            return []
        return await self._engine.task_log_entries(name.rpartition(".")[2], tail)

    def follow_logs(self, name: str, tail: int, since: datetime | None = None) -> AsyncIterator[LogEntry]:
        """Those of all tasks of its service, so that one that moves to another node is followed there."""
        return self._engine.follow_service_logs(name.partition(".")[0], tail, since)


async def tasks_of(parts: ServerParts, labels: dict[str, str]) -> Sequence[tuple[LogSource, ContainerState]]:
    """The wanted replicas of the services with these labels, which name the role of containers.

    Raises EngineUnavailable for more of them than any Swarm has.
    """
    role = {ROLE_LABEL: SERVICE_ROLE} if labels.get(ROLE_LABEL) == REPLICA_ROLE else {}
    services = await parts.engine.services({**labels, **role})
    if not services:
        return []
    lost = {node.id for node in await parts.engine.swarm_nodes() if not node.is_up}
    logs = TaskLogs(parts.engine)
    shown: list[tuple[LogSource, ContainerState]] = []
    kept = Kept()
    for service in services:
        tasks = [task for task in await parts.engine.tasks(service.id) if task.is_wanted]
        # What the Swarm has not even begun to place is missing all the same.
        missing = max(service.replicas - len({task.slot for task in tasks}), 0)
        for state in (
            *(replica_state(service, task, lost) for task in tasks),
            *[_missing(service)] * missing,
        ):
            kept.add(state)
            shown.append((logs, state))
    return shown


def replica_state(service: ServiceState, task: TaskState, lost: set[str]) -> ContainerState:
    """A task in the words of containers; on a node that nobody hears of, what it does is unknown."""
    if task.node_id in lost:
        status = "unknown"
    elif task.state == RUNNING:
        status = "running"
    elif task.has_ended or (not task.node_id and task.message):
        status = "degraded"  # the Swarm tries again, or finds no node for it
    else:
        status = "starting"
    return ContainerState(
        id=task.id,
        name=f"{service.name}.{task.slot}.{task.id}",
        image="",
        status=status,
        running=status == "running",
        exit_code=task.exit_code,
        pid=0,
        restart_count=0,
        oom_killed=False,
        started_at=task.created_at,
        addresses=task.addresses,
        labels=service.labels,
    )


def _missing(service: ServiceState) -> ContainerState:
    return ContainerState(
        id="",
        name=f"{service.name}.0.",
        image="",
        status="degraded",
        running=False,
        exit_code=0,
        pid=0,
        restart_count=0,
        oom_killed=False,
        started_at=None,
        labels=service.labels,
    )
