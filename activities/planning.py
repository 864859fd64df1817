"""The beginning of a deployment: what it releases, where, and by which steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.deleted_applications import expect_remains
from activities.deployment_rows import row_of
from activities.serving import held, serving
from domain.builders import fits
from domain.configuration import ApplicationConfiguration, GitSource
from domain.deployments import OperationKind
from domain.errors import DeploymentError, NotFound, NotPossibleNow
from domain.image_distribution import building_server
from domain.release_planning import BRINGS_UP, planned_steps, pushes, stops_first
from domain.release_policies import required_servers
from domain.servers import ServerStatus
from domain.swarm import check_fits
from store.store import Store
from store.tables import Deployment, Server

SEVERAL_ARCHITECTURES = (
    "One name in a registry holds the image of one architecture, and this application's servers have "
    "several. Push nothing (empty docker_registry_image_name), or use servers of one architecture."
)
LONGEST_HEALTH_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class _Places:
    """The servers of a deployment, by what it does there."""

    servers: tuple[m.PlannedServer, ...]
    left: tuple[m.PlannedServer, ...]
    build_on: m.PlannedServer | None
    builders: tuple[m.PlannedServer, ...]
    edge: m.PlannedServer | None
    left_edge: m.PlannedServer | None
    had_edge: bool
    away: tuple[str, ...]


class PlanningActivities:
    """Plans a deployment from what the store knows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.begin]

    @activity.defn(name=s.BEGIN_DEPLOYMENT.name)
    async def begin(self, begin: m.BeginDeployment) -> m.ReleasePlan:
        """Takes the snapshot that this deployment releases, and plans its steps."""
        command = begin.command
        row = await self._store.deployments.record(row_of(command))
        served = await serving(self._store, command.application_id)
        configuration = await self._configuration(command, row, served)
        if command.kind is OperationKind.DELETE:
            await expect_remains(self._store, command, configuration)
        places = await self._places(command, configuration, served)
        servers = places.servers
        steps = planned_steps(
            command.kind,
            configuration,
            [server.name for server in servers],
            replaces=served is not None,
            build_on=places.build_on.name if places.build_on else None,
            replaces_on_first=served is not None and bool(servers) and bool(served.on(servers[0].id)),
            left=[server.name for server in places.left],
            edges=[one.name for one in (places.edge, places.left_edge) if one is not None],
        )
        row = await self._store.deployments.begin(command.deployment_id, configuration, steps)
        serve = await self._serve(command, configuration, row, served, servers)
        stop_first = serve is not None and stops_first(configuration, command.kind)
        return m.ReleasePlan(
            servers=servers,
            steps=steps,
            served=served,
            serve=serve,
            start_from=served.replicas + 1 if served and command.kind is OperationKind.SCALE else 1,
            stop_first=stop_first,
            drain=timedelta(seconds=configuration.runtime.drain_seconds),
            stop_grace=timedelta(seconds=configuration.runtime.stop_grace_seconds),
            health_limit=_health_limit(configuration),
            command_limit=timedelta(seconds=configuration.hooks.timeout_seconds),
            build_on=places.build_on,
            builders=places.builders,
            needs_build_slot=True,
            # The version from before is down meanwhile.
            drain_undone=not stop_first,
            left=places.left,
            edge=places.edge,
            left_edge=places.left_edge,
            had_edge=places.had_edge,
            away=places.away,
            required=_required(configuration, len(servers)) if serve is not None else 0,
        )

    async def _serve(
        self,
        command: m.Command,
        configuration: ApplicationConfiguration,
        row: Deployment,
        served: m.Served | None,
        servers: Sequence[m.PlannedServer],
    ) -> m.Served | None:
        """What shall run afterwards; its domains are claimed."""
        if command.kind not in BRINGS_UP:
            return None
        await self._store.applications.claim_released_domains(
            command.application_id, configuration.routing.domains
        )
        scaled = served if command.kind is OperationKind.SCALE else None
        return m.Served(
            configuration_of=row.id,
            release_id=scaled.release_id if scaled else row.id,
            replicas=configuration.runtime.replicas,
            servers=tuple(server.id for server in servers),
        )

    async def _places(
        self, command: m.Command, configuration: ApplicationConfiguration, served: m.Served | None
    ) -> _Places:
        """Raises DeploymentError and NotPossibleNow where these servers cannot have this application."""
        brings_up = command.kind in BRINGS_UP
        servers = [await self._store.servers.get(server) for server in configuration.server_ids]
        left = await self._left(configuration, served)
        if not brings_up:
            servers, left = [*servers, *left], []
        servers = [server for server in servers if server.id != command.without_server_id]
        own_builder = _builder(configuration, servers) if brings_up else None
        builders = await self._builders(configuration, servers) if brings_up else ()
        before = await self._edge_before(command, configuration, served)
        edge, left_edge = await self._edges(command, configuration, before)
        return _Places(
            servers=_all_planned(servers),
            left=_all_planned(left),
            build_on=builders[0] if builders else own_builder,
            builders=builders,
            edge=_planned(edge),
            left_edge=_planned(left_edge),
            had_edge=before is not None,
            away=tuple(one.id for one in (*left, left_edge) if one is not None and not one.is_reachable),
        )

    async def _edge_before(
        self, command: m.Command, configuration: ApplicationConfiguration, served: m.Served | None
    ) -> str | None:
        if served is not None:
            return (await self._store.deployments.snapshot(served.configuration_of)).routing.edge_server_id
        return None if command.kind in BRINGS_UP else configuration.routing.edge_server_id

    async def _edges(
        self, command: m.Command, configuration: ApplicationConfiguration, before: str | None
    ) -> tuple[Server | None, Server | None]:
        """The server that is to be the edge, and the one that has to stop being it."""
        kind, wanted = command.kind, configuration.routing.edge_server_id
        edge = await self._store.servers.get(wanted) if wanted and kind in BRINGS_UP else None
        left = None
        changes = before is not None and (edge is None or before != edge.id)
        if before is not None and changes and before != command.without_server_id:
            with contextlib.suppress(NotFound):
                left = await self._store.servers.get(before)
        return edge, left

    async def _builders(
        self, configuration: ApplicationConfiguration, servers: Sequence[Server]
    ) -> tuple[m.PlannedServer, ...]:
        """The team's build servers whose images run on the application's servers, if it wants one of them."""
        if not configuration.build.use_build_server or not isinstance(configuration.source, GitSource):
            return ()
        architectures = [server.architecture for server in servers]
        owned = await self._store.servers.build_servers(team_id=configuration.team_id)
        return _all_planned(
            [
                one
                for one in owned
                if fits(one.architecture, architectures) and one.status != ServerStatus.REMOVING
            ]
        )

    async def _left(self, configuration: ApplicationConfiguration, served: m.Served | None) -> list[Server]:
        """The servers that the version from before is on and the new one is not."""
        found = []
        for server_id in held(served) if served else ():
            if server_id not in configuration.server_ids:
                with contextlib.suppress(NotFound):  # a server that was removed has nothing to clean up
                    found.append(await self._store.servers.get(server_id))
        return found

    async def _configuration(
        self, command: m.Command, row: Deployment, served: m.Served | None
    ) -> ApplicationConfiguration:
        if row.snapshot_sealed is not None:
            return self._store.deployments.released(row)
        present = await self._store.applications.configuration(command.application_id)
        wanted = await self._wanted(command, present, served)
        # How much may be risked is decided now, also for what goes back to then.
        return wanted.model_copy(update={"min_available": present.min_available})

    async def _wanted(
        self, command: m.Command, present: ApplicationConfiguration, served: m.Served | None
    ) -> ApplicationConfiguration:
        match command.kind:
            case OperationKind.DEPLOY:
                return _as_asked(present, command)
            case OperationKind.ROLLBACK:
                target = await self._store.deployments.get(command.target_deployment_id or "")
                if target.application_id != command.application_id:
                    raise NotFound("There is no such deployment of this application.")
                return self._store.deployments.released(target)
            case OperationKind.SCALE:
                if served is None:
                    raise NotPossibleNow("Nothing runs that could be scaled. Start the application first.")
                released = await self._store.deployments.snapshot(served.configuration_of)
                replicas = released.runtime.replicas if command.replicas is None else command.replicas
                runtime = released.runtime.model_copy(update={"replicas": replicas})
                return released.model_copy(update={"runtime": runtime})
            case OperationKind.RESTART | OperationKind.START:
                released = self._store.deployments.released(await self._last_release(command))
                return present.model_copy(update={"source": released.source, "build": released.build})
            case _:
                return present

    async def _last_release(self, command: m.Command) -> Deployment:
        application = await self._store.applications.get(command.application_id)
        if application.current_deployment_id is None:
            raise NotPossibleNow("The application was never deployed. Deploy it first.")
        return await self._store.deployments.get(application.current_deployment_id)


