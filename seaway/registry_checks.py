"""What the API asks about registries, answered by the engines that pull from them."""

from __future__ import annotations

from domain.registries import RegistryCheck, RegistryLogin
from seaway.servers import SeawayServers
from store.tables import Server


class EngineRegistryChecks:
    """See `api.registry_checks.RegistryChecks`."""

    def __init__(self, servers: SeawayServers) -> None:
        self._servers = servers

    async def check(self, server: Server, login: RegistryLogin) -> RegistryCheck:
        """See `RegistryChecks`."""
        parts = await self._servers.parts(server.id)
        return await parts.engine.check_login(login)
