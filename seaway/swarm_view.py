"""What engines say about their Swarm, for the API and the pages."""

from __future__ import annotations

from activities.servers import Servers
from activities.swarm_nodes import known_nodes
from api.swarm_access import SwarmFacts
from domain.swarm import SwarmRole
from store.store import Store


class ServersSwarms:
    """Implements `api.swarm_access.Swarms`."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    async def facts(self, server_id: str) -> SwarmFacts:
        """See `api.swarm_access.Swarms`."""
        parts = await self._servers.parts(server_id)
        membership = await parts.engine.swarm()
        if membership.role is not SwarmRole.MANAGER:
            return SwarmFacts(membership)
        known = await known_nodes(self._store, self._servers, server_id)
        return SwarmFacts(
            membership,
            await parts.engine.swarm_nodes(),
            {node_id: node.server.id for node_id, node in known.items()},
        )
