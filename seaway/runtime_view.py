"""What runs, read from the engines of all servers for the API and the pages."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from activities.servers import Servers
from adapters.docker.states import ContainerState
from api.context import RuntimeLine
from domain.errors import NotFound, SeawayError, ServerUnreachable
from domain.replicas import APPLICATION_LABEL, REPLICA_ROLE, ROLE_LABEL
from domain.resource_status import aggregate_status
from seaway.log_following import LOOK_SECONDS, LogFollower
from seaway.replica_logs import Placed, ServerPlaces, read_logs
from seaway.service_view import tasks_of
from seaway.shared_logs import SharedLogs
from store.store import Store

logger = logging.getLogger("seaway")

UNKNOWN = "unknown:unknown"
ANSWER_LIMIT_SECONDS = 4.0
"""A page does not wait longer for a server; what runs there is unknown then."""


class ServersView:
    """Implements `api.context.RuntimeView`; a server that does not answer makes states unknown."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers
        self._log_places = ServerPlaces()
        self._shared_logs = SharedLogs()
        self._lately: dict[str, asyncio.Task[list[Placed]]] = {}
        self._stuck: dict[str, asyncio.Task[list[Placed] | None]] = {}

    async def status(self, application_id: str) -> str:
        """The application's state, over all its servers."""
        try:
            replicas = await self._replicas(application_id)
        except SeawayError:
            return UNKNOWN
        return _status([placed.state for placed in replicas])

    async def statuses(self, *, team_id: str) -> dict[str, str]:
        """The state of the team's applications that have replicas, or a server that does not answer.

        Only the team's own servers are asked: nobody waits for, or reads, what another team's answer.
        """
        servers = await self._store.servers.deployable(team_id=team_id)
        answers = await self._answers([one.id for one in servers], {ROLE_LABEL: REPLICA_ROLE})
        grouped: dict[str, list[ContainerState]] = defaultdict(list)
        for answer in answers:
            for placed in answer or ():
                grouped[placed.state.labels.get(APPLICATION_LABEL, "")].append(placed.state)
        # Labels say what a server's owner wants them to: nobody speaks for another team's applications.
        teams = await self._store.applications.teams_of(grouped.keys())
        found = {
            application_id: _status(replicas)
            for application_id, replicas in grouped.items()
            if teams.get(application_id) == team_id
        }
        silent = {server.id for server, answer in zip(servers, answers, strict=True) if answer is None}
        if silent:
            there = await self._store.locations.applications_on(silent, leaving=False)
            found |= dict.fromkeys(there, UNKNOWN)
        return found

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        """The last lines of all replicas together, in order of time (UTC), which begins them on request.

        Raises ServerUnreachable when a server does not answer in time.
        """
        written = await read_logs(await self._replicas(application_id), self._log_places, lines)
        shown = [RuntimeLine(entry.text, entry.at) for _, entry in written.entries]
        return "\n".join(line.shown(timestamps=timestamps) for line in shown)

    def follow_logs(self, application_id: str, *, lines: int, after: str = "") -> AsyncIterator[RuntimeLine]:
        """The last lines of all replicas in order of time, then each as it comes; see `LogFollower.lines`.

        Raises ServerUnreachable when a server does not answer at the beginning.
        """
        follower = LogFollower(
            lambda: self._replicas_lately(application_id), self._log_places, self._shared_logs
        )
        return follower.lines(lines, after)

    async def _replicas_lately(self, application_id: str) -> list[Placed]:
        """The replicas of a moment ago: those who follow an application look once for all of them."""
        look = self._lately.get(application_id)
        if look is None:
            look = self._lately[application_id] = asyncio.create_task(self._replicas(application_id))
            # Nobody may wait for it any more when it fails.
            look.add_done_callback(lambda done: done.cancelled() or done.exception())
            asyncio.get_running_loop().call_later(LOOK_SECONDS / 2, self._lately.pop, application_id, None)
        # Whoever goes away takes it from nobody else.
        return await asyncio.shield(look)

    async def _replicas(self, application_id: str) -> list[Placed]:
        """The replicas on all servers, oldest first. Raises ServerUnreachable when one does not answer."""
        row = await self._store.applications.get(application_id)
        labels = {APPLICATION_LABEL: application_id, ROLE_LABEL: REPLICA_ROLE}
        answers = await self._answers(await self._store.locations.servers_of(row), labels)
        if any(answer is None for answer in answers):
            raise ServerUnreachable("Not all servers of this application answer at the moment.")
        found = [placed for answer in answers for placed in answer or ()]
        return sorted(found, key=lambda one: (str(one.state.started_at), one.state.name))

    async def _answers(
        self, server_ids: Sequence[str], labels: dict[str, str]
    ) -> Sequence[list[Placed] | None]:
        """What each server answers. One that is known to be silent is not asked, and no page waits for it."""
        silent = await self._store.watch.silent()

        async def ask(server_id: str) -> list[Placed] | None:
            return None if server_id in silent else await self._states(server_id, labels)

        return await asyncio.gather(*map(ask, server_ids))

    async def _states(self, server_id: str, labels: dict[str, str]) -> list[Placed] | None:
        """The containers with these labels; None when the server does not answer."""
        if server_id in self._stuck:
            return None
        # A call that is cut off is waited for to its own end (see `EngineConnection.call`), which is too long
        # for a page; so it goes on alone, and nobody begins another meanwhile.
        question = asyncio.create_task(self._ask(server_id, labels))
        done, _ = await asyncio.wait({question}, timeout=ANSWER_LIMIT_SECONDS)
        if done:
            return question.result()
        self._stuck[server_id] = question
        question.add_done_callback(lambda _: self._stuck.pop(server_id, None))
        return None

    async def _ask(self, server_id: str, labels: dict[str, str]) -> list[Placed] | None:
        try:
            parts = await self._servers.parts(server_id)
            if parts.swarm is not None:
                return [Placed(server_id, *task) for task in await tasks_of(parts, labels)]
            states = await parts.engine.list_containers(labels)
        except NotFound:
            return []
        except SeawayError:
            return None
        except Exception:
            # One server that answers nonsense must not take the pages of all others away.
            logger.exception("the answer of the server %s cannot be understood", server_id)
            return None
        return [Placed(server_id, parts.engine, state) for state in states]


def _status(replicas: list[ContainerState]) -> str:
    restarts = max((replica.restart_count for replica in replicas), default=0)
    return aggregate_status([replica.status for replica in replicas], restarts)
