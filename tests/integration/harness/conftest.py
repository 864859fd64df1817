"""The sample application as a process of this machine, and servers that misbehave on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.harness.http_connection import ExchangeFailed, HttpConnection, Target
from tests.harness.images import SAMPLE_APPLICATION_FOLDER
from tests.harness.processes import ManagedProcess, free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LocalApplication:
    """One sample application on a port of this machine."""

    def __init__(self, process: ManagedProcess, port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.target = Target.of(self.url)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        connection = await HttpConnection.open(self.target)
        try:
            answer = await connection.get(path, keep_alive=False)
        finally:
            await connection.close()
        return answer.status, answer.body.decode()

    async def accepts_connections(self) -> bool:
        """Whether it still listens."""
        try:
            connection = await HttpConnection.open(self.target)
        except ExchangeFailed:
            return False
        await connection.close()
        return True


StartApplication = Callable[..., Awaitable[LocalApplication]]


@pytest.fixture
async def start_application(tmp_path: Path) -> AsyncIterator[StartApplication]:
    """Starts sample applications with the given environment; all of them end with the test."""
    with contextlib.ExitStack() as processes:

        async def start(**environment: str) -> LocalApplication:
            port = int(environment.setdefault("PORT", str(free_port())))
            process = processes.enter_context(
                ManagedProcess(
                    [sys.executable, str(SAMPLE_APPLICATION_FOLDER / "app.py")],
                    env={"HOST": "127.0.0.1", "VERSION": "v1", **environment},
                    log_path=tmp_path / f"application-{port}.log",
                )
            )
            await process.wait_for_output("listens on", 20)
            return LocalApplication(process, port)

        yield start


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    """Serves a handler of raw connections; the base URL."""
    servers: list[asyncio.Server] = []

    async def start(handler: Handler) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await handler(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()
