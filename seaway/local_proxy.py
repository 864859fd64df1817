"""The proxy of the server that Seaway itself runs on."""

from __future__ import annotations

from domain.errors import EngineUnavailable, ReplicaRefused, StartUpError
from seaway.local_server import LocalServers
from seaway.settings import Settings


async def start_proxy(servers: LocalServers, settings: Settings) -> None:
    """The proxy runs and answers when this returns.

    Raises StartUpError, with the way out, where there is no Docker or a port is in use.
    """
    try:
        await servers.engine.ping()
    except EngineUnavailable as error:
        raise StartUpError(
            f"No Docker Engine answers at {settings.effective_docker_socket}. "
            "Install and start Docker (Debian: apt-get install docker.io), or set SEAWAY_DOCKER_SOCKET."
        ) from error
    await servers.engine.ensure_network(settings.instance, {"seaway.managed": "true"})
    try:
        await servers.proxy.ensure_running()
    except ReplicaRefused as error:
        raise StartUpError(
            f"The proxy cannot start. {error.message} "
            f"--http-port (now {settings.http_port}) and --https-port (now {settings.https_port}) set them."
        ) from error
