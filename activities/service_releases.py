"""Releases on a Docker Swarm: a service for each, started, proven, drained of visitors and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime

from activities import messages as m
from activities.environments import replica_environment
from activities.servers import ServerParts, Servers, Surroundings
from activities.service_health import ServiceHealth
from activities.service_specifications import keep_files, service_specification
from activities.swarm_nodes import nodes_for_release, require_nodes
from adapters.connections import connections_to, outgoing_connections
from adapters.docker.swarm_states import ServiceState
from domain.errors import CommandFailed, DeadlineExceeded, ImageNotFound
from domain.replicas import (
    APPLICATION_LABEL,
    MANAGED,
    PORTS_LABEL,
    ROLE_LABEL,
    application_labels,
    stop_grace_seconds,
)
from domain.services import SERVICE_ROLE, service_name
from domain.swarm import check_fits, without
from store.store import Store

DRAIN_SAMPLE_SECONDS = 0.25
QUIET_SAMPLES = 2
LOOK_SECONDS = 10.0


class ServiceReleases:
    """What `ReplicaActivities` does where the server is a manager of a Swarm."""

    def __init__(self, store: Store, servers: Servers, surroundings: Surroundings) -> None:
        self._store = store
        self._servers = servers
        self._surroundings = surroundings

    async def start(self, start: m.StartReplicas, parts: ServerParts) -> m.StepOutcome:
        """The service of the release exists with at least so many replicas."""
        deployment = await self._store.deployments.get(start.serve.configuration_of)
        configuration = self._store.deployments.released(deployment)
        if start.first > start.serve.replicas:
            return m.StepOutcome(message="0 replicas", skipped=True)
        check_fits(configuration)
        name = service_name(start.application_id, start.serve.release_id)
        if start.first > 1 and await parts.engine.service(name) is not None:
            # Other nodes may have the image by now; a new specification would replace what serves.
            await parts.engine.scale_service(name, start.serve.replicas)
            return m.StepOutcome(message=f"{start.serve.replicas} replicas")
        await parts.engine.ensure_overlay(parts.network, MANAGED)
        if parts.swarm is not None:
            # The proxy checks the health of replicas, before it is told where to lead visitors.
            await parts.engine.join_network(parts.network, parts.swarm.proxy_container)
        image_id = await parts.engine.image_id(deployment.image)
        if image_id is None:
            raise ImageNotFound(f"The manager has no image {deployment.image}. Deploy again.")
        nodes = await parts.engine.swarm_nodes()
        _, has_image = await nodes_for_release(self._store, self._servers, start.server_id, image_id)
        wanted = configuration.runtime.placement_constraints
        able = require_nodes(nodes, wanted, has_image)
        specification = service_specification(
            configuration,
            release_id=start.serve.release_id,
            replicas=start.serve.replicas,
            image_id=image_id,
            network=parts.network,
            constraints=(*wanted, *without(nodes, has_image)),
            files=await keep_files(parts.engine, configuration),
            environment=await replica_environment(
                self._store, configuration, self._surroundings, deployment, name
            ),
        )
        await parts.engine.ensure_service(specification)
        return m.StepOutcome(message=f"{start.serve.replicas} replicas on up to {len(able)} nodes")

    async def check_health(self, start: m.StartReplicas, parts: ServerParts) -> m.StepOutcome:
        """Every replica has proven itself, by way of the proxy. Raises ReleaseUnhealthy."""
        if start.first > start.serve.replicas:
            return m.StepOutcome(skipped=True)
        configuration = await self._store.deployments.snapshot(start.serve.configuration_of)
        name = service_name(start.application_id, start.serve.release_id)
        watch = ServiceHealth(parts, configuration, name, start.serve.replicas)
        limit = start.limit.total_seconds()
        return m.StepOutcome(message=await watch.until_proven(limit, is_scaled=start.first > 1))

    async def drain(self, drain: m.DrainReplicas, parts: ServerParts) -> m.StepOutcome:
        """Returns when the proxy has no connection to services that go, or at the deadline.

        All visitors come by the proxy, so its connections are all of theirs, whichever nodes they lead to.
        """
        targets = await self._leaving(parts, drain)
        quiet = 0
        while targets and quiet < QUIET_SAMPLES:
            count = await _open_connections(parts, targets)
            if datetime.now(UTC) >= drain.deadline:
                if count is None:
                    return m.StepOutcome(message="Connections cannot be counted here; waited the whole time.")
                return m.StepOutcome(message=f"{count} connections were still open at the limit.")
            quiet = quiet + 1 if count == 0 else 0
            if quiet < QUIET_SAMPLES:
                await asyncio.sleep(DRAIN_SAMPLE_SECONDS)
        return m.StepOutcome(message="No request is open on the old version.")

    async def retire(self, retire: m.RetireReplicas, parts: ServerParts) -> int:
        """Removes every service of the application but the one that stays, which gets its number of replicas.

        Returns how many replicas went.
        """
        keep = retire.keep
        kept = service_name(retire.application_id, keep.release_id) if keep is not None else ""
        removed = 0
        for service in await services_of(parts, retire.application_id):
            if keep is not None and service.name == kept:
                removed += max(service.replicas - keep.replicas, 0)
                await parts.engine.scale_service(kept, keep.replicas)
            else:
                removed += service.replicas
                await remove_service(parts, service)
        await parts.engine.remove_unused_secrets(application_labels(retire.application_id))
        return removed

    async def _leaving(self, parts: ServerParts, drain: m.DrainReplicas) -> frozenset[tuple[str, int]]:
        kept = service_name(drain.application_id, drain.keep.release_id) if drain.keep is not None else ""
        found = set()
        for service in await services_of(parts, drain.application_id):
            if service.name == kept:
                continue
            ports = [int(port) for port in service.labels.get(PORTS_LABEL, "").split(",") if port.isdigit()]
            for task in await parts.engine.tasks(service.id):
                address = task.addresses.get(parts.network)
                if address and not task.has_ended:
                    found |= {(address, port) for port in ports}
        return frozenset(found)


async def services_of(parts: ServerParts, application_id: str) -> list[ServiceState]:
    """The services of an application."""
    labels = {
        APPLICATION_LABEL: application_labels(application_id)[APPLICATION_LABEL],
        ROLE_LABEL: SERVICE_ROLE,
    }
    return await parts.engine.services(labels)


async def remove_service(parts: ServerParts, service: ServiceState) -> None:
    """The service is gone, after its grace."""
    await parts.engine.remove_service(service.name, stop_grace_seconds(service.labels))


async def _open_connections(parts: ServerParts, targets: Collection[tuple[str, int]]) -> int | None:
    if parts.swarm is None:
        return None
    proxy = await parts.engine.inspect(parts.swarm.proxy_container)
    if proxy is None or not proxy.running:
        return 0
    count = await outgoing_connections(parts.commands, proxy.pid, targets)
    if count is not None:
        return count
    lines: list[str] = []
    with suppress(CommandFailed, DeadlineExceeded):
        tables = ["cat", "/proc/net/tcp", "/proc/net/tcp6"]
        await parts.engine.execute(proxy.name, tables, lines.append, LOOK_SECONDS)
    seen = any(line.split()[:1] == ["sl"] for line in lines)
    return connections_to("\n".join(lines), targets) if seen else None
