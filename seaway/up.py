"""`seaway up`: everything on one machine, in one command."""

from __future__ import annotations

import asyncio
import sys
import time

from domain.errors import EngineUnavailable, ReplicaRefused, StartUpError
from seaway import console_log
from seaway.data_folder import exclusive, keep_private
from seaway.parts import ApiServer, Installation, api_of, installation, until_signal
from seaway.ports import require_free
from seaway.reconciliation import close_lost_deployments
from seaway.settings import Settings
from seaway.temporal_server import EmbeddedTemporal, connect
from seaway.worker import build_worker


def run_up(settings: Settings) -> None:
    """Runs until Ctrl-C. Raises StartUpError, with the way out, when it cannot start."""
    began = time.monotonic()
    keep_private()
    console_log.configure(settings.log_level)
    with exclusive(settings.data_dir):
        asyncio.run(_up(settings, began))


async def _up(settings: Settings, began: float) -> None:
    require_free(settings.host, settings.port, what="the dashboard", option="--port")
    temporal = None
    if not settings.temporal_address:
        temporal = EmbeddedTemporal(settings)
        await temporal.start()
    try:
        async with installation(settings) as parts:
            proxy = asyncio.create_task(_start_proxy(parts))
            client = await connect(settings)
            await close_lost_deployments(parts.store, client)
            worker = build_worker(client, parts.store, parts.servers, settings)
            async with ApiServer(api_of(parts, client), settings), worker:
                await proxy
                await until_signal(lambda: _announce(settings, began))
    finally:
        if temporal is not None:
            await temporal.stop()


async def _start_proxy(parts: Installation) -> None:
    try:
        await parts.servers.engine.ping()
    except EngineUnavailable as error:
        raise StartUpError(
            f"No Docker Engine answers at {parts.settings.effective_docker_socket}. "
            "Install and start Docker (Debian: apt-get install docker.io), or set SEAWAY_DOCKER_SOCKET."
        ) from error
    await parts.servers.engine.ensure_network(parts.settings.instance, {"seaway.managed": "true"})
    try:
        await parts.servers.proxy.ensure_running()
    except ReplicaRefused as error:
        settings = parts.settings
        raise StartUpError(
            f"The proxy cannot start. {error.message} "
            f"--http-port (now {settings.http_port}) and --https-port (now {settings.https_port}) set them."
        ) from error


def _announce(settings: Settings, began: float) -> None:
    seconds = time.monotonic() - began
    lines = [
        f"Ready in {seconds:.1f} s",
        f"  Dashboard   {settings.effective_public_url}",
        f"  Temporal UI {settings.effective_temporal_ui_url or settings.temporal_address}",
        f"  Log-in      in {settings.credentials_path}",
        "Ctrl-C ends Seaway; deployed applications keep serving.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
