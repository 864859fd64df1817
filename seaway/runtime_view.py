"""What runs, read from the engines of all servers for the API and the pages."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import chain

from activities.servers import Servers
from adapters.docker.states import ContainerState, LogEntry
from domain.errors import NotFound, SeawayError, ServerUnreachable
from domain.replicas import APPLICATION_LABEL, REPLICA_ROLE, ROLE_LABEL
from domain.resource_status import aggregate_status
from seaway.service_view import LogSource, tasks_of
from store.store import Store

logger = logging.getLogger("seaway")

UNKNOWN = "unknown:unknown"
ANSWER_LIMIT_SECONDS = 4.0
"""A page does not wait longer for a server; what runs there is unknown then."""

LOGS_LIMIT_SECONDS = 15.0
"""A log's driver, or a Swarm's node, may never answer."""

FOLLOWERS_AT_ONCE = 32
"""Each holds one of the threads that deployments read the engine's streams with (64)."""

TOO_MANY_FOLLOWERS = "Too many logs are followed at this moment. Close some, or look again in a while."

Placed = tuple[LogSource, ContainerState]


class ServersView:
    """Implements `api.context.RuntimeView`; a server that does not answer makes states unknown."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers
        self._followers = 0
        self._stuck: dict[str, asyncio.Task[list[Placed] | None]] = {}

    async def status(self, application_id: str) -> str:
        """The application's state, over all its servers."""
        try:
            replicas = await self._replicas(application_id)
        except SeawayError:
            return UNKNOWN
        return _status([state for _, state in replicas])

    async def statuses(self) -> dict[str, str]:
        """The state of every application that has replicas, or a server that does not answer."""
        servers = await self._store.servers.deployable()
        answers = await self._answers([one.id for one in servers], {ROLE_LABEL: REPLICA_ROLE})
        grouped: dict[tuple[str, str], list[ContainerState]] = defaultdict(list)
        for server, answer in zip(servers, answers, strict=True):
            for _, state in answer or ():
                grouped[state.labels.get(APPLICATION_LABEL, ""), server.team_id].append(state)
        # Labels say what a server's owner wants them to: nobody speaks for another team's applications.
        teams = await self._store.applications.teams_of({application_id for application_id, _ in grouped})
        found = {
            application_id: _status(replicas)
            for (application_id, team_id), replicas in grouped.items()
            if teams.get(application_id) == team_id
        }
        silent = {server.id for server, answer in zip(servers, answers, strict=True) if answer is None}
        if silent:
            found |= dict.fromkeys(await self._store.applications.ids_on(silent), UNKNOWN)
        return found

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        """The last lines of all replicas together, in order of time (UTC), which begins them on request.

        Raises ServerUnreachable when a server does not answer in time.
        """
        replicas = await self._replicas(application_id)
        try:
            async with asyncio.timeout(LOGS_LIMIT_SECONDS):
                logs = await asyncio.gather(
                    *(source.log_entries(replica.name, lines) for source, replica in replicas)
                )
        except TimeoutError as error:
            raise ServerUnreachable(
                f"Not all servers of this application sent its log within {LOGS_LIMIT_SECONDS:g} s."
            ) from error
        entries = sorted(chain.from_iterable(logs), key=lambda entry: entry.at)[-lines:]
        return "\n".join(_line(entry, timestamps) for entry in entries)

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
            engine, newest = replicas[-1]
            async with aclosing(engine.follow_logs(newest.name, lines)) as entries:  # type: ignore[type-var]
                async for entry in entries:
                    yield entry.text
        finally:
            self._followers -= 1

    async def _replicas(self, application_id: str) -> list[Placed]:
        """The replicas on all servers, oldest first. Raises ServerUnreachable when one does not answer."""
        row = await self._store.applications.get(application_id)
        configuration, _ = self._store.applications.configured(row)
        labels = {APPLICATION_LABEL: application_id, ROLE_LABEL: REPLICA_ROLE}
        answers = await self._answers(configuration.server_ids, labels)
        if any(answer is None for answer in answers):
            raise ServerUnreachable("Not all servers of this application answer at the moment.")
        found = [placed for answer in answers for placed in answer or ()]
        return sorted(found, key=lambda placed: (str(placed[1].started_at), placed[1].name))

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
                return [*await tasks_of(parts, labels)]
            states = await parts.engine.list_containers(labels)
        except NotFound:
            return []
        except SeawayError:
            return None
        except Exception:
            # One server that answers nonsense must not take the pages of all others away.
            logger.exception("the answer of the server %s cannot be understood", server_id)
            return None
        return [(parts.engine, state) for state in states]


def _line(entry: LogEntry, timestamp: bool) -> str:
    return f"{entry.at:%Y-%m-%dT%H:%M:%S.%f}Z {entry.text}" if timestamp else entry.text


def _status(replicas: list[ContainerState]) -> str:
    restarts = max((replica.restart_count for replica in replicas), default=0)
    return aggregate_status([replica.status for replica in replicas], restarts)
