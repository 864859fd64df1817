"""Every server of this installation: the one that Seaway runs on, and those over SSH."""

from __future__ import annotations

from dataclasses import replace

from activities.servers import ServerParts, SwarmParts
from adapters.docker.engine import DockerEngine
from adapters.ssh.connection import SshConnection
from adapters.ssh.targets import SshTarget
from adapters.swarm_proxy import SwarmProxy
from adapters.traefik.driver import TraefikProxy
from domain.errors import EngineUnavailable, NotPossibleNow
from domain.replicas import MANAGED
from seaway.local_server import LocalServer
from seaway.remote_servers import RemoteServers
from seaway.settings import Settings
from store.store import Store
from store.tables import Server


class SeawayServers:
    """See `activities.servers.Servers`."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._store = store
        self._local = LocalServer(settings)
        self._settings = settings
        self._remote = RemoteServers(store, settings)

    @property
    def engine(self) -> DockerEngine:
        """The local engine."""
        return self._local.engine

    @property
    def proxy(self) -> TraefikProxy:
        """The local proxy."""
        return self._local.proxy

    async def parts(self, server_id: str) -> ServerParts:
        """See `Servers`."""
        server = await self._store.servers.get(server_id)
        parts = self._local_parts(server) if server.is_local else await self._remote.parts(server)
        return self._as_manager(parts) if server.is_swarm_manager else parts

    def _local_parts(self, server: Server) -> ServerParts:
        """Raises EngineUnavailable where this process is to leave its machine's engine alone."""
        if not self._settings.local_server:
            raise EngineUnavailable(
                f"Nothing can be done on '{server.name}' from here: SEAWAY_LOCAL_SERVER is false, so this "
                "process leaves the Docker Engine of its machine alone."
            )
        return self._local.parts

    def _as_manager(self, parts: ServerParts) -> ServerParts:
        """The same server as a manager of a Swarm, whose applications share a network over its nodes."""
        network = f"{self._settings.instance}-swarm"
        container = self._settings.proxy_container
        if not isinstance(parts.proxy, TraefikProxy):
            raise NotPossibleNow("Only Traefik leads to replicas on all nodes of a Swarm.")
        return replace(
            parts,
            network=network,
            proxy=SwarmProxy(parts.proxy, parts.engine, container, network, MANAGED),
            swarm=SwarmParts(parts.proxy.tunnels, container),
        )

    async def link(self, server_id: str) -> SshConnection:
        """See `Servers`."""
        server = await self._store.servers.get(server_id)
        if server.is_local:
            raise NotPossibleNow("Seaway runs on this server itself, so nothing goes there by SSH.")
        return await self._remote.link(server)

    async def target(self, server: Server) -> SshTarget:
        """The way in to a server over SSH. Raises NotPossibleNow where it has no key to log in with."""
        return await self._remote.target(server)

    async def forget(self, server_id: str) -> None:
        """See `Servers`."""
        await self._remote.forget(server_id)

    async def close(self) -> None:
        """Ends every connection."""
        await self._remote.close()
        await self._local.close()
