"""Engines, proxies and servers that are in other hands, and send without end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from adapters import bounded_answers
from adapters.docker import DockerEngine, bounded_client, connection, images, remains
from adapters.docker.connection import EngineRefusal
from adapters.docker.registry_logins import client_configuration
from domain.errors import EngineUnavailable
from domain.registries import RegistryLogin

LIMIT_SECONDS = 30.0
LIMIT_BYTES = 1 << 20
OPERATORS = RegistryLogin("registry.example.com", "operator", SecretStr("s3cret"))
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


@contextlib.asynccontextmanager
async def engine_that_says(
    body: bytes, folder: Path, *, shows_own_logins: bool = False
) -> AsyncIterator[tuple[DockerEngine, list[str]]]:
    """An engine that says its version and then always the same, and what it was asked."""
    heard: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
                said = VERSION if "/version" in heard[-1].partition("\r\n")[0] else body
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
        writer.close()

    server = await asyncio.start_unix_server(answer, folder / "says.sock")
    engine = DockerEngine(str(folder / "says.sock"), shows_own_logins=shows_own_logins)
    yield engine, heard
    await engine.close()
    server.close()


@pytest.mark.parametrize("shows_own_logins", [False, True])
async def test_only_this_machines_engine_is_shown_the_logins_of_its_docker_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shows_own_logins: bool
):
    (tmp_path / "config.json").write_text(client_configuration([OPERATORS]))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    body = b'{"Id": "sha256:1", "aux": {"Digest": "sha256:1"}}\n'
    async with engine_that_says(body, tmp_path, shows_own_logins=shows_own_logins) as (engine, heard):
        await engine.pull("registry.example.com/shop:1", lambda _: None)
        await engine.push("seaway/shop:1", "registry.example.com/shop:1", lambda _: None)
    asked = [request for request in heard if "/images/create" in request or "/push" in request]
    headers = [re.search("x-registry-auth: ([^\r]+)", request, re.IGNORECASE) for request in asked]
    logins = [base64.urlsafe_b64decode(found[1]).decode() if found else "{}" for found in headers]
    assert len(logins) == 2
    assert [("s3cret" in login) for login in logins] == [shows_own_logins, shows_own_logins]
    assert [("operator" in login) for login in logins] == [shows_own_logins, shows_own_logins]


async def test_of_progress_without_end_not_everything_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(images, "MOST_LINES", 20)
    said = [{"status": str(one), "id": "x" * 9000, "aux": {"Digest": str(one)}} for one in range(100)]
    body = "".join(f"{json.dumps(one)}\n" for one in said).encode()
    heard: list[str] = []
    async with engine_that_says(body, tmp_path) as (engine, _):
        facts = await engine.transfer("/images/create", {}, {}, heard.append)
    assert len(heard) == 20
    assert max(map(len, heard)) < 2 * images.LONGEST_WORD
    assert [fact["Digest"] for fact in facts] == [str(one) for one in range(90, 100)]


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


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.list_containers({}),
        lambda engine: engine.listed({}),
    ],
)
async def test_a_list_without_end_is_refused_before_anything_is_asked_of_it(
    tmp_path: Path, ask: Callable[[DockerEngine], object]
):
    body = json.dumps([{"Id": "0"}] * 100_000).encode()
    async with engine_that_says(body, tmp_path) as (engine, heard):
        with pytest.raises(EngineUnavailable, match="none does"):
            await ask(engine)  # type: ignore[misc]
    assert len(heard) == 2


async def test_an_answer_that_is_small_and_would_take_much_memory_is_given_up(tmp_path: Path):
    body = b"[" + b"{}," * bounded_client.MOST_VALUES + b"{}]"
    async with engine_that_says(body, tmp_path) as (engine, _):
        with pytest.raises(EngineUnavailable, match="values"):
            await engine.inspect_image("any")


async def test_a_log_without_end_is_given_up(liar: Liar, lying_engine: DockerEngine):
    line = b"2026-03-01T12:00:00.000000000Z again\n"
    liar.piece = b"\x01\0\0\0" + len(line).to_bytes(4, "big") + line
    async with asyncio.timeout(LIMIT_SECONDS):
        with pytest.raises(EngineUnavailable, match="more lines"):
            await lying_engine.logs("any", 10)
    assert lying_engine.open_streams == 0


async def test_an_engine_whose_answers_never_end_does_not_answer_those_who_wait_for_a_turn_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module, name, value in (
        (connection, "LONG_CALL_THREADS", 2),
        (connection, "CONNECT_TIMEOUT_SECONDS", 0.1),
        (remains, "PRUNE_LIMIT_SECONDS", 0.1),
    ):
        monkeypatch.setattr(module, name, value)
    may_end = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while "/version" in (await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")[0]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(VERSION), VERSION))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not may_end.is_set():
                writer.write(b" ")
                await writer.drain()
                # Far within the limit for the next byte, again and again.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(may_end.wait(), 0.02)
        writer.close()

    server = await asyncio.start_unix_server(trickle, tmp_path / "engine.sock")
    engine = DockerEngine(str(tmp_path / "engine.sock"), call_timeout_seconds=0.5)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            for reasons in (
                {"no answer in time"},
                {"it has not ended earlier calls in time, and no more can begin"},
            ):
                calls = [engine.build_cache_bytes() for _ in range(2)]
                failures = await asyncio.gather(*calls, return_exceptions=True)
                told = [failure.detail for failure in failures if isinstance(failure, EngineUnavailable)]
                assert len(told) == len(calls)
                assert set(told) == reasons
            may_end.set()
            # Its answers end: there are turns again, for an answer that is none.
            with pytest.raises(EngineUnavailable) as caught:
                await engine.build_cache_bytes()
            assert "earlier calls" not in caught.value.detail
    finally:
        may_end.set()
        await engine.close()
        server.close()
