"""Addresses of a server, of its containers and of its loopback, brought to a port here for a while."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncssh

from adapters.ssh.connection import SshConnection
from adapters.ssh.failures import forwarding_forbidden
from adapters.ssh.pipes import FarEnd, Pipe, open_tcp

LOOPBACK: Final = "127.0.0.1"
# How long to wait for an address that neither accepts nor refuses; how often one that refuses is tried.
FIRST_TRY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.1


class SshReach:
    """See `adapters.reach.Reach`: the addresses are the server's, the way is its SSH connection."""

    def __init__(self, connection: SshConnection) -> None:
        """`connection` stays the caller's."""
        self._connection = connection

    @asynccontextmanager
    async def address(self, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        """A port of our loopback that behaves like the address: while that refuses, so does this.

        Raises NotPossibleNow where the SSH server forbids forwarding, and what `SshConnection` raises.
        """
        nearby = _Nearby(self._connection, host, port)
        try:
            yield await nearby.start()
        finally:
            await nearby.close()


class _Nearby:
    """The port. It is bound at once, and listens from the moment that the far address accepts.

    A listener that accepts whatever the far address does would make every TCP health check succeed.
    """

    def __init__(self, connection: SshConnection, host: str, port: int) -> None:
        self._connection = connection
        self._host = host
        self._port = port
        self._socket = socket.socket()
        self._first: FarEnd | None = None
        self._server: asyncio.Server | None = None
        self._trying: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._pipes: set[Pipe] = set()

    async def start(self) -> tuple[str, int]:
        self._socket.bind((LOOPBACK, 0))
        near_port = int(self._socket.getsockname()[1])
        await self._connection.connect()
        self._trying = asyncio.create_task(self._listen_once_it_accepts())
        self._trying.add_done_callback(lambda _: self._answered.set())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY_SECONDS):
                await self._answered.wait()
        if self._trying.done():
            self._trying.result()
        return LOOPBACK, near_port

    async def close(self) -> None:
        if self._trying is not None:
            self._trying.cancel()
            # Why it gave up has been told, or shows as an address that refuses.
            await asyncio.gather(self._trying, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        self._socket.close()
        if self._first is not None:
            self._first.close()
        for pipe in tuple(self._pipes):
            pipe.abort()

    async def _listen_once_it_accepts(self) -> None:
        while True:
            try:
                self._first = await self._open()
                break
            except asyncssh.ChannelOpenError as error:
                if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                    raise forwarding_forbidden(self._connection.target.address, error.reason) from error
            self._answered.set()
            await asyncio.sleep(RETRY_SECONDS)
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=self._socket)

    def _accept(self) -> Pipe:
        return Pipe(self._take_first_or_open, self._connection.forwarded, self._pipes)

    async def _take_first_or_open(self) -> FarEnd:
        # The channel that proved that the address accepts is the first visitor's.
        first, self._first = self._first, None
        return first or await self._open()

    async def _open(self) -> FarEnd:
        return await open_tcp(self._connection, self._host, self._port)
