"""Containers of an application: started, proven healthy, paused, drained and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.environments import replica_environment
from activities.health import HealthWatch
from activities.replica_specifications import prepare_mounts, replica_specification
from activities.servers import ServerParts, Servers, Surroundings
from activities.service_releases import ServiceReleases
from activities.together import all_or_none
from adapters.connections import connections_inside
from adapters.docker.states import ContainerState
from domain.errors import ReleaseUnhealthy
from domain.replicas import (
    APPLICATION_LABEL,
    MANAGED,
    ONE_OFF_COMMAND_ROLE,
    PORTS_LABEL,
    RELEASE_COMMAND_ROLE,
    ROLE_LABEL,
    replica_name,
    stop_grace_seconds,
)
from store.store import Store

DRAIN_SAMPLE_SECONDS = 0.25
QUIET_SAMPLES = 2
BLIND_DRAIN_SECONDS = 5.0
"""How long the old version stays when its connections cannot be seen."""

RESUME_SECONDS = 600.0
"""How long an undo waits for the old version to prove itself; a new attempt would begin that from zero."""


class ReplicaActivities:
    """Changes which containers of an application run on a server."""

    def __init__(self, store: Store, servers: Servers, surroundings: Surroundings) -> None:
        self._store = store
        self._servers = servers
        self._surroundings = surroundings
        self._services = ServiceReleases(store, servers, surroundings)

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.start, self.check_health, self.pause, self.resume, self.drain, self.retire]

    @activity.defn(name=s.START_REPLICAS.name)
    async def start(self, start: m.StartReplicas) -> m.StepOutcome:
        """The replicas exist and run; those of an earlier try are found by their names."""
        deployment = await self._store.deployments.get(start.serve.configuration_of)
        configuration = self._store.deployments.released(deployment)
        parts = await self._servers.parts(start.server_id)
        if parts.swarm is not None:
            return await self._services.start(start, parts)
        await parts.engine.ensure_network(parts.network, MANAGED)
        mounts = await prepare_mounts(parts, configuration)
        image = deployment.image

        async def bring_up(number: int) -> None:
            name = replica_name(start.application_id, start.serve.release_id, number)
            specification = replica_specification(
                configuration,
                release_id=start.serve.release_id,
                number=number,
                image=image,
                network=parts.network,
                mounts=mounts,
                environment=await replica_environment(
                    self._store, configuration, self._surroundings, deployment, name
                ),
            )
            await parts.engine.ensure_container(specification)
            await parts.engine.start(name)

        numbers = range(start.first, start.serve.replicas + 1)
        await all_or_none([bring_up(number) for number in numbers])
        return m.StepOutcome(message=_count(len(numbers)), skipped=not numbers)

    @activity.defn(name=s.CHECK_HEALTH.name)
    async def check_health(self, start: m.StartReplicas) -> m.StepOutcome:
        """Every new replica has proven itself. Raises ReleaseUnhealthy with probes and log lines."""
        configuration = await self._store.deployments.snapshot(start.serve.configuration_of)
        parts = await self._servers.parts(start.server_id)
        if parts.swarm is not None:
            return await self._services.check_health(start, parts)
        watch = HealthWatch(parts, configuration)
        names = [
            replica_name(start.application_id, start.serve.release_id, number)
            for number in range(start.first, start.serve.replicas + 1)
        ]
        verdicts = await all_or_none([watch.until_proven(name) for name in names])
        return m.StepOutcome(message=verdicts[-1] if verdicts else "", skipped=not verdicts)

    @activity.defn(name=s.PAUSE_REPLICAS.name)
    async def pause(self, pause: m.PauseReplicas) -> m.StepOutcome:
        """Stops the old replicas but keeps them, for a release that cannot run beside them."""
        parts = await self._servers.parts(pause.server_id)
        await all_or_none([_stop(parts, state) for state in await self._replicas(parts, pause)])
        return m.StepOutcome(
            message="The old version gives its host ports free; it is down until the switch."
        )

    @activity.defn(name=s.RESUME_REPLICAS.name)
    async def resume(self, resume: m.PauseReplicas) -> m.StepOutcome:
        """Starts the old replicas again and waits until they are healthy, ten minutes at most."""
        parts = await self._servers.parts(resume.server_id)
        served = resume.served.on(resume.server_id)
        if served is None:
            return m.StepOutcome()
        configuration = await self._store.deployments.snapshot(served.configuration_of)
        names = [state.name for state in await self._replicas(parts, resume)]
        for name in names:
            await parts.engine.start(name)
        await _wait_for_proof(HealthWatch(parts, configuration), names)
        return m.StepOutcome()

    async def _replicas(self, parts: ServerParts, pause: m.PauseReplicas) -> list[ContainerState]:
        names = _kept_names(pause, pause.served)
        return [state for state in await _containers(parts, pause.application_id) if state.name in names]

    @activity.defn(name=s.DRAIN_REPLICAS.name)
    async def drain(self, drain: m.DrainReplicas) -> m.StepOutcome:
        """Returns when the replicas that go have no open request or WebSocket, or at the deadline."""
        parts = await self._servers.parts(drain.server_id)
        if parts.swarm is not None:
            return await self._services.drain(drain, parts)
        leaving = await self._leaving(parts, drain)
        quiet = 0
        began = datetime.now(UTC)
        while leaving and quiet < QUIET_SAMPLES:
            count = await _connections(parts, leaving)
            waited = (datetime.now(UTC) - began).total_seconds()
            if count is None and waited >= BLIND_DRAIN_SECONDS:
                return m.StepOutcome(message="Connections cannot be counted here; waited a while instead.")
            if datetime.now(UTC) >= drain.deadline:
                return m.StepOutcome(message=f"{count or 0} connections were still open at the limit.")
            quiet = quiet + 1 if count == 0 else 0
            if quiet < QUIET_SAMPLES:
                await asyncio.sleep(DRAIN_SAMPLE_SECONDS)
        return m.StepOutcome(message="No request is open on the old version.")

    @activity.defn(name=s.RETIRE_REPLICAS.name)
    async def retire(self, retire: m.RetireReplicas) -> m.StepOutcome:
        """Stops and removes every container of the application that shall not stay."""
        parts = await self._servers.parts(retire.server_id)
        kept = _kept_names(retire, retire.keep)
        going = [
            state
            for state in await _containers(parts, retire.application_id)
            if state.name not in kept and not _is_running_command(state, retire)
        ]

        async def remove(state: ContainerState) -> None:
            await _stop(parts, state)
            await parts.engine.remove(state.name)

        await all_or_none([remove(state) for state in going])
        count = len(going)
        if parts.swarm is not None:
            count += await self._services.retire(retire, parts)
        return m.StepOutcome(message=f"{_count(count)} removed")

    async def _leaving(self, parts: ServerParts, drain: m.DrainReplicas) -> list[ContainerState]:
        kept = _kept_names(drain, drain.keep)
        return [
            state
            for state in await _containers(parts, drain.application_id)
            if state.name not in kept and state.running and state.labels.get(PORTS_LABEL)
        ]


async def _wait_for_proof(watch: HealthWatch, names: Sequence[str]) -> None:
    """The log tells what is not proven: there is nothing else to go back to."""

    async def look(name: str) -> None:
        try:
            await watch.until_proven(name)
        except ReleaseUnhealthy as error:
            activity.logger.warning("the old version came back, but: %s", error.message)

    try:
        async with asyncio.timeout(RESUME_SECONDS) as limit:
            await all_or_none([look(name) for name in names])
    except TimeoutError:
        if not limit.expired():
            raise
        activity.logger.warning("the old version came back, and did not prove itself in %g s", RESUME_SECONDS)


async def _containers(parts: ServerParts, application_id: str) -> list[ContainerState]:
    """Those that Seaway made: whatever else runs from the application's image has its labels too."""
    found = await parts.engine.list_containers({APPLICATION_LABEL: application_id})
    return [state for state in found if state.name.startswith(f"{application_id}-")]


