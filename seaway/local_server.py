"""The server that Seaway itself runs on."""

from __future__ import annotations

from activities.servers import ServerParts
from adapters.docker.engine import DockerEngine
from adapters.host_files import LocalHostFiles
from adapters.reach import LocalReach
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import TraefikSettings
from domain.errors import NotPossibleNow
from seaway.settings import Settings
from store.store import Store


class LocalServers:
    """Knows one server, the local one; others come over SSH."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self.engine = DockerEngine(settings.effective_docker_socket)
        self.proxy = TraefikProxy(
            settings.data_dir / "proxy",
            self.engine,
            TraefikSettings(
                container_name=settings.proxy_container,
                network=settings.instance,
                http_port=settings.http_port,
                https_port=settings.https_port,
                api_port=settings.proxy_api_port,
            ),
        )
        self._parts = ServerParts(
            engine=self.engine,
            proxy=self.proxy,
            reach=LocalReach(),
            files=LocalHostFiles(settings.data_dir),
            network=settings.instance,
        )

    async def parts(self, server_id: str) -> ServerParts:
        """See `activities.servers.Servers`."""
        server = await self._store.servers.get(server_id)
        if not server.is_local:
            raise NotPossibleNow(
                f"The server '{server.name}' is not reachable: only the local one is so far."
            )
        return self._parts

    async def close(self) -> None:
        """Ends the connection to the engine."""
        await self.engine.close()
