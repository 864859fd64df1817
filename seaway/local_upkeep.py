"""The proxy of the server that Seaway itself runs on is looked after, as workflows do that of others."""

from __future__ import annotations

import logging

from activities.proxy_keeping import keep_proxy
from activities.servers import Servers
from domain.servers import ServerStatus
from store.columns import now
from store.store import Store

logger = logging.getLogger("seaway.watch")


class LocalUpkeep:
    """Starts the proxy where it does not answer, and writes down how the server stands."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    async def look_after(self, server_id: str) -> None:
        """Once. A proxy that cannot be started is a state of the server, not an error."""
        server = await self._store.servers.get(server_id)
        code, message = await keep_proxy(self._store, server, await self._servers.parts(server_id))
        status = ServerStatus.NOT_USABLE if code else ServerStatus.USABLE
        if (server.status, server.status_message) == (status, message):
            return
        logger.warning("%s is %s: %s", server.name, status, message or "its proxy answers")
        await self._store.servers.set(
            server_id,
            status=status,
            status_message=message,
            is_reachable=True,
            is_usable=not code,
            checked_at=now(),
        )
