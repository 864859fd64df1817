"""The parts of Seaway, put together: the API, the worker, or both."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from temporalio.client import Client

from adapters.git import GitMirrors
from adapters.ssh.forwarding import DockerSocketForward
from api.application import create_api
from api.context import ApiContext, ApiSettings
from api.operations import Operations
from api.pages import pages_router
from api.server_clean_up import ServerCleanUps
from api.server_operations import ServerOperations
from api.streams import end_streams
from domain.errors import StartUpError
from seaway import __version__, console_log
from seaway.data_folder import keep_private
from seaway.first_run import prepare
from seaway.local_engine import LocalEngine
from seaway.mirror_upkeep import mirrors_kept
from seaway.reconciliation import close_lost_deployments
from seaway.registry_checks import EngineRegistryChecks
from seaway.runtime_view import ServersView
from seaway.schedules import ensure_schedules
from seaway.server_keys import SshHostKeys, SshKeyPairs
from seaway.server_workflows import correct_states, ensure_server_workflows
from seaway.servers import SeawayServers
from seaway.settings import Settings
from seaway.swarm_view import ServersSwarms
from seaway.temporal_server import connect
from seaway.terminals import SeawayTerminals, remove_abandoned_commands
from seaway.watcher import watcher_of
from seaway.worker import build_worker, surroundings_of
from store.database import Database
from store.encryption import KeyRing, load_or_create_keys
from store.store import Store

logger = logging.getLogger("seaway")


@dataclass(frozen=True)
class Installation:
    """What API and worker share in one process."""

    settings: Settings
    store: Store
    servers: SeawayServers
    terminals: SeawayTerminals


def key_ring(settings: Settings) -> KeyRing:
    """The encryption keys: from the settings, else from a file in the data folder."""
    given = settings.secret_keys.get_secret_value().replace(",", " ").split()
    keys = [SecretStr(key) for key in given] or load_or_create_keys(settings.data_dir / "secret.keys")
    return KeyRing(keys)


@contextlib.asynccontextmanager
async def installation(settings: Settings) -> AsyncIterator[Installation]:
    """Opens the database (migrated) and the connection to the local engine, and closes them."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    await asyncio.to_thread(DockerSocketForward.remove_abandoned)
    database = Database(settings.effective_database_url)
    servers = terminals = None
    try:
        await database.migrate()
        store = Store(database, key_ring(settings))
        await prepare(store, settings)
        servers = SeawayServers(store, settings)
        terminals = SeawayTerminals(store, servers, surroundings_of(settings), settings.commands_folder)
        yield Installation(settings, store, servers, terminals)
    finally:
        if terminals is not None:
            await terminals.close()
        if servers is not None:
            await servers.close()
        await database.close()


@contextlib.asynccontextmanager
async def removing_abandoned_commands(parts: Installation) -> AsyncIterator[None]:
    """Looks meanwhile for one-off commands whose process died; nobody has to wait for slow servers."""
    looking = asyncio.create_task(
        remove_abandoned_commands(parts.store, parts.servers, parts.settings.commands_folder)
    )
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        if not looking.cancelled() and (error := looking.exception()) is not None:
            logger.error("abandoned one-off commands could not be looked for", exc_info=error)


def api_of(parts: Installation, client: Client) -> FastAPI:
    """The API and the pages."""
    settings = parts.settings
    session_secret = hashlib.sha256(parts.store.encryption.fingerprint("sessions").encode()).hexdigest()
    context = ApiContext(
        store=parts.store,
        operations=Operations(client, parts.store),
        runtime=ServersView(parts.store, parts.servers),
        server_operations=ServerOperations(client, parts.store),
        host_keys=SshHostKeys(parts.store, parts.servers),
        key_pairs=SshKeyPairs(),
        registry_checks=EngineRegistryChecks(parts.servers),
        swarms=ServersSwarms(parts.store, parts.servers),
        terminals=parts.terminals,
        clean_ups=ServerCleanUps(client),
        settings=ApiSettings(
            public_url=settings.effective_public_url,
            temporal_ui_url=settings.effective_temporal_ui_url,
            temporal_namespace=settings.temporal_namespace,
            http_port=settings.http_port,
            https_port=settings.https_port,
            session_secret=SecretStr(session_secret),
            version=__version__,
            requests_per_minute=settings.requests_per_minute,
            watch_seconds=settings.watch_seconds,
            kept_metrics=settings.kept_metrics,
        ),
    )
    return create_api(context, pages=pages_router())


