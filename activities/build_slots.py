"""Which server builds a deployment's image, and when there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from domain.builders import Builder, by_preference, waiting_message
from domain.configuration import ApplicationConfiguration, GitSource
from domain.errors import NotFound, NotPossibleNow
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Server


class SlotKeepers(Protocol):
    """The workflows of servers, which keep the slots."""

    async def lease(self, server: Server, request: m.BuildSlotRequest) -> m.BuildSlotAnswer:
        """A slot or a place in the queue; repeating it changes nothing.

        Raises NotPossibleNow where the server is being removed, TransientError where nobody answers.
        """
        ...

    async def release(self, server_id: str, deployment_id: str) -> None:
        """The deployment builds and waits there no more; a server without a workflow is fine."""
        ...

    async def closed(self, deployment_ids: Sequence[str]) -> tuple[str, ...]:
        """Those of these deployments whose workflow does not run."""
        ...


class BuildSlotActivities:
    """Asks the workflows of servers for slots, the best server first."""

    def __init__(self, store: Store, keepers: SlotKeepers) -> None:
        self._store = store
        self._keepers = keepers

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.lease, self.find_closed]

    @activity.defn(name=s.LEASE_BUILD_SLOT.name)
    async def lease(self, lease: m.LeaseBuildSlot) -> m.BuildSlotLease:
        """A slot on the best server that has one free, else a place in the shortest queue.

        Asked again, a deployment keeps its place, unless another server has room by now.
        """
        servers, reasons = await self._usable(lease)
        # One that was lost may be called usable until somebody has looked at it again.
        servers = [server for server in servers if server.id not in lease.lost] or servers
        ordered = await self._ordered(lease, servers)
        for server in ordered if len(ordered) > 1 else ():
            if (answer := await self._ask(lease, server, reasons, waits=False)) and answer.is_granted:
                return await self._granted(lease, server)
        # It stays where it waits already: its place there is worth more than a shorter queue.
        for server in sorted(ordered, key=lambda one: one.id != lease.waits_on):
            if answer := await self._ask(lease, server, reasons, waits=True):
                if answer.is_granted:
                    return await self._granted(lease, server)
                names = await self._store.builds.application_names(answer.running)
                message = waiting_message(
                    server.name, answer.position, answer.waiting, len(answer.running), names
                )
                return await self._waits(lease, server, message)
        return await self._waits(lease, None, f"No build server can be used now: {' '.join(reasons)}")

    async def _usable(self, lease: m.LeaseBuildSlot) -> tuple[list[Server], list[str]]:
        """The servers that can build, and what is wrong with the others.

        The application's own server is not looked at: if it does not answer, the build says so best.
        """
        servers, reasons = [], []
        for planned in lease.servers:
            try:
                server = await self._store.servers.get(planned.id)
            except NotFound:
                reasons.append(f"{planned.name} was removed.")
                continue
            if server.is_build_server and server.status != ServerStatus.USABLE:
                status = server.status.replace("_", " ")
                reasons.append(f"{server.name} is {status}.")
            else:
                servers.append(server)
        return servers, reasons

    async def _ordered(self, lease: m.LeaseBuildSlot, servers: Sequence[Server]) -> list[Server]:
        if len(servers) < 2:
            return list(servers)
        by_id = {server.id: server for server in servers}
        counts = await self._store.builds.counts(by_id)
        configuration = await self._store.deployments.snapshot(lease.deployment_id)
        warm = await self._store.builds.warm(repository_key(self._store, configuration), by_id)
        builders = [
            Builder(
                id=one.id,
                is_warm=one.id in warm,
                limit=one.concurrent_builds,
                running=counts[one.id][0],
                waiting=counts[one.id][1],
            )
            for one in servers
        ]
        return [by_id[builder.id] for builder in by_preference(builders)]

    async def _ask(
        self, lease: m.LeaseBuildSlot, server: Server, reasons: list[str], *, waits: bool
    ) -> m.BuildSlotAnswer | None:
        request = m.BuildSlotRequest(
            deployment_id=lease.deployment_id,
            group=lease.project_id or lease.application_id,
            limit=server.concurrent_builds,
            waits=waits,
        )
        try:
            return await self._keepers.lease(server, request)
        except NotPossibleNow as error:
            reasons.append(f"{server.name}: {error.message}")
            return None

    async def _granted(self, lease: m.LeaseBuildSlot, server: Server) -> m.BuildSlotLease:
        # A try before this one may have got or asked for a slot on another server.
        if len(lease.servers) > 1 and (lease.waits_on or activity.info().attempt > 1):
            for other in lease.servers:
                if other.id != server.id:
                    await self._keepers.release(other.id, lease.deployment_id)
        if server.name != lease.shown_on:
            await self._store.builds.place(lease.deployment_id, shown_on=lease.shown_on, server=server.name)
        return m.BuildSlotLease(server=_planned(server), is_granted=True)

    async def _waits(self, lease: m.LeaseBuildSlot, server: Server | None, message: str) -> m.BuildSlotLease:
        name = server.name if server is not None else lease.shown_on
        server_id = server.id if server is not None else None
        await self._store.builds.wait(
            lease.deployment_id, server_id, shown_on=lease.shown_on, server=name, message=message
        )
        return m.BuildSlotLease(server=_planned(server) if server else None, message=message)

    @activity.defn(name=s.FIND_CLOSED_HOLDERS.name)
    async def find_closed(self, holders: m.BuildHolders) -> m.ClosedHolders:
        """Deployments that have ended without giving back their slot, and shall not be shown as building."""
        closed = await self._keepers.closed(holders.deployment_ids)
        if closed:
            await self._store.builds.end(closed)
        return m.ClosedHolders(deployment_ids=closed)


def repository_key(store: Store, configuration: ApplicationConfiguration) -> str:
    """What tells that two builds of one team are from the same repository, without telling which; or ""."""
    source = configuration.source
    if not isinstance(source, GitSource):
        return ""
    return store.encryption.fingerprint(f"repository {configuration.team_id} {source.repository}")


def _planned(server: Server) -> m.PlannedServer:
    return m.PlannedServer(id=server.id, name=server.name)
