"""`seaway up`: everything on one machine, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

from adapters.docker.engine import DockerEngine
from domain.errors import StartUpError
from seaway import console_log
from seaway.data_folder import exclusive, keep_private
from seaway.local_proxy import require_engine, start_proxy
from seaway.parts import (
    ApiServer,
    Installation,
    api_of,
    installation,
    removing_abandoned_commands,
    until_signal,
    upkeep,
)
from seaway.ports import require_free
from seaway.reconciliation import close_lost_deployments
from seaway.schedules import ensure_schedules
from seaway.server_workflows import correct_states, ensure_server_workflows
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
    await _require_engine(settings)
    temporal = None
    if not settings.temporal_address:
        temporal = EmbeddedTemporal(settings)
        await temporal.start()
    try:
        async with installation(settings) as parts, _starting_proxy(parts) as proxy:
            client = await connect(settings)
            await close_lost_deployments(parts.store, client)
            await ensure_schedules(client, settings)
            under_way = await ensure_server_workflows(parts.store, client)
            worker = build_worker(client, parts.store, parts.servers, settings)
            async with removing_abandoned_commands(parts), ApiServer(api_of(parts, client), settings), worker:
                await proxy
                await parts.store.servers.open_local()
                await correct_states(parts.store, client, under_way)
                async with upkeep(parts, client):
                    await until_signal(lambda: _announce(settings, began))
    finally:
        if temporal is not None:
            await temporal.stop()


@contextlib.asynccontextmanager
async def _starting_proxy(parts: Installation) -> AsyncIterator[asyncio.Task[None]]:
    """Starts it beside the rest; it has ended before its engine is closed, whatever became of the rest."""
    starting = asyncio.create_task(start_proxy(parts.servers, parts.settings))
    try:
        yield starting
    finally:
        starting.cancel()
        await asyncio.wait([starting])


async def _require_engine(settings: Settings) -> None:
    """Looks before anything is started, so that whoever has no Docker learns it at once."""
    if not settings.local_server:
        raise StartUpError(
            "`seaway up` runs applications on this machine, and SEAWAY_LOCAL_SERVER is false. "
            "Set it to true, or start `seaway api` and `seaway worker` instead."
        )
    engine = DockerEngine(settings.effective_docker_socket)
    try:
        await require_engine(engine, settings)
    finally:
        await engine.close()


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
