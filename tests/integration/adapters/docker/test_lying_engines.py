"""Engines, proxies and servers that are in other hands, and send without end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from adapters import bounded_answers
from adapters.docker import DockerEngine, bounded_client
from adapters.docker.connection import EngineRefusal
from domain.errors import EngineUnavailable

LIMIT_SECONDS = 30.0
LIMIT_BYTES = 1 << 20
VERSION = json.dumps({"ApiVersion": "1.41", "Version": "20.10.24"}).encode()


class Liar:
    """Says a version as engines do, and to everything else the same bytes again and again."""

    def __init__(self) -> None:
        self.status = 200
        self.piece = b" " * 65536
        self.sent_bytes = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode()
                if "/version" in request.partition("\r\n")[0]:
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(VERSION)}\r\n\r\n"
                    writer.write(head.encode() + VERSION)
                    continue
                writer.write(f"HTTP/1.1 {self.status} OK\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
                while True:
                    writer.write(b"%x\r\n%s\r\n" % (len(self.piece), self.piece))
                    await writer.drain()
                    self.sent_bytes += len(self.piece)
        writer.close()


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
async def lying_engine(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DockerEngine]:
    monkeypatch.setattr(bounded_client, "LARGEST_ANSWER_BYTES", LIMIT_BYTES)
    server = await asyncio.start_unix_server(liar.answer, tmp_path / "engine.sock")
    engine = DockerEngine(str(tmp_path / "engine.sock"))
    yield engine
    await engine.close()
    server.close()


async def read_logs(engine: DockerEngine) -> object:
    return await engine.logs("any", 10)


async def nothing() -> AsyncIterator[bytes]:
    for piece in (b"",):
        yield piece


async def load(engine: DockerEngine) -> None:
    await engine.load_stream(nothing(), lambda _: None)


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.inspect_image("any"),
        lambda engine: engine.ended_containers(),
        lambda engine: engine.build_cache_bytes(),
        lambda engine: engine.ping(),
    ],
)
async def test_an_answer_without_end_is_given_up(
    liar: Liar, lying_engine: DockerEngine, ask: Callable[[DockerEngine], object]
):
    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(EngineUnavailable, match="larger than 1 MiB"):
            await ask(lying_engine)  # type: ignore[misc]
    # What the sockets hold comes on top.
    assert liar.sent_bytes < 20 * LIMIT_BYTES


@pytest.mark.parametrize("ask", [lambda engine: engine.inspect_image("any"), read_logs, load])
async def test_a_refusal_without_end_is_given_up(
    liar: Liar, lying_engine: DockerEngine, ask: Callable[[DockerEngine], object]
):
    liar.status = 500
    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(EngineUnavailable) as caught:
            await ask(lying_engine)  # type: ignore[misc]
    if isinstance(caught.value, EngineRefusal):
        assert len(caught.value.reason) <= bounded_client.LONGEST_REFUSAL_BYTES
    assert liar.sent_bytes < 20 * LIMIT_BYTES


@pytest.mark.parametrize("piece", [b"x" * 65536, b"[]\n", b"[" * 65536 + b"\n"])
async def test_progress_that_is_none_is_given_up(liar: Liar, lying_engine: DockerEngine, piece: bytes):
    liar.piece = piece
    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(EngineUnavailable, match="no progress"):
            await load(lying_engine)


async def test_a_proxys_answer_without_end_is_given_up(liar: Liar, tmp_path: Path):
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        await asyncio.start_unix_server(liar.answer, tmp_path / "proxy.sock"),
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(tmp_path / "proxy.sock")), base_url="http://proxy"
        ) as client,
    ):
        assert (await bounded_answers.get(client, "/version")).json()["Version"] == "20.10.24"
        with pytest.raises(bounded_answers.AnswerTooLarge):
            await bounded_answers.get(client, "/routers")
