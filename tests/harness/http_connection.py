"""A raw HTTP/1.1 client connection: it costs little and tells exactly how an exchange failed."""

from __future__ import annotations

import asyncio
import contextlib
import select
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit


class FailureKind(StrEnum):
    """How a request or a WebSocket failed, as its user would see it."""

    CONNECT = "connect"
    RESET = "reset"
    TIMEOUT = "timeout"
    STATUS = "status"
    SHORT_BODY = "short_body"
    PROTOCOL = "protocol"
    WEBSOCKET_REFUSED = "websocket_refused"
    WEBSOCKET_CUT = "websocket_cut"
    WEBSOCKET_ECHO = "websocket_echo"


class ExchangeFailed(Exception):
    """One exchange failed; `detail` says how."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        """What `report` will show."""
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class Target:
    """Where to connect, and which site to ask for there."""

    address: str
    port: int
    host: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(
        cls, base_url: str, address: tuple[str, int] | None = None, tls: ssl.SSLContext | None = None
    ) -> Self:
        """The site of `base_url`, reached at `address` where given, so that no name has to resolve."""
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(f"not an http or https URL: {base_url}")
        secure = url.scheme == "https"
        reached = address or (url.hostname, url.port or (443 if secure else 80))
        return cls(*reached, host=url.netloc, tls=(tls or ssl.create_default_context()) if secure else None)

    @property
    def server_name(self) -> str:
        """The host without its port, for TLS."""
        return urlsplit(f"//{self.host}").hostname or self.host


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpConnection:
    """One connection, for one request at a time."""

    def __init__(self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use `open`."""
        self._target = target
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, target: Target) -> Self:
        """Connects. Raises ExchangeFailed; the caller sets the limit."""
        name = target.server_name if target.tls else None
        try:
            reader, writer = await asyncio.open_connection(
                target.address, target.port, ssl=target.tls, server_hostname=name
            )
        except OSError as error:
            raise ExchangeFailed(FailureKind.CONNECT, str(error) or type(error).__name__) from error
        return cls(target, reader, writer)

    @property
    def was_closed_while_idle(self) -> bool:
        """Whether the server has ended this connection, so that nothing may be sent on it any more.

        The event loop may not have read the end yet; the kernel already knows of it.
        """
        descriptor = self._writer.get_extra_info("socket").fileno()
        if descriptor < 0 or self._reader.at_eof() or self._writer.is_closing():
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLRDHUP)  # errors and hang-ups are always reported
        return bool(poll.poll(0))

    async def get(self, path: str, keep_alive: bool = True) -> HttpAnswer:
        """One GET. Raises ExchangeFailed for anything but a whole answer, whatever its status."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._target.host}", "Accept: */*"]
        if not keep_alive:
            lines.append("Connection: close")
        try:
            self._writer.write("\r\n".join([*lines, "", ""]).encode())
            await self._writer.drain()
            return await self._read_answer()
        except asyncio.IncompleteReadError as error:
            raise ExchangeFailed(FailureKind.RESET, "closed before the answer's head was whole") from error
        except OSError as error:
            raise ExchangeFailed(FailureKind.RESET, str(error) or type(error).__name__) from error
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise ExchangeFailed(FailureKind.PROTOCOL, str(error)) from error

    async def _read_answer(self) -> HttpAnswer:
        head = await self._reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        protocol, status, *_ = line.split(" ", 2)
        if not protocol.startswith("HTTP/1."):
            raise ValueError(f"not an HTTP/1 answer: {line!r}")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (li.partition(":") for li in lines)
        }
        return HttpAnswer(int(status), headers, await self._read_body(headers))

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        try:
            if headers.get("transfer-encoding", "").lower() == "chunked":
                return await self._read_chunks()
            if "content-length" in headers:
                return await self._reader.readexactly(int(headers["content-length"]))
        except asyncio.IncompleteReadError as error:
            detail = f"{len(error.partial)} of {error.expected} bytes"
            raise ExchangeFailed(FailureKind.SHORT_BODY, detail) from error
        except OSError as error:
            raise ExchangeFailed(FailureKind.SHORT_BODY, str(error) or type(error).__name__) from error
        # Such a body ends with the connection, so that nobody could tell whether it is whole.
        raise ValueError("an answer without a length")

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            continue  # trailers
        return bytes(body)

    def abandon(self) -> None:
        """Drops the connection at once."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Ends the connection, within 1 s."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