def _builder(configuration: ApplicationConfiguration, servers: Sequence[Server]) -> m.PlannedServer | None:
    """The server that builds for all; None where each builds for itself. Raises DeploymentError."""
    builder = building_server({server.id: server.architecture for server in servers})
    if len(servers) > 1 and builder is None and pushes(configuration):
        raise DeploymentError(SEVERAL_ARCHITECTURES)
    if any(server.is_swarm_manager for server in servers):
        check_fits(configuration)
        # It builds for its nodes, which get the image in a step of its own.
        builder = servers[0].id
    return next((_planned(server) for server in servers if server.id == builder), None)


def _all_planned(servers: Sequence[Server]) -> tuple[m.PlannedServer, ...]:
    return tuple(m.PlannedServer(id=server.id, name=server.name) for server in servers)


def _required(configuration: ApplicationConfiguration, servers: int) -> int:
    required = required_servers(configuration.min_available, servers)
    return required if required < servers else 0


def _planned(server: Server | None) -> m.PlannedServer | None:
    return m.PlannedServer(id=server.id, name=server.name) if server is not None else None


def _as_asked(configuration: ApplicationConfiguration, command: m.Command) -> ApplicationConfiguration:
    """The configuration with the branch and commit of this one deployment."""
    source = configuration.source
    if not isinstance(source, GitSource) or not (command.branch or command.commit):
        return configuration
    # Another branch without a commit means its head, not the commit that is pinned for the usual branch.
    commit = command.commit or ("HEAD" if command.branch else source.commit)
    asked = source.model_copy(update={"branch": command.branch or source.branch, "commit": commit})
    return configuration.model_copy(update={"source": asked})


def _health_limit(configuration: ApplicationConfiguration) -> timedelta:
    health = configuration.health
    tries = health.retries + health.successes
    seconds = health.start_period_seconds + tries * (health.interval_seconds + health.timeout_seconds)
    return min(timedelta(seconds=seconds) + timedelta(seconds=10), LONGEST_HEALTH_WAIT)
