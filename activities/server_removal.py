"""Letting go of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.server_leaving import Leaving
from activities.servers import Servers
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotFound, SeawayError
from domain.server_events import ServerEventKind
from domain.server_systems import status_after
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Server, ServerEvent


class ServerRemovalActivities:
    """Takes Seaway's own things off servers that are given up, and forgets them."""

    def __init__(self, store: Store, servers: Servers, *, instance: str = "seaway") -> None:
        """`instance` is the name of the data folder."""
        self._store = store
        self._servers = servers
        self._leaving = Leaving(store, servers, instance)

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.remove]

    @activity.defn(name=s.REMOVE_SERVER.name)
    async def remove(self, removal: m.RemoveServer) -> m.ServerRemoval:
        """Takes away what is ours and forgets the server, unless it is needed or keeps what is ours.

        One that is to be forgotten goes in any case, without what could not be taken away.
        """
        try:
            server = await self._store.servers.get(removal.server_id)
        except NotFound:
            return m.ServerRemoval()
        if server.status != ServerStatus.REMOVING:
            # Nothing new is put there from here on, so that who is looked for now is all there is.
            await self._store.servers.set(server.id, status=ServerStatus.REMOVING)
        kept_by = await self._kept_by(server, forget=removal.forget)
        if kept_by:
            waits = removal.resources_leave and await self._is_being_emptied(server)
            return await self._keep(server, kept_by, waits=waits, asked_to_wait=removal.resources_leave)
        await self._store.servers.set(server.id, status=ServerStatus.REMOVING, status_message="")
        # Of one that is gone for good, nobody waits for an answer.
        if server.data_folder and not (removal.forget and not server.is_reachable):
            problem = await self._leaving.take_away(server, in_any_case=removal.forget)
            if problem is not None and not removal.forget:
                return await self._stays(server, problem)
        await self._store.servers.forget(server.id)
        await self._servers.forget(server.id)
        return m.ServerRemoval()

    async def _kept_by(self, server: Server, *, forget: bool) -> tuple[str, ...]:
        """The names of what needs the server. What only served on one that is gone for good does not."""
        locations = self._store.locations
        ids = [
            *await locations.applications_on({server.id}, configured_only=forget),
            *await locations.applications_with_edge(server.id),
        ]
        applications = [(await self._store.applications.get(one)).name for one in dict.fromkeys(ids)]
        remote = await self._store.servers.all_remote()
        return (*applications, *(one.name for one in remote if one.jump_server_id == server.id))

    async def _is_being_emptied(self, server: Server) -> bool:
        """Whether the deletion of anything that lives there is still under way."""
        for application in await self._store.locations.applications_on({server.id}):
            rows = await self._store.deployments.all_of_application(application)
            if any(
                row.kind == OperationKind.DELETE and not DeploymentStatus(row.status).is_final for row in rows
            ):
                return True
        return False

    async def _keep(
        self, server: Server, kept_by: tuple[str, ...], *, waits: bool, asked_to_wait: bool
    ) -> m.ServerRemoval:
        if waits:
            message = f"Removed as soon as these are deleted: {', '.join(kept_by)}."
            await self._store.servers.set(server.id, status=ServerStatus.REMOVING, status_message=message)
        else:
            message = f"Not removed, because it is needed by {', '.join(kept_by)}."
            if asked_to_wait:
                message = f"Not removed, because not everything there could be deleted: {', '.join(kept_by)}."
            await self._refuse(server, message, ServerStatus.NOT_USABLE)
        return m.ServerRemoval(kept_by=kept_by, message=message, is_given_up=not waits)

    async def _stays(self, server: Server, problem: SeawayError) -> m.ServerRemoval:
        message = (
            f"Not removed, because what is Seaway's there could not be taken away: {problem.message} Mend "
            "that or, if the server is gone for good, ask to forget it; what is on it then stays."
        )
        await self._refuse(server, message, status_after(problem.code))
        return m.ServerRemoval(message=message, is_given_up=True, is_kept=True)

    async def _refuse(self, server: Server, message: str, status: ServerStatus) -> None:
        await self._store.servers.set(server.id, status=status, status_message=message)
        # The next look tells how the server stands, and not why it is still there.
        kind = ServerEventKind.REMOVAL_REFUSED
        await self._store.watch.record(ServerEvent(server_id=server.id, kind=kind, message=message))
