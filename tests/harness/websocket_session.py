"""A WebSocket that stays open and notices when it is cut."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.harness.http_connection import ExchangeFailed, FailureKind, Target

ANSWER_LIMIT_SECONDS = 10.0
GOING_AWAY = 1001  # RFC 6455, section 7.4.1


class SentAway(ExchangeFailed):
    """The server closed in order with 1001, as one does that shuts down."""


class WebSocketSession:
    """One WebSocket; as a context manager it opens, and closes in order. Raises ExchangeFailed."""

    def __init__(self, target: Target, path: str = "/ws") -> None:
        """Nothing is opened yet."""
        self._target = target
        self._url = f"{'wss' if target.tls else 'ws'}://{target.host}{path}"
        self._connection: ClientConnection | None = None

    @property
    def connection(self) -> ClientConnection:
        """The open connection, for what `echo` does not cover."""
        if self._connection is None:
            raise RuntimeError("the WebSocket is not open")
        return self._connection

    async def open(self) -> None:
        """Connects and shakes hands within 10 s."""
        try:
            self._connection = await connect(
                self._url,
                host=self._target.address,
                port=self._target.port,
                ssl=self._target.tls,
                proxy=None,
                compression=None,
                open_timeout=ANSWER_LIMIT_SECONDS,
                close_timeout=ANSWER_LIMIT_SECONDS,
                ping_interval=None,
            )
        except (OSError, TimeoutError, EOFError, InvalidHandshake) as error:
            raise ExchangeFailed(FailureKind.WEBSOCKET_REFUSED, f"{type(error).__name__}: {error}") from error

    async def echo(self, text: str) -> str:
        """Sends a text and reads it back, the same, within 10 s."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
                await self.connection.send(text)
                answer = await self.connection.recv()
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            detail = f"close frame {code}" if code else "ended without a close frame"
            kind = SentAway if code == GOING_AWAY else ExchangeFailed
            raise kind(FailureKind.WEBSOCKET_CUT, detail) from closed
        except TimeoutError as error:
            raise ExchangeFailed(FailureKind.TIMEOUT, "no echo") from error
        if answer != text:
            raise ExchangeFailed(FailureKind.WEBSOCKET_ECHO, f"sent {text!r}, got {answer!r}")
        return text

    async def close(self) -> None:
        """Closes with 1000 and expects the server's close frame in return."""
        connection = self.connection
        await connection.close()
        # The handshake of closing is complete only when the server's frame came, too.
        if connection.protocol.close_rcvd is None:
            raise ExchangeFailed(FailureKind.WEBSOCKET_CUT, "no close frame in answer to ours")

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        else:
            self.connection.transport.abort()
