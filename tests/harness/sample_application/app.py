"""A web application for tests: standard library only, in one file, so that its image builds in a moment.

Paths: `/` answers the version, `/slow?seconds=5` after that time, `/health`, `/env`, `/headers`, `/pid`,
`/hostname`, and `/ws` is a WebSocket (RFC 6455) that echoes text. `/open?since=1760000000.5` answers which
requests were not over at that time: the numbers that they brought along as `?request=7`.
Environment: PORT, HOST, VERSION (else the file VERSION beside this one), HEALTH_STATUS, HEALTH_HANG=1,
START_DELAY_SECONDS, EXIT_AT_ONCE=1.
On SIGTERM it tells WebSockets 1001, closes idle connections, finishes what it has begun, and only then stops
listening and exits 0.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
GOING_AWAY, UNSUPPORTED_DATA = 1001, 1003
LONGEST_MESSAGE_BYTES = 1 << 20
CLOSE_LIMIT_SECONDS = 5.0
REMEMBERED = 5000


@dataclass(frozen=True)
class Request:
    """What a client asked. Names of headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    keep_alive: bool


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    body: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


@dataclass
class Numbered:
    """A request that its client has given a number, and when it was over."""

    number: int
    ended_at: float = float("inf")


@dataclass(eq=False)
class WebSocket:
    """One open WebSocket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    close_sent: bool = False

    async def echo_until_closed(self) -> None:
        """Echoes text and answers pings until either side has closed."""
        while True:
            kind, payload = await self.receive()
            if kind == CLOSE:
                await self.close(payload)
                return
            if kind == PING:
                await self.send(PONG, payload)
            elif kind == TEXT:
                await self.send(TEXT, payload)
            elif kind != PONG:
                await self.close(UNSUPPORTED_DATA.to_bytes(2, "big"))

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and unmasked payload of the next frame; messages in several frames are not supported."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        if size > LONGEST_MESSAGE_BYTES or not second & 0x80:
            raise ConnectionError("a frame that is too long or not masked")
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        whole = first & 0x80
        return (first & 0x0F if whole else 0), bytes(b ^ mask[i % 4] for i, b in enumerate(payload))

    async def send(self, kind: int, payload: bytes) -> None:
        """Sends one frame, unmasked as a server's has to be."""
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | kind, size])
        elif size < 1 << 16:
            head = bytes([0x80 | kind, 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | kind, 127]) + size.to_bytes(8, "big")
        self.writer.write(head + payload)
        await self.writer.drain()

    async def close(self, payload: bytes) -> None:
        """Sends a close frame, once."""
        if not self.close_sent:
            self.close_sent = True
            await self.send(CLOSE, payload)


