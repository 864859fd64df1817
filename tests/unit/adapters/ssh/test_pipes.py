"""Connections that came in here and are joined to a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from adapters.ssh.pipes import FarEnd, Pipe
from domain.errors import ServerUnreachable

LIMIT_SECONDS = 10.0


@contextlib.asynccontextmanager
async def no_place() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    "failure",
    [
        ServerUnreachable("gone"),
        asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "refused"),
        OSError("broken"),
        IndexError("a defect of ours"),
        asyncio.CancelledError(),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_who_connects_is_told_at_once_however_the_opening_of_the_far_end_fails(
    tmp_path: Path, failure: BaseException
) -> None:
    pipes: set[Pipe] = set()

    async def fails() -> FarEnd:
        raise failure

    loop = asyncio.get_running_loop()
    # What is a defect is told there too, once nobody has the task any more.
    loop.set_exception_handler(lambda *_: None)
    path = str(tmp_path / "sock")
    server = await loop.create_unix_server(lambda: Pipe(fails, no_place, pipes), path)
    async with server, asyncio.timeout(LIMIT_SECONDS):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /_ping HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    assert not pipes
