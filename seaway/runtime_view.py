"""What runs, read from the local engine for the API and the pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing

from adapters.docker.engine import DockerEngine
from adapters.docker.states import ContainerState
from domain.errors import SeawayError
from domain.replicas import APPLICATION_LABEL, REPLICA_ROLE, ROLE_LABEL
from domain.resource_status import aggregate_status

UNKNOWN = "unknown:unknown"
FOLLOWERS_AT_ONCE = 32
"""Each holds one of the threads that deployments read the engine's streams with (64)."""

TOO_MANY_FOLLOWERS = "Too many logs are followed at this moment. Close some, or look again in a while."


class EngineView:
    """Implements `api.context.RuntimeView`; a server that does not answer makes states unknown."""

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine
        self._followers = 0

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
        """The newest replica's lines as they come; only a word about it where too many follow already."""
        if self._followers >= FOLLOWERS_AT_ONCE:
            yield TOO_MANY_FOLLOWERS
            return
        self._followers += 1
        try:
            replicas = await self._replicas(application_id)
            if not replicas:
                return
            async with aclosing(self._engine.follow_logs(replicas[-1].name, lines)) as entries:  # type: ignore[type-var]
                async for entry in entries:
                    yield entry.text
        finally:
            self._followers -= 1

    async def _replicas(self, application_id: str) -> list[ContainerState]:
        labels = {APPLICATION_LABEL: application_id, ROLE_LABEL: REPLICA_ROLE}
        states = await self._engine.list_containers(labels)
        return sorted(states, key=lambda state: (str(state.started_at), state.name))


def _status(replicas: list[ContainerState]) -> str:
    restarts = max((replica.restart_count for replica in replicas), default=0)
    return aggregate_status([replica.status for replica in replicas], restarts)
