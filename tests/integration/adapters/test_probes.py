"""Probes against real sockets, well and badly behaved."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from adapters.probes import ProbeOutcome, probe
from adapters.reach import LocalReach
from domain.configuration import HealthCheck, HealthCheckKind
from domain.errors import CommandFailed, DeadlineExceeded

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Handler], object]


async def no_command(argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float) -> int:
    raise AssertionError("this probe runs no command")


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(status: str, body: bytes = b"", headers: str = "") -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
        await writer.drain()

    return handle


async def ask(check: HealthCheck, port: int) -> ProbeOutcome:
    return await probe(check, host="127.0.0.1", port=port, reach=LocalReach(), execute=no_command)


@pytest.mark.parametrize(
    ("status", "expected", "ok"),
    [
        ("200 OK", None, True),
        ("204 No Content", None, True),
        ("302 Found", None, True),
        ("404 Not Found", None, False),
        ("500 Oops", None, False),
        ("404 Not Found", 404, True),
        ("302 Found", 200, False),
    ],
)
async def test_the_status_decides_and_redirects_are_answers(status: str, expected: int | None, ok: bool):
    async with serving(answering(status, headers="Location: http://127.0.0.1:1/\r\n")) as port:
        outcome = await ask(HealthCheck(path="/health", expected_status=expected), port)
    assert outcome.ok is ok
    assert f"GET http://127.0.0.1:{port}/health answered {status[:3]}" in outcome.detail
    assert outcome.detail.endswith(f"in {outcome.duration_ms} ms")


async def test_the_request_is_the_one_that_was_asked_for():
    requests: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with serving(handle) as port:
        check = HealthCheck(path="/ready?deep=1&x=%20", host="shop.example", method="HEAD", port=port)
        assert (await ask(check, 1)).ok
    (request,) = requests
    assert request.startswith("HEAD /ready?deep=1&x=%20 HTTP/1.1\r\n")
    assert "\r\nHost: shop.example\r\n" in request


async def test_an_expected_text_must_be_in_the_body():
    async with serving(answering("200 OK", b"all systems go")) as port:
        assert (await ask(HealthCheck(expected_text="systems"), port)).ok
        outcome = await ask(HealthCheck(expected_text="halt"), port)
    assert not outcome.ok
    assert "without the text 'halt'" in outcome.detail


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        ("text/html", "utf-8"),
        ("text/html; charset=utf-8", "utf-8"),
        ("text/html; charset=US-ASCII", "utf-8"),
        ("text/html; charset=iso-8859-1", "iso-8859-1"),
        ("text/html;Charset=ISO-8859-1;level=1", "iso-8859-1"),
        ('text/html; charset = "latin1"', "iso-8859-1"),
        ("text/html; charset=iso-8859-15", "iso-8859-15"),
        ("text/html; charset=windows-1252", "windows-1252"),
        ("text/html; charset=utf-16", "utf-16"),
        ("text/html; charset=UTF-16BE", "utf-16-be"),
    ],
)
async def test_an_expected_text_is_found_in_the_characters_that_the_answer_is_in(
    content_type: str, codec: str
):
    body = "alles größer".encode(codec)
    async with serving(answering("200 OK", body, f"Content-Type: {content_type}\r\n")) as port:
        outcome = await ask(HealthCheck(expected_text="größer"), port)
        assert outcome.ok, outcome.detail
        assert not (await ask(HealthCheck(expected_text="kleiner"), port)).ok


async def test_an_endless_body_ends_the_probe_at_its_bound_or_its_limit():
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(flood) as port:
        assert not (await ask(HealthCheck(expected_text="never"), port)).ok
    async with serving(drip) as port:
        begun = time.monotonic()
        outcome = await ask(HealthCheck(expected_text="never", timeout_seconds=0.4), port)
        assert time.monotonic() - begun < 2
    assert not outcome.ok
    assert "no answer within 0.4 s" in outcome.detail


async def test_a_port_without_a_listener_is_named():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for kind in (HealthCheckKind.HTTP, HealthCheckKind.TCP):
            outcome = await ask(HealthCheck(kind=kind), port)
            assert not outcome.ok
            assert outcome.detail == f"connection refused: nothing listens on port {port}"


async def test_a_server_that_hangs_or_speaks_something_else_is_unhealthy():
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01 not http\r\n\r\n")
        await writer.drain()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(hang) as port:
        outcome = await ask(HealthCheck(timeout_seconds=0.3), port)
        assert "gave no answer within 0.3 s" in outcome.detail
    for handler in (gibberish, hang_up):
        async with serving(handler) as port:
            outcome = await ask(HealthCheck(), port)
            assert not outcome.ok
            assert "does not speak HTTP" in outcome.detail


async def test_a_tcp_probe_needs_no_more_than_an_open_port():
    async with serving(answering("200 OK")) as port:
        outcome = await ask(HealthCheck(kind=HealthCheckKind.TCP), port)
    assert outcome.ok
    assert outcome.detail == f"port {port} accepts connections"


async def test_a_command_probe_passes_the_command_to_a_shell_and_tells_its_output():
    seen: list[list[str]] = []

    async def execute(argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float) -> int:
        seen.append(list(argv))
        on_line("not ready")
        return len(seen) - 1

    check = HealthCheck(kind=HealthCheckKind.COMMAND, command="test -f /ready && echo 'x'")
    first = await probe(check, host="-", port=1, reach=LocalReach(), execute=execute)
    second = await probe(check, host="-", port=1, reach=LocalReach(), execute=execute)
    assert seen[0] == ["/bin/sh", "-c", "test -f /ready && echo 'x'"]
    assert (first.ok, first.detail) == (True, "the health command ended with 0")
    assert (second.ok, second.detail) == (False, "the health command ended with 1")
    assert (first.output, second.output) == ("", "not ready")


async def test_of_a_command_that_writes_without_end_a_few_lines_are_kept():
    async def execute(argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float) -> int:
        for number in range(10_000):
            on_line(f"{number} " + "x" * 10_000)
        return 1

    check = HealthCheck(kind=HealthCheckKind.COMMAND, command="yes")
    outcome = await probe(check, host="-", port=1, reach=LocalReach(), execute=execute)
    assert [line[:5] for line in outcome.output.splitlines()] == ["9997 ", "9998 ", "9999 "]
    assert len(outcome.output) < 2000


@pytest.mark.parametrize("error", [CommandFailed("the container does not run"), DeadlineExceeded("too long")])
async def test_a_command_that_cannot_run_or_takes_too_long_is_unhealthy(error: Exception):
    async def execute(argv: Sequence[str], on_line: Callable[[str], None], timeout_seconds: float) -> int:
        raise error

    check = HealthCheck(kind=HealthCheckKind.COMMAND, command="true", timeout_seconds=2)
    outcome = await probe(check, host="-", port=1, reach=LocalReach(), execute=execute)
    assert not outcome.ok
    assert outcome.detail in ("the container does not run", "no answer within 2 s")


async def test_without_a_check_running_is_enough():
    assert (await ask(HealthCheck(kind=HealthCheckKind.NONE), 1)).ok
