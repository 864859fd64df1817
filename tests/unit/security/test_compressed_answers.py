"""What somebody else's program answers may be small, and of any size once it is unpacked."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest

from adapters import bounded_answers
from adapters.probes import BODY_LIMIT_BYTES, ProbeOutcome, probe
from adapters.reach import LocalReach
from domain.configuration import HealthCheck

# Some hundred bytes that unpack to 32 MiB, at once.
BOMB = gzip.compress(gzip.compress(b"x" * (32 << 20)))


@contextlib.asynccontextmanager
async def answering(body: bytes, *headers: str) -> AsyncIterator[int]:
    """The port of a program that always answers the same."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            said = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
            writer.write("".join(f"{line}\r\n" for line in (*said, "")).encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def no_command(argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float) -> int:
    raise AssertionError("this probe runs no command")


async def ask(check: HealthCheck, port: int) -> ProbeOutcome:
    return await probe(check, host="127.0.0.1", port=port, reach=LocalReach(), execute=no_command)


@pytest.fixture
def little_memory():
    tracemalloc.start()
    yield
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 << 20


@pytest.mark.usefixtures("little_memory")
async def test_a_health_answer_is_not_unpacked() -> None:
    async with answering(BOMB, "Content-Encoding: gzip, gzip") as port:
        outcome = await ask(HealthCheck(expected_text="fine"), port)
        assert not outcome.ok
        assert "answered 200, compressed unasked: it cannot be searched for the text 'fine'" in outcome.detail
        # Without a text there is nothing to look for in it.
        assert (await ask(HealthCheck(), port)).ok


@pytest.mark.usefixtures("little_memory")
async def test_a_proxys_answer_is_not_unpacked() -> None:
    async with (
        answering(BOMB, "Content-Encoding: gzip, gzip") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        with pytest.raises(bounded_answers.AnswerEncoded):
            await bounded_answers.get(client, "/version")


@pytest.mark.parametrize(
    "header",
    [
        "Content-Encoding: identity",
        "X-Other: gzip",
        "Content-Type: text/plain; charset=hex",
        "Content-Type: text/plain; charset=punycode",
        "Content-Type: text/plain; charset*=hex''iso-8859-1",
        "Content-Type: text/plain; charset=",
        "Content-Type: " + '";' * 30_000,
    ],
    ids=lambda header: header[:60],
)
async def test_what_is_not_compressed_is_read_whatever_it_says_of_its_characters(header: str) -> None:
    async with answering("all fine: größer".encode(), header) as port:
        outcome = await ask(HealthCheck(expected_text="größer"), port)
        assert outcome.ok, outcome.detail


async def test_of_a_health_answer_only_the_begin_is_searched() -> None:
    async with answering(b"x" * BODY_LIMIT_BYTES + b"fine") as port:
        assert not (await ask(HealthCheck(expected_text="fine"), port)).ok
