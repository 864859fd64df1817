"""The proxy of the server that Seaway itself runs on."""

from __future__ import annotations

import asyncio
from typing import Final

from adapters.docker.engine import DockerEngine
from domain.errors import EngineUnavailable, ReplicaRefused, StartUpError
from domain.replicas import MANAGED
from seaway.servers import SeawayServers
from seaway.settings import Settings

ANSWER_SECONDS: Final = 10.0
"""The first start asks while the processes that start with it wait for a minute at most."""


async def require_engine(engine: DockerEngine, settings: Settings) -> None:
    """Raises StartUpError, with the way out, where no Docker Engine answers."""
    try:
        await engine.ping()
    except EngineUnavailable as error:
        raise StartUpError(
            f"No Docker Engine answers at {settings.effective_docker_socket}. "
            "Install and start Docker (Debian: apt-get install docker.io), or set SEAWAY_DOCKER_SOCKET."
        ) from error


async def has_engine(settings: Settings) -> bool:
    """Whether a Docker Engine that is to be used answers here, within ten seconds."""
    if not settings.local_server:
        return False
    # The first limit ends the wait, the second one the thread that asks.
    engine = DockerEngine(settings.effective_docker_socket, call_timeout_seconds=ANSWER_SECONDS)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await engine.ping()
    except (EngineUnavailable, TimeoutError):
        return False
    finally:
        await engine.close()
    return True


async def start_proxy(servers: SeawayServers, settings: Settings) -> None:
    """The proxy runs and answers when this returns.

    Raises StartUpError, with the way out, where there is no Docker or a port is in use.
    """
    await require_engine(servers.engine, settings)
    await servers.engine.ensure_network(settings.instance, MANAGED)
    try:
        await servers.proxy.ensure_running()
    except ReplicaRefused as error:
        raise StartUpError(
            f"The proxy cannot start. {error.message} "
            f"--http-port (now {settings.http_port}) and --https-port (now {settings.https_port}) set them."
        ) from error