@contextlib.asynccontextmanager
async def upkeep(
    parts: Installation, client: Client, *, has_local: Callable[[], bool] = lambda: True
) -> AsyncIterator[None]:
    """What a worker process looks after meanwhile: servers, and its mirrors of repositories.

    `has_local` is whether a Docker Engine runs beside it.
    """
    watcher = watcher_of(
        parts.store, parts.servers, parts.settings, ServerCleanUps(client), has_local=has_local
    )
    async with watcher, mirrors_kept(GitMirrors(parts.settings.mirrors_folder)):
        yield


class ApiServer:
    """Uvicorn within our own event loop; it ends when told to, not by signals of its own."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,  # ours serves it too
                log_level="warning",
                lifespan="on",
                access_log=False,
                timeout_graceful_shutdown=5,
                proxy_headers=True,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ApiServer:
        """Returns when it answers. Raises StartUpError when it cannot listen."""
        # Seaway itself handles the signals, for all its parts together.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task = asyncio.create_task(self._serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise StartUpError("The API could not start; the lines above say why.")
            await asyncio.sleep(0.01)
        return self

    async def _serve(self) -> None:
        try:
            await self._server.serve()
        except SystemExit as error:
            raise StartUpError("The API could not start; the lines above say why.") from error

    async def __aexit__(self, *_: object) -> None:
        """Ends open streams and answers what is being answered."""
        end_streams()
        self._server.should_exit = True
        if self._task is not None:
            await self._task


async def until_signal(announce: Callable[[], None] | None = None) -> None:
    """Returns when the process is asked to end (Ctrl-C or SIGTERM)."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, asked.set)
    if announce is not None:
        announce()
    # What start-up made stays as long as the process: looking through it again and again would stop
    # everything for a tenth of a second each time.
    gc.collect()
    gc.freeze()
    await asked.wait()


def run_api(settings: Settings) -> None:
    """Runs the API alone until a signal, against an existing Temporal cluster."""
    console_log.configure(settings.log_level)
    keep_private()
    asyncio.run(_api(settings))


async def _api(settings: Settings) -> None:
    async with installation(settings) as parts:
        client = await connect(settings)
        async with removing_abandoned_commands(parts), ApiServer(api_of(parts, client), settings):
            await until_signal(lambda: print(f"Ready: API on {settings.effective_public_url}", flush=True))  # noqa: T201


def run_worker(settings: Settings) -> None:
    """Runs a worker alone until a signal, for an existing Temporal cluster.

    Where a Docker Engine runs beside it, it keeps the proxy of its machine.
    """
    console_log.configure(settings.log_level)
    keep_private()
    asyncio.run(_worker(settings))


async def _worker(settings: Settings) -> None:
    async with installation(settings) as parts:
        client = await connect(settings)
        engine = LocalEngine(parts.store, parts.servers, settings)
        await engine.start()
        await close_lost_deployments(parts.store, client)
        await ensure_schedules(client, settings)
        under_way = await ensure_server_workflows(parts.store, client)
        worker = build_worker(client, parts.store, parts.servers, settings)
        async with worker, upkeep(parts, client, has_local=engine.was_seen), engine.expected():
            await correct_states(parts.store, client, under_way)
            await until_signal(lambda: print("Ready: worker polls", flush=True))  # noqa: T201
