"""One connection that came in here, joined to a channel of the server's SSH connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, cast

import asyncssh

from adapters.ssh.connection import SshConnection
from domain.errors import SeawayError

logger = logging.getLogger(__name__)

# Close with a reset instead of an orderly end (socket(7), SO_LINGER).
RESET: Final = struct.pack("ii", 1, 0)

OpenFarEnd = Callable[[], Awaitable["FarEnd"]]
Place = Callable[[], AbstractAsyncContextManager[None]]


class FarEnd(asyncssh.SSHForwarder):
    """A channel to an address of the server. What it says before it is joined to a near end is kept."""

    def __init__(self) -> None:
        """Not joined yet."""
        super().__init__()
        self._held: list[bytes] | None = []
        self._is_lost = False

    def join(self, near: Pipe) -> None:
        """From now on, what comes in at one end goes out at the other."""
        self.set_peer(near)
        near.set_peer(self)
        held, self._held = self._held or [], None
        for data in held:
            near.write(data)
        if self._is_lost:
            near.close()
        elif self.was_eof_received():
            near.write_eof()

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """The far side says something."""
        if self._held is not None:
            self._held.append(data)
        else:
            super().data_received(data, datatype)

    def connection_lost(self, exc: Exception | None) -> None:
        """The far side has closed, or the link broke."""
        self._is_lost = True
        super().connection_lost(exc)


class Pipe(asyncssh.SSHForwarder):
    """The near end. It opens the far end when somebody connects, and reads nothing before that.

    The end of input travels each way by itself, as Docker's attached streams and BuildKit's sessions need.
    When the far end cannot be opened, for whatever reason, the connection is reset: an orderly end would look
    like an answer.
    """

    def __init__(self, open_far_end: OpenFarEnd, place: Place, open_pipes: set[Pipe]) -> None:
        """`place` is held while the pipe is open, and `open_pipes` has it for as long."""
        super().__init__()
        self._open_far_end = open_far_end
        self._place = place
        self._open_pipes = open_pipes
        self._near: asyncio.Transport | None = None
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        super().connection_made(transport)
        self._near = cast(asyncio.Transport, transport)
        self._near.pause_reading()
        self._open_pipes.add(self)
        self._task = asyncio.get_running_loop().create_task(self._carry())

    def connection_lost(self, exc: Exception | None) -> None:
        """The near side is gone, and with it the far end."""
        self._ended.set()
        self._open_pipes.discard(self)
        super().connection_lost(exc)

    def abort(self) -> None:
        """Reset the connection."""
        if self._near is not None:
            near = self._near.get_extra_info("socket")
            if near is not None and near.family in (socket.AF_INET, socket.AF_INET6):
                with contextlib.suppress(OSError):
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._near.abort()

    async def _carry(self) -> None:
        try:
            async with self._place():
                far = await self._open_far_end()
                if self._near is None or self._ended.is_set():
                    far.close()
                    return
                far.join(self)
                if not self._near.is_closing():
                    self._near.resume_reading()
                await self._ended.wait()
        except (SeawayError, asyncssh.Error, OSError) as error:
            logger.debug("A forwarded connection could not be opened: %s", error)
        finally:
            # However it ended: who connected would wait for an answer of nobody. What is closed stays so.
            self.abort()


async def open_unix(connection: SshConnection, path: str) -> FarEnd:
    """A channel to a unix socket of the server. Raises ChannelOpenError where the server refuses."""
    return await _open(
        connection,
        lambda link, factory: link.create_unix_connection(
            cast("Callable[[], asyncssh.SSHUNIXSession[bytes]]", factory), path
        ),
    )


async def open_tcp(connection: SshConnection, host: str, port: int) -> FarEnd:
    """A channel to an address as the server sees it. Raises ChannelOpenError where it cannot be reached."""
    return await _open(
        connection,
        lambda link, factory: link.create_connection(
            cast("Callable[[], asyncssh.SSHTCPSession[bytes]]", factory), host, port
        ),
    )


async def _open(
    connection: SshConnection,
    opener: Callable[[asyncssh.SSHClientConnection, Callable[[], FarEnd]], Awaitable[tuple[object, object]]],
) -> FarEnd:
    async def open_far_end() -> FarEnd:
        _, session = await connection.open_channel(lambda link: opener(link, FarEnd))
        return cast(FarEnd, session)

    # A cancelled opening would leave a channel that nobody knows of.
    opening = asyncio.create_task(open_far_end())
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(opening: asyncio.Task[FarEnd]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
