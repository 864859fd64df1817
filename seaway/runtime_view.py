"""What runs, read from the local engine for the API and the pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

from adapters.docker.engine import DockerEngine
from adapters.docker.states import ContainerState
from domain.errors import SeawayError
from domain.replicas import APPLICATION_LABEL, REPLICA_ROLE, ROLE_LABEL
from domain.resource_status import aggregate_status

UNKNOWN = "unknown:unknown"


class EngineView:
    """Implements `api.context.RuntimeView`; a server that does not answer makes states unknown."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    async def status(self, application_id: str) -> str:
        """The application's state."""
        try:
            replicas = await self._replicas(application_id)
        except SeawayError:
            return UNKNOWN
        return _status(replicas)

    async def statuses(self) -> dict[str, str]:
        """The state of every application that has replicas."""
        try:
            states = await self._engine.list_containers({ROLE_LABEL: REPLICA_ROLE})
        except SeawayError:
            return defaultdict(lambda: UNKNOWN)
        grouped: dict[str, list[ContainerState]] = defaultdict(list)
        for state in states:
            grouped[state.labels.get(APPLICATION_LABEL, "")].append(state)
        return {application_id: _status(replicas) for application_id, replicas in grouped.items()}

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        """The last lines of every replica, each replica's together."""
        parts = []
        for replica in await self._replicas(application_id):
            parts += await self._engine.logs(replica.name, lines)
        return "\n".join(parts[-lines:])

    async def follow_logs(self, application_id: str, *, lines: int) -> AsyncIterator[str]:
        """The newest replica's lines as they come."""
        replicas = await self._replicas(application_id)
        if not replicas:
            return
        async for entry in self._engine.follow_logs(replicas[-1].name, lines):
            yield entry.text

    async def _replicas(self, application_id: str) -> list[ContainerState]:
        labels = {APPLICATION_LABEL: application_id, ROLE_LABEL: REPLICA_ROLE}
        states = await self._engine.list_containers(labels)
        return sorted(states, key=lambda state: (str(state.started_at), state.name))


def _status(replicas: list[ContainerState]) -> str:
    restarts = max((replica.restart_count for replica in replicas), default=0)
    return aggregate_status([replica.status for replica in replicas], restarts)
