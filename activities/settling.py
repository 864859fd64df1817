"""A server that was away comes back to what serves now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.deleted_applications import remove_release, take_deleted_away
from activities.edges import edge_token, entrance_of, settle_edges
from activities.routes import routes_of
from activities.servers import ServerParts, Servers
from activities.serving import serving
from activities.together import all_or_none
from adapters.docker.states import ContainerState
from adapters.docker.swarm_states import ServiceState
from adapters.proxy import ApplicationRoutes, Entrance, Route
from domain.configuration import ApplicationConfiguration
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotFound, ReplicaRefused
from domain.release_planning import stops_first
from domain.replicas import (
    APPLICATION_LABEL,
    RELEASE_LABEL,
    REPLICA_ROLE,
    ROLE_LABEL,
    replica_name,
)
from domain.services import SERVICE_ROLE
from domain.settling import ReleaseFacts, leftovers
from store.store import Store
from store.tables import Deployment

Found = ContainerState | ServiceState
"""Replicas of a release: one container, or all of them as a service of a Swarm."""


class SettlingActivities:
    """Does what deployments could not do on a server that did not answer when they ended.

    Only what belongs to applications of this Seaway, and to releases that are known to be over.
    """

    def __init__(self, store: Store, servers: Servers, *, edge_port: int = 9480) -> None:
        """`edge_port` is where servers take what an edge sends them."""
        self._store = store
        self._servers = servers
        self._edge_port = edge_port

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.settle]

    @activity.defn(name=s.SETTLE_SERVER.name)
    async def settle(self, task: m.ServerTask) -> m.StepOutcome:
        """Routes lead to what serves, that runs, and replicas of releases that are over are gone.

        So is all that is left of applications that are deleted.

        It `waits` where an operation is under way: that may have given the server up before it came back.
        """
        server = await self._store.servers.get(task.server_id)
        parts = await self._servers.parts(task.server_id)
        found: dict[str, list[Found]] = defaultdict(list)
        for state in await parts.engine.list_containers({ROLE_LABEL: REPLICA_ROLE}):
            application_id = state.labels.get(APPLICATION_LABEL, "")
            # What somebody runs from an image made of a replica has its labels, and a name of its own.
            if state.name.startswith(f"{application_id}-"):
                found[application_id].append(state)
        if parts.swarm is not None:
            for service in await parts.engine.services({ROLE_LABEL: SERVICE_ROLE}):
                found[service.labels.get(APPLICATION_LABEL, "")].append(service)
        for name in () if server.is_build_server else await parts.proxy.names():
            found[name]  # routes may be all that is left of it
        removed, waits = 0, False
        for application_id, replicas in found.items():
            try:
                gone, changes = await self._settle(parts, task.server_id, application_id, replicas)
            except NotFound:
                continue  # another Seaway's, or deleted
            removed, waits = removed + gone, waits or changes
        if not server.is_build_server:  # It has no proxy.
            await settle_edges(self._store, parts, server, self._edge_port, self._served)
        taken = await take_deleted_away(self._store, parts, server.id)
        if not waits:
            await self._store.servers.settled(server.id, server.unsettled_since)
        message = f"{removed} left-over replicas removed"
        return m.StepOutcome(message=message, skipped=not removed and not taken.applications, waits=waits)

    async def _settle(
        self, parts: ServerParts, server_id: str, application_id: str, replicas: list[Found]
    ) -> tuple[int, bool]:
        """How many are gone, and whether an operation is under way that may yet leave something here."""
        # The other way round, a release that ends meanwhile would be over and not yet what serves.
        rows = await self._store.deployments.all_of_application(application_id)
        served = await serving(self._store, application_id)
        # It may serve elsewhere only, and a release that went on without this server left it the one before.
        here = served.on(server_id) if served is not None else None
        routed = await parts.proxy.current(application_id)
        releases = {state.labels.get(RELEASE_LABEL, "") for state in replicas}
        releases |= {routed.release_id} if routed else set()
        facts = self._facts(server_id, rows, releases, here)
        over = leftovers(releases, facts)
        if routed is not None and routed.release_id in over:
            await self._route(parts, application_id, here)
        going = [state for state in replicas if state.labels.get(RELEASE_LABEL) in over]
        staying: list[ContainerState] = []
        if here is not None and not facts.is_changing:
            names = {replica_name(application_id, here.release_id, one + 1) for one in range(here.replicas)}
            mine = [
                one
                for one in replicas
                if isinstance(one, ContainerState) and one.labels.get(RELEASE_LABEL) == here.release_id
            ]
            staying = [one for one in mine if one.name in names]
            # Of a scaling that could not be ended, or undone, there may be more.
            going += [one for one in mine if one.name not in names]
        await all_or_none([remove_release(parts, state) for state in going])
        if here is not None:
            await self._resume(parts, here, staying)
        return len(going), facts.is_changing

    async def _resume(self, parts: ServerParts, here: m.Served, replicas: Sequence[ContainerState]) -> None:
        """A release that had to stop them first ended while the server was away, and could not start them."""
        down = [one for one in replicas if not one.running]
        if not down:
            return
        configuration = await self._store.deployments.snapshot(here.configuration_of)
        if not (stops_first(configuration, OperationKind.DEPLOY) or _stays_up(configuration)):
            return  # it may have ended by itself, and is not meant to be started again then
        for state in down:
            try:
                await parts.engine.start(state.name)
            except ReplicaRefused as error:
                # A port that somebody has taken meanwhile must not keep the other applications waiting.
                activity.logger.warning("%s does not come back: %s", state.name, error.message)

    async def _served(self, application_id: str) -> m.Served | None:
        return await serving(self._store, application_id)

    def _facts(
        self, server_id: str, rows: Sequence[Deployment], found: Collection[str], here: m.Served | None
    ) -> ReleaseFacts:
        final = [row for row in rows if DeploymentStatus(row.status).is_final]
        # An application has hundreds of deployments, and a server replicas of few: only those are opened.
        present = [row for row in final if row.id in found]
        return ReleaseFacts(
            serving=here.release_id if here else None,
            # The same machine may be in use under another name, whose releases are not ours to end.
            ended=frozenset(row.id for row in present if self._was_for(server_id, row)),
            is_changing=len(final) < len(rows),
        )

    def _was_for(self, server_id: str, row: Deployment) -> bool:
        has_begun = row.snapshot_sealed is not None
        return has_begun and server_id in self._store.deployments.released(row).server_ids

    async def _route(self, parts: ServerParts, application_id: str, here: m.Served | None) -> None:
        routes: tuple[Route, ...] = ()
        entrance: Entrance | None = None
        if here is not None:
            configuration = await self._store.deployments.snapshot(here.configuration_of)
            routes = routes_of(configuration, here, as_service=parts.swarm is not None)
            if configuration.routing.edge_server_id is not None:
                entrance = entrance_of(
                    configuration, routes, edge_token(self._store.encryption, application_id)
                )
        if here is None or not routes:
            await parts.proxy.withdraw(application_id)
            return
        await parts.proxy.apply(
            ApplicationRoutes(
                application_id=application_id, release_id=here.release_id, routes=routes, entrance=entrance
            )
        )


def _stays_up(configuration: ApplicationConfiguration) -> bool:
    """Whether the engine starts what has ended, so that only somebody who stopped it can have ended it."""
    return configuration.runtime.restart_policy in ("always", "unless-stopped")
