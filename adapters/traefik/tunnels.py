"""Ways through the proxy to addresses that only it can reach, such as those of a Swarm's overlay network.

A tunnel is a TCP route of Traefik's on the entry point of its API, which the server's loopback alone offers
from outside. It is chosen by the name that a TLS client asks for, and that name is a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from adapters.reach import Reach
from adapters.traefik.api import TraefikApi
from adapters.traefik.confirmation import poll
from adapters.traefik.folder import RouteFolder

LOOPBACK: Final = "127.0.0.1"
PREFIX: Final = "_tunnel-"
LISTENS_SECONDS: Final = 0.3
"""Traefik ends a connection at once whose far end refuses; one that lasts so long has got through."""

CONNECT_SECONDS: Final = 10.0
CHUNK_BYTES: Final = 64 * 1024
# Loss of one of these means that the other side is gone, which the first side learns by its end.
BROKEN = (OSError, ssl.SSLError)


def tunnel_name(host: str, port: int) -> str:
    """The route's name: always the same for an address, so that what a killed worker left is replaced."""
    return PREFIX + re.sub(r"[^0-9a-z]", "-", f"{host}-{port}".lower())


def is_tunnel(name: str) -> bool:
    """Whether the file of this name is that of a tunnel."""
    return name.startswith(PREFIX)


def tunnel_routes(name: str, server_name: str, host: str, port: int) -> str:
    """The file of one tunnel."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    content = {
        "tcp": {
            "routers": {
                name: {
                    "rule": f"HostSNI(`{server_name}`)",
                    "entryPoints": ["traefik"],
                    "service": name,
                    "tls": {},
                }
            },
            "services": {name: {"loadBalancer": {"servers": [{"address": target}]}}},
        }
    }
    return json.dumps(content, indent=1) + "\n"


class ProxyTunnels:
    """Opens tunnels through one proxy."""

    def __init__(
        self,
        files: RouteFolder,
        reach: Reach,
        api_port: int,
        api: Callable[[], Awaitable[TraefikApi]],
    ) -> None:
        """`reach` leads to the server's loopback, `files` are what the proxy serves."""
        self._files = files
        self._reach = reach
        self._api_port = api_port
        self._api = api

    async def names(self) -> frozenset[str]:
        """Which tunnels there are, those that a killed worker has left among them."""
        return frozenset(name for name in await self._files.names() if is_tunnel(name))

    async def remove(self, name: str) -> None:
        """The proxy does not serve the tunnel any more; absent is fine."""
        if is_tunnel(name):
            await self._files.remove(name)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[TunnelReach]:
        """Keeps each tunnel that is asked for until the block is left."""
        async with AsyncExitStack() as stack:
            yield TunnelReach(self, stack)

    @asynccontextmanager
    async def tunnel(self, host: str, port: int) -> AsyncIterator[Tunnel]:
        """A way to the address that the proxy serves already. Raises ProxyUnavailable."""
        name = tunnel_name(host, port)
        server_name = f"{secrets.token_hex(16)}.tunnel"
        try:
            await self._files.write(name, tunnel_routes(name, server_name, host, port))
            async with await self._api() as api:
                await poll(
                    lambda: api.has_tcp_route(name, server_name), "The proxy does not open a way to a task."
                )
            yield Tunnel(self._reach, self._api_port, server_name)
        finally:
            await asyncio.shield(self._files.remove(name))


class TunnelReach:
    """See `adapters.reach.Reach`: the addresses are those that the proxy can reach."""

    def __init__(self, tunnels: ProxyTunnels, stack: AsyncExitStack) -> None:
        self._tunnels = tunnels
        self._stack = stack
        self._open: dict[tuple[str, int], Tunnel] = {}
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def address(self, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        """A port of our loopback that behaves like the address: while that refuses, so does this."""
        async with self._lock:
            if (host, port) not in self._open:
                tunnel = await self._stack.enter_async_context(self._tunnels.tunnel(host, port))
                self._open[host, port] = tunnel
        async with self._open[host, port].nearby() as near:
            yield near


class Tunnel:
    """One address behind the proxy."""

    def __init__(self, reach: Reach, api_port: int, server_name: str) -> None:
        self._reach = reach
        self._api_port = api_port
        self._server_name = server_name
        self._tls = ssl.create_default_context()
        # The proxy shows a certificate of its own making; the way to it is the server's loopback.
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    @asynccontextmanager
    async def nearby(self) -> AsyncIterator[tuple[str, int]]:
        """Host and port here that lead there, and that refuse connections if nothing listens there."""
        async with self._reach.address(LOOPBACK, self._api_port) as proxy:
            with socket.socket() as near:
                near.bind((LOOPBACK, 0))
                port = int(near.getsockname()[1])
                if not await self._gets_through(proxy):
                    yield LOOPBACK, port  # bound and not listening
                    return
                async with self._serving(near, proxy):
                    yield LOOPBACK, port

    @asynccontextmanager
    async def _serving(self, near: socket.socket, proxy: tuple[str, int]) -> AsyncIterator[None]:
        pipes: set[asyncio.Task[None]] = set()

        async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(*BROKEN, TimeoutError):
                    await _both_ways(reader, writer, *await self._connect(proxy))
            finally:
                writer.close()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(pipe(reader, writer))
            pipes.add(task)
            task.add_done_callback(pipes.discard)

        server = await asyncio.start_server(begin, sock=near)
        try:
            yield
        finally:
            server.close()
            for task in tuple(pipes):
                task.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)

    async def _gets_through(self, proxy: tuple[str, int]) -> bool:
        """Whether something listens at the far end."""
        try:
            reader, writer = await self._connect(proxy)
        except (*BROKEN, TimeoutError):
            return False
        try:
            async with asyncio.timeout(LISTENS_SECONDS):
                return bool(await reader.read(1))
        except TimeoutError:
            return True
        except BROKEN:
            return False
        finally:
            writer.close()

    async def _connect(self, proxy: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(*proxy, ssl=self._tls, server_hostname=self._server_name)


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pour(reader, far_writer))
            group.create_task(_pour(far_reader, writer))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        writer.close()
        far_writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()
