"""Servers over SSH: one connection each, with an engine, a proxy and files at its end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from activities.servers import ServerParts
from adapters.connections import RemoteConnections
from adapters.docker.engine import DockerEngine
from adapters.ssh.connection import SshConnection
from adapters.ssh.files import SftpHostFiles, SftpRouteFolder
from adapters.ssh.forwarding import DockerSocketForward
from adapters.ssh.pool import SshPool
from adapters.ssh.reach import SshReach
from adapters.ssh.targets import ServerAddress, SshTarget
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import TraefikSettings
from domain.errors import NotPossibleNow
from domain.servers import MOST_JUMPS
from seaway.settings import Settings
from store.store import Store
from store.tables import Server

HTTP_PORT, HTTPS_PORT = 80, 443
SWEEP_SECONDS = 120.0
"""How often this process looks whether servers that it is connected to have been removed by another one."""
logger = logging.getLogger("seaway")


@dataclass(frozen=True)
class _Open:
    connection: SshConnection
    forward: DockerSocketForward
    engine: DockerEngine
    data_folder: str
    parts: ServerParts

    async def close(self) -> None:
        await self.engine.close()
        await self.forward.close()


class RemoteServers:
    """Opens what leads to a server when it is first asked for, and anew when its way in has changed."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._store = store
        self._settings = settings
        self._pool = SshPool()
        self._open: dict[str, _Open] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def link(self, server: Server) -> SshConnection:
        """The server's one connection. Raises NotPossibleNow where the server has no key to log in with."""
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        return await self._pool.acquire(server.id, await self.target(server))

    async def parts(self, server: Server) -> ServerParts:
        """What activities work with on the server. Raises what `SshConnection` raises where nobody gets in.

        Without a link the engine would seem to be what does not answer.
        """
        await (await self.link(server)).connect()
        async with self._locks.setdefault(server.id, asyncio.Lock()):
            connection = await self.link(server)
            present = self._open.get(server.id)
            if present and present.connection is connection and present.data_folder == server.data_folder:
                return present.parts
            if present is not None:
                await present.close()
            self._open[server.id] = opened = await self._opened(server, connection)
            return opened.parts

    async def forget(self, server_id: str) -> None:
        """Ends the connection; the next use opens another. Unknown is fine."""
        present = self._open.pop(server_id, None)
        if present is not None:
            await present.close()
        await self._pool.forget(server_id)

    async def close(self) -> None:
        """Ends every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        for server_id in tuple(self._open):
            await self.forget(server_id)
        await self._pool.close()

    async def target(self, server: Server, jumps: int = 0) -> SshTarget:
        """The server with the way in, through as many others as it names. Raises NotPossibleNow."""
        if server.private_key_id is None:
            raise NotPossibleNow(f"The server '{server.name}' has no private key to log in with. Choose one.")
        key = await self._store.servers.key(server.private_key_id)
        jump = None
        if server.jump_server_id is not None:
            if jumps == MOST_JUMPS:
                raise NotPossibleNow(f"The way to '{server.name}' leads over more than {MOST_JUMPS} servers.")
            gate = await self._store.servers.get(server.jump_server_id)
            jump = await self.target(gate, jumps + 1)
        return SshTarget(
            address=ServerAddress(server.address, server.port, server.user),
            private_key=self._store.servers.reveal(key),
            host_key=server.host_key or None,
            jump=jump,
        )

    async def _sweep(self) -> None:
        """Ends connections to servers that are gone. They are never idle: the engine keeps its own open."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            connected = self._pool.server_ids
            try:
                known = {server.id for server in await self._store.servers.all_remote()}
            except (SQLAlchemyError, OSError) as error:
                logger.warning("removed servers cannot be looked for: %s", type(error).__name__)
                continue
            for server_id in connected - known:
                await self.forget(server_id)

    async def _opened(self, server: Server, connection: SshConnection) -> _Open:
        forward = DockerSocketForward(connection)
        await forward.start()
        engine = DockerEngine(forward.socket_path, where=connection.target.address.endpoint)
        reach = SshReach(connection)
        # Before provisioning has found the folder nobody may write there: the proxy and files come after it.
        folder = PurePosixPath(server.data_folder or f"/var/lib/seaway/{self._settings.instance}")
        proxy = TraefikProxy(
            self._settings.data_dir / "proxy",
            engine,
            TraefikSettings(
                container_name=self._settings.proxy_container,
                network=self._settings.instance,
                http_port=HTTP_PORT,
                https_port=HTTPS_PORT,
                api_port=self._settings.proxy_api_port,
                edge_port=self._settings.edge_port,
            ),
            reach=reach,
            files=SftpRouteFolder(connection, folder / "proxy"),
            token=self._proxy_token(server),
        )
        parts = ServerParts(
            engine=engine,
            proxy=proxy,
            reach=reach,
            files=SftpHostFiles(connection, folder),
            network=self._settings.instance,
            commands=connection,
            connections=RemoteConnections(connection),
            is_local=False,
        )
        return _Open(connection, forward, engine, server.data_folder, parts)

    def _proxy_token(self, server: Server) -> SecretStr:
        # Every worker has to know it, wherever it runs, so it follows from the installation's key. A machine
        # has one proxy, also where several teams have it in their lists.
        return SecretStr(self._store.encryption.fingerprint(f"proxy-api {server.host_key}"))
