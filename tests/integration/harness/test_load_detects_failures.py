"""The load generator notices every way in which a server can fail its visitors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from tests.harness.http_connection import FailureKind
from tests.harness.load import LoadGenerator
from tests.harness.load_report import Latencies
from tests.harness.processes import refusing_port
from tests.harness.waiting import eventually
from tests.integration.harness.conftest import Handler, StartApplication

Serve = Callable[[Handler], Awaitable[str]]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv1"


def small_load(url: str, **options) -> LoadGenerator:
    """Fast requests only, unless asked for more."""
    return LoadGenerator(url, **{"rate_per_second": 50, "slow_every_seconds": 0, "websockets": 0, **options})


async def failure_kinds(load: LoadGenerator, count: int = 3) -> set[FailureKind]:
    """The kinds of failure of a load that is left after some."""
    before = datetime.now(UTC)
    async with load:
        await eventually(lambda: len(load.failures) >= count, 20)
    assert all(before <= failure.started_at <= failure.at <= datetime.now(UTC) for failure in load.failures)
    assert load.report().failed >= count
    return {failure.kind for failure in load.failures}


def answering(*parts: bytes, abort: bool = False) -> Handler:
    """Reads one request, answers these bytes, and closes or resets."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        await writer.drain()
        if abort:
            writer.transport.abort()

    return handle


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (answering(b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops"), FailureKind.STATUS),
        (answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), FailureKind.STATUS),
        (answering(abort=True), FailureKind.RESET),
        (answering(), FailureKind.RESET),
        (answering(b"HTTP/1.1 200 OK\r\nConte"), FailureKind.RESET),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"), FailureKind.SHORT_BODY),
        (
            answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            FailureKind.SHORT_BODY,
        ),
        (answering(b"HTTP/1.1 200 OK\r\n\r\nas long as it lasts"), FailureKind.PROTOCOL),
        (answering(b"SSH-2.0-OpenSSH\r\n\r\n"), FailureKind.PROTOCOL),
    ],
    ids=[
        "500",
        "302",
        "reset",
        "closed",
        "half a head",
        "half a body",
        "half the chunks",
        "no length",
        "not HTTP",
    ],
)
@pytest.mark.parametrize("fresh_share", [0.0, 1.0], ids=["kept connections", "fresh connections"])
async def test_a_bad_answer_is_a_failure(
    serve: Serve, handler: Handler, kind: FailureKind, fresh_share: float
) -> None:
    load = small_load(await serve(handler), fresh_share=fresh_share)

    assert await failure_kinds(load) == {kind}
    assert load.report().succeeded == 0
    with pytest.raises(AssertionError, match=f"FAILURE .* {kind} /"):
        load.report().assert_no_failures()


async def test_a_server_that_is_not_there_is_a_failure_of_every_request() -> None:
    assert await failure_kinds(small_load(f"http://127.0.0.1:{refusing_port()}")) == {FailureKind.CONNECT}


async def test_a_server_that_hangs_is_a_timeout_and_does_not_hold_up_the_next_requests(serve: Serve) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up

    load = small_load(await serve(hang), limit_over_expected_seconds=0.3)

    assert await failure_kinds(load, count=10) == {FailureKind.TIMEOUT}
    # Closed-loop, ten timeouts of 0.3 s in a row would take 3 s.
    assert load.report().duration.total_seconds() < 2.5


async def test_one_failure_among_many_good_answers_is_found(serve: Serve) -> None:
    served = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        while await reader.readuntil(b"\r\n\r\n"):
            served += 1
            if served == 20:
                return
            writer.write(GOOD)

    async with small_load(await serve(handle), rate_per_second=200) as load:
        await eventually(lambda: load.succeeded >= 40, 20)

    assert [failure.kind for failure in load.failures] == [FailureKind.RESET]


async def test_an_idle_connection_that_the_server_closed_is_opened_again_without_a_failure(
    serve: Serve,
) -> None:
    async def close_soon_after_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(GOOD)

    url = await serve(close_soon_after_the_answer)
    async with small_load(url, rate_per_second=10, fresh_share=0.0) as load:
        await eventually(lambda: load.succeeded >= 5, 20)

    load.report().assert_no_failures(minimum_requests=5)
    assert load.report().reopened >= 4


async def test_a_websocket_that_is_cut_is_a_failure(start_application: StartApplication) -> None:
    application = await start_application()
    async with LoadGenerator(application.url, rate_per_second=5, slow_every_seconds=0, websockets=2) as load:
        await eventually(lambda: load.report().websocket_messages >= 4, 20)
        application.process.kill()
        await eventually(lambda: websocket_failures(load, FailureKind.WEBSOCKET_CUT) == 2, 20)
        await eventually(lambda: websocket_failures(load, FailureKind.WEBSOCKET_REFUSED) >= 2, 20)

    assert "ended without a close frame" in load.report().summary()


async def test_a_websocket_sent_away_is_a_failure_unless_that_is_expected(
    start_application: StartApplication,
) -> None:
    for expected in (False, True):
        application = await start_application()
        load = small_load(application.url, rate_per_second=1, websockets=1, accept_going_away=expected)
        async with load:
            await at_least(1, load, "websocket_messages")
            await application.process.terminate()
            await at_least(1, load, "websockets_sent_away")

        cut = [failure.detail for failure in load.failures if failure.kind is FailureKind.WEBSOCKET_CUT]
        assert cut == ([] if expected else ["close frame 1001"])


async def test_a_websocket_that_is_refused_is_a_failure(serve: Serve) -> None:
    url = await serve(answering(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
    load = small_load(url, websockets=1)
    async with load:
        await eventually(lambda: websocket_failures(load, FailureKind.WEBSOCKET_REFUSED) >= 1, 20)

    assert any("502" in failure.detail for failure in load.failures if failure.path == "/ws")


def test_a_load_that_asked_nothing_does_not_count_as_one_without_failures() -> None:
    with pytest.raises(AssertionError, match="too little load"):
        LoadGenerator("http://127.0.0.1:9").report().assert_no_failures()


def test_percentiles_are_taken_by_nearest_rank() -> None:
    assert Latencies.of([number / 1000 for number in range(100, 0, -1)]) == Latencies(50.0, 95.0, 99.0, 100.0)
    assert Latencies.of([0.002]) == Latencies(2.0, 2.0, 2.0, 2.0)


async def at_least(count: int, load: LoadGenerator, what: str) -> None:
    """Waits for a number in the load's report."""
    await eventually(lambda: getattr(load.report(), what) >= count, 20, describe=f"{count} {what}")


def websocket_failures(load: LoadGenerator, kind: FailureKind) -> int:
    """How many failures of this kind there are on the WebSocket's path."""
    return sum(failure.path == "/ws" and failure.kind is kind for failure in load.failures)