@dataclass
class Application:
    """The server. `busy` connections have a request or a WebSocket, `idle` ones wait for a request."""

    version: str
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    busy: set[asyncio.Task[None]] = field(default_factory=set)
    idle: set[asyncio.StreamWriter] = field(default_factory=set)
    websockets: set[WebSocket] = field(default_factory=set)
    numbered: deque[Numbered] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    async def run(self, host: str, port: int, start_delay_seconds: float) -> None:
        """Serves until SIGTERM or SIGINT, then drains."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        # Handlers first: the kernel ignores SIGTERM for a container's first process that has none.
        if start_delay_seconds and await self.stopped_within(start_delay_seconds):
            return
        server = await asyncio.start_server(self.serve, host, port, backlog=512)
        say(f"version {self.version} listens on {host}:{port}")
        await self.stopping.wait()
        say("stopping")
        await self.drain()
        server.close()
        say("stopped")

    async def stopped_within(self, seconds: float) -> bool:
        """Whether the stop came before this time was over."""
        try:
            return await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False

    async def drain(self) -> None:
        """Ends what may end and waits for the rest; new requests are still answered meanwhile."""
        for websocket in list(self.websockets):
            try:
                await websocket.close(GOING_AWAY.to_bytes(2, "big"))
            except ConnectionError:
                continue
        for writer in list(self.idle):
            writer.close()
        while self.busy:
            await asyncio.wait(self.busy)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: request after request, until either side has had enough."""
        task = asyncio.current_task()
        assert task is not None
        try:
            keep_alive = True
            while keep_alive:
                self.idle.add(writer)
                first = await reader.readexactly(1)
                self.idle.discard(writer)
                self.busy.add(task)
                request = parse(first + await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(int(request.headers.get("content-length", "0")))
                # Looked at again here: a stop between answer and idling would otherwise wait for this client.
                keep_alive = await self.respond_to(request, reader, writer) and not self.stopping.is_set()
                self.busy.discard(task)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return  # the client has gone, or does not speak HTTP
        finally:
            self.idle.discard(writer)
            self.busy.discard(task)
            writer.close()

    async def respond_to(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """The same as `respond`, with a note of the request's number while it is open, and of its end."""
        if "request" not in request.query:
            return await self.respond(request, reader, writer)
        numbered = Numbered(int(request.query["request"]))
        self.numbered.append(numbered)
        try:
            return await self.respond(request, reader, writer)
        finally:
            numbered.ended_at = time.time()

    async def respond(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answers one request; whether the connection may serve another."""
        if request.path == "/ws" and "sec-websocket-key" in request.headers:
            await self.upgrade(request, reader, writer)
            return False
        answer = await self.answer(request)
        body = answer.body.encode()
        keep_alive = request.keep_alive and not self.stopping.is_set()
        head = [
            f"HTTP/1.1 {answer.status} {reason(answer.status)}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(body)}",
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
        ]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body))
        await writer.drain()
        return keep_alive

    async def answer(self, request: Request) -> Answer:
        """What the path says."""
        match request.path:
            case "/":
                return Answer(self.version)
            case "/slow":
                await asyncio.sleep(float(request.query.get("seconds", "5")))
                return Answer(self.version)
            case "/health":
                if os.environ.get("HEALTH_HANG") == "1":
                    await self.stopping.wait()
                return Answer("health", int(os.environ.get("HEALTH_STATUS", "200")))
            case "/env":
                return Answer(json.dumps(dict(os.environ)), content_type="application/json")
            case "/headers":
                return Answer(json.dumps(request.headers), content_type="application/json")
            case "/pid":
                return Answer(str(os.getpid()))
            case "/hostname":
                return Answer(socket.gethostname())
            case "/open":
                since = float(request.query.get("since", time.time()))
                return Answer(json.dumps([one.number for one in self.numbered if one.ended_at >= since]))
            case _:
                return Answer("not found", 404)

    async def upgrade(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """RFC 6455 handshake, then echo until the end."""
        key = request.headers["sec-websocket-key"] + WEBSOCKET_GUID
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        writer.write("\r\n".join([*head, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
        await writer.drain()
        websocket = WebSocket(reader, writer)
        if self.stopping.is_set():
            await websocket.close(GOING_AWAY.to_bytes(2, "big"))
        self.websockets.add(websocket)
        echo = asyncio.create_task(websocket.echo_until_closed())
        told = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({echo, told}, return_when=asyncio.FIRST_COMPLETED)
            # A client that never answers the close frame must not hold up the exit.
            await asyncio.wait_for(echo, CLOSE_LIMIT_SECONDS)
        except TimeoutError:
            return
        finally:
            told.cancel()
            self.websockets.discard(websocket)


def parse(head: bytes) -> Request:
    """The head of a request. Raises ValueError when it is not HTTP/1.x."""
    line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, protocol = line.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (li.partition(":") for li in lines)}
    if not protocol.startswith("HTTP/1.") or "transfer-encoding" in headers:
        raise ValueError(protocol)
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection if protocol == "HTTP/1.1" else "keep-alive" in connection
    return Request(method, url.path, query, headers, keep_alive)


def reason(status: int) -> str:
    """The phrase of a status; unknown ones are allowed in tests."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def say(text: str) -> None:
    """One line in the container's log."""
    sys.stdout.write(f"sample application: {text}\n")
    sys.stdout.flush()


def main() -> None:
    """Reads the environment and serves."""
    if os.environ.get("EXIT_AT_ONCE") == "1":
        say("exits at once because EXIT_AT_ONCE=1")
        sys.exit(3)
    version = os.environ.get("VERSION") or (Path(__file__).parent / "VERSION").read_text().strip()
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "3000"))
    delay_seconds = float(os.environ.get("START_DELAY_SECONDS", "0"))
    asyncio.run(Application(version).run(host, port, delay_seconds))


if __name__ == "__main__":
    main()
