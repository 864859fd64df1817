"""The server that Seaway itself runs on."""

from __future__ import annotations

from activities.servers import ServerParts
from adapters.connections import LocalConnections
from adapters.docker.engine import DockerEngine
from adapters.host_commands import LocalHostCommands
from adapters.host_files import LocalHostFiles
from adapters.reach import LocalReach
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import TraefikSettings
from seaway.settings import Settings


class LocalServer:
    """Its parts, made once."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is asked of the engine yet."""
        self.engine = DockerEngine(settings.effective_docker_socket, shows_own_logins=True)
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
        self.parts = ServerParts(
            engine=self.engine,
            proxy=self.proxy,
            reach=LocalReach(),
            files=LocalHostFiles(settings.data_dir),
            network=settings.instance,
            commands=LocalHostCommands(),
            connections=LocalConnections(),
        )

    async def close(self) -> None:
        """Ends the connection to the engine."""
        await self.engine.close()
