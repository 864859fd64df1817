"""How a server stands at this moment, and letting go of one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.proxy_keeping import keep_proxy
from activities.server_leaving import Leaving
from activities.server_step_recording import note_shown_key
from activities.servers import ServerParts, Servers
from adapters.docker.states import EngineFacts
from adapters.ssh.forwarding import DockerSocketForward
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    HostKeyChanged,
    NotFound,
    SeawayError,
    ServerUnreachable,
)
from domain.server_events import ServerEventKind
from domain.server_systems import lets_us_in, status_after
from domain.servers import ServerStatus
from store.columns import now
from store.store import Store
from store.tables import Server, ServerEvent

LOOK_SECONDS = 30.0
ANSWER_LIMIT = timedelta(seconds=20)
logger = logging.getLogger("seaway.activities")


class ServerCheckActivities:
    """Looks at servers that are in use, and takes Seaway's own things off those that are given up."""

    def __init__(
        self,
        store: Store,
        servers: Servers,
        *,
        instance: str = "seaway",
        again_after: timedelta = timedelta(minutes=1),
    ) -> None:
        """`instance` is the name of the data folder; `again_after` is when the next look is due."""
        self._store = store
        self._servers = servers
        self._leaving = Leaving(store, servers, instance)
        self._again_after = again_after

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.check, self.remove]

    @activity.defn(name=s.CHECK_SERVER.name)
    async def check(self, task: m.ServerTask) -> m.ServerCondition:
        """How the server stands, written down; a server that stands badly is an answer, not an error.

        A proxy that does not answer is started again.

        The alarm of a changed host key stays until a person has asked for provisioning, even if the old key
        is back.
        """
        try:
            before = await self._store.servers.get(task.server_id)
            if before.status == ServerStatus.HOST_KEY_CHANGED:
                return self._condition(ServerStatus.HOST_KEY_CHANGED, before.status_message)
            code, message, facts = await self._look(task.server_id)
            if not code:
                code, message = await self._keep_proxy(before)
            return await self._written(task.server_id, code, message, facts)
        except NotFound:
            return m.ServerCondition(status=ServerStatus.REMOVING, is_gone=True)

    async def _look(self, server_id: str) -> tuple[str, str, EngineFacts | None]:
        """The code and message of what is wrong, if something is, and else what the engine says."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                try:
                    return "", "", await self._ask(server_id)
                except ServerUnreachable:
                    # The link was gone before we came; the next use opens another.
                    return "", "", await self._ask(server_id)
        except TimeoutError:
            message = f"The server did not answer a simple question within {LOOK_SECONDS:g} s."
            return ServerUnreachable.code, message, None
        except NotFound:
            raise
        except SeawayError as error:
            if isinstance(error, HostKeyChanged):
                await note_shown_key(self._store, self._servers, server_id, error)
            return error.code, error.message, None

    async def _keep_proxy(self, server: Server) -> tuple[str, str]:
        # What is being provisioned or removed has a proxy in a while, or no more.
        if server.is_build_server or server.status in (ServerStatus.PROVISIONING, ServerStatus.REMOVING):
            return "", ""
        try:
            parts = await self._servers.parts(server.id)
        except NotFound:
            raise
        except SeawayError as error:
            return error.code, error.message
        return await keep_proxy(self._store, server, parts)

    async def _ask(self, server_id: str) -> EngineFacts:
        link = await self._servers.link(server_id)
        try:
            await link.run(["true"], timeout=ANSWER_LIMIT)
        except DeadlineExceeded as error:
            where = link.target.address.endpoint
            limit = ANSWER_LIMIT.total_seconds()
            raise ServerUnreachable(f"The server {where} did not answer within {limit:g} s.") from error
        await DockerSocketForward(link).check()
        return await ask_engine(await self._servers.parts(server_id), link.target.address.endpoint)

    async def _written(
        self, server_id: str, code: str, message: str, facts: EngineFacts | None
    ) -> m.ServerCondition:
        status = status_after(code) if code else ServerStatus.USABLE
        values: dict[str, object] = {"is_reachable": not code or lets_us_in(code), "checked_at": now()}
        if facts is not None:
            values["engine_version"] = facts.version
        before = await self._store.servers.get(server_id)
        # Who has just asked for provisioning or removal must not lose sight of it.
        if before.status not in (ServerStatus.PROVISIONING, ServerStatus.REMOVING):
            usable = status is ServerStatus.USABLE
            values |= {"status": status, "status_message": message, "is_usable": usable}
        await self._store.servers.set(server_id, **values)
        if code == HostKeyChanged.code and before.status != status:
            await raise_alarm(self._store, server_id, message)
        if before.status != status:
            logger.warning("server %s is %s: %s", server_id, status, message or "it answers")
        remains = status is ServerStatus.USABLE and bool(await self._store.deletions.left_on(server_id))
        return self._condition(status, message, has_remains=remains)

    def _condition(
        self, status: ServerStatus, message: str, *, has_remains: bool = False
    ) -> m.ServerCondition:
        return m.ServerCondition(
            status=status, message=message, again_after=self._again_after, has_remains=has_remains
        )

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
        kept_by = await self._kept_by(server)
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

    async def _kept_by(self, server: Server) -> tuple[str, ...]:
        ids = [
            *await self._store.applications.ids_on({server.id}),
            *await self._store.applications.ids_with_edge(server.id),
        ]
        applications = [(await self._store.applications.get(one)).name for one in dict.fromkeys(ids)]
        remote = await self._store.servers.all_remote()
        return (*applications, *(one.name for one in remote if one.jump_server_id == server.id))

    async def _is_being_emptied(self, server: Server) -> bool:
        """Whether the deletion of anything that lives there is still under way."""
        for application in await self._store.applications.ids_on({server.id}):
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


async def raise_alarm(store: Store, server_id: str, message: str) -> None:
    """Tells of a changed host key, once: nobody watches a server any more that shows one."""
    kind = ServerEventKind.HOST_KEY_CHANGED
    await store.watch.record(ServerEvent(server_id=server_id, kind=kind, message=message))


async def ask_engine(parts: ServerParts, where: str) -> EngineFacts:
    """What the engine is; `where` is the server for people. Raises EngineUnavailable within 20 s."""
    try:
        async with asyncio.timeout(ANSWER_LIMIT.total_seconds()):
            return await parts.engine.ping()
    except (EngineUnavailable, TimeoutError) as error:
        # The engine's own words name a socket of ours, not the server.
        reason = error.detail if isinstance(error, EngineUnavailable) else "no answer in time"
        raise EngineUnavailable(f"Docker on {where} does not answer.", detail=reason) from error
