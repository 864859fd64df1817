"""How a server stands at this moment."""

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
from activities.server_step_recording import note_shown_key
from activities.servers import ServerParts, Servers
from adapters.docker.states import EngineFacts
from adapters.ssh.forwarding import DockerSocketForward
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
    """Looks at servers that are in use."""

    def __init__(
        self,
        store: Store,
        servers: Servers,
        *,
        again_after: timedelta = timedelta(minutes=1),
    ) -> None:
        """`again_after` is when the next look is due."""
        self._store = store
        self._servers = servers
        self._again_after = again_after

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.check]

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
        return self._condition(status, message, has_remains=await self._has_remains(before, status))

    async def _has_remains(self, server: Server, status: ServerStatus) -> bool:
        if status is not ServerStatus.USABLE:
            return False
        if server.unsettled_since is not None:
            return True
        left = await self._store.deletions.left_on(server.id)
        return any(one.since <= now() for one in left)

    def _condition(
        self, status: ServerStatus, message: str, *, has_remains: bool = False
    ) -> m.ServerCondition:
        return m.ServerCondition(
            status=status, message=message, again_after=self._again_after, has_remains=has_remains
        )


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