def _kept_names(step: m.StepInput, keep: m.Served | None) -> frozenset[str]:
    """What of `keep` is on the step's server, which may have an older release than others."""
    here = keep.on(step.server_id) if keep is not None else None
    if here is None:
        return frozenset()
    return frozenset(
        replica_name(step.application_id, here.release_id, number) for number in range(1, here.replicas + 1)
    )


def _is_running_command(state: ContainerState, retire: m.RetireReplicas) -> bool:
    # Whoever runs a command by hand waits for it; it ends with the application only.
    if state.labels.get(ROLE_LABEL) == ONE_OFF_COMMAND_ROLE:
        return retire.keep is not None or retire.step.undo
    # Undoing the start of replicas leaves the release command to its own undo.
    return retire.step.undo and state.labels.get(ROLE_LABEL) == RELEASE_COMMAND_ROLE


async def _stop(parts: ServerParts, state: ContainerState) -> None:
    await parts.engine.stop(state.name, stop_grace_seconds(state.labels))


async def _connections(parts: ServerParts, replicas: Sequence[ContainerState]) -> int | None:
    total = 0
    for replica in replicas:
        for port in replica.labels[PORTS_LABEL].split(","):
            count = await parts.connections.open_connections(replica.pid, int(port))
            if count is None:
                count = await connections_inside(parts.engine, replica.name, int(port))
            if count is None:
                return None
            total += count
    return total


def _count(number: int) -> str:
    return f"{number} replica" if number == 1 else f"{number} replicas"
