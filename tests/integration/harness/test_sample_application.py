"""The sample application does what a well-behaved one does, so that every failure is the platform's."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.http_connection import HttpConnection
from tests.harness.images import SAMPLE_APPLICATION_FOLDER
from tests.harness.load import LoadGenerator
from tests.harness.processes import ManagedProcess
from tests.harness.waiting import eventually
from tests.harness.websocket_session import WebSocketSession
from tests.integration.harness.conftest import StartApplication


async def test_each_path_answers_what_it_promises(start_application: StartApplication) -> None:
    application = await start_application(VERSION="v7", GREETING="hello", HEALTH_STATUS="503")

    assert await application.get("/") == (200, "v7")
    assert await application.get("/health") == (503, "health")
    assert await application.get("/pid") == (200, str(application.process.pid))
    assert await application.get("/nothing") == (404, "not found")
    assert json.loads((await application.get("/env"))[1])["GREETING"] == "hello"
    began = time.monotonic()
    assert await application.get("/slow?seconds=0.2") == (200, "v7")
    assert time.monotonic() - began >= 0.2


async def test_its_websocket_echoes_short_and_long_text_and_answers_pings(
    start_application: StartApplication,
) -> None:
    application = await start_application()

    async with WebSocketSession(application.target) as session:
        for length in (0, 125, 126, 65_535, 65_536):
            text = "é" * (length // 2)
            assert await session.echo(text) == text
        async with asyncio.timeout(10):
            await (await session.connection.ping())


async def test_a_load_passes_without_a_failure_and_sees_the_version(
    start_application: StartApplication,
) -> None:
    application = await start_application(VERSION="v3")
    load = LoadGenerator(
        application.url,
        rate_per_second=150,
        slow_every_seconds=0.2,
        slow_seconds=0.5,
        websockets=2,
        websocket_seconds=0.5,
    )
    async with load:
        await eventually(lambda: load.succeeded >= 200 and load.report().websocket_sessions >= 2, 20)

    report = load.report()
    report.assert_no_failures(minimum_requests=200)
    assert [seen.version for seen in report.versions] == ["v3"]
    assert report.versions[0].count == report.succeeded == report.started
    assert report.slow_succeeded >= 3
    assert report.latency_ms.p50 < 500


async def test_a_termination_finishes_what_has_begun_and_tells_websockets(
    start_application: StartApplication,
) -> None:
    application = await start_application()
    idle = await HttpConnection.open(application.target)
    assert (await idle.get("/")).status == 200
    session = WebSocketSession(application.target)
    await session.open()
    slow = asyncio.create_task(application.get("/slow?seconds=1"))
    # An answer on a later connection shows that the slow request has arrived.
    await session.echo("before")
    await application.get("/")

    ending = asyncio.create_task(application.process.terminate(20))
    await application.process.wait_for_output("stopping")

    assert await application.get("/") == (200, "v1"), "it still listens while a request is open"
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(10):
            await session.connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    await eventually(lambda: idle.was_closed_while_idle, 10)
    assert not slow.done()
    assert await slow == (200, "v1")
    assert await ending == 0
    assert not await application.accepts_connections()


async def test_a_termination_under_load_fails_nothing_that_was_open(
    start_application: StartApplication,
) -> None:
    application = await start_application()
    load = LoadGenerator(
        application.url,
        slow_every_seconds=0.1,
        slow_seconds=1.0,
        websockets=3,
        accept_going_away=True,
    )
    async with load:
        await eventually(lambda: load.succeeded >= 100 and load.report().slow_succeeded >= 1, 20)
        # Nothing new starts from here on, but ten slow requests are open; the server ends under them.
        stopping = asyncio.create_task(load.stop())
        assert await application.process.terminate(20) == 0
        await stopping

    load.report().assert_no_failures(minimum_requests=100)
    assert load.report().slow_succeeded >= 5
    assert load.report().succeeded == load.report().started


async def test_it_waits_and_exits_as_its_environment_says(
    start_application: StartApplication, tmp_path: Path
) -> None:
    began = time.monotonic()
    await start_application(START_DELAY_SECONDS="0.3")
    assert time.monotonic() - began >= 0.3

    argv = [sys.executable, str(SAMPLE_APPLICATION_FOLDER / "app.py")]
    with ManagedProcess(argv, env={"EXIT_AT_ONCE": "1"}, log_path=tmp_path / "exits") as process:
        assert await process.wait(20) == 3
        assert "exits at once because EXIT_AT_ONCE=1" in process.output


async def test_it_tells_which_numbered_requests_were_open(start_application: StartApplication) -> None:
    application = await start_application()
    assert await application.get("/?request=1") == (200, "v1")

    async def none_is_open() -> bool:
        return await application.get("/open") == (200, "[]")

    await eventually(none_is_open)
    began = time.time()
    slow = asyncio.create_task(application.get("/slow?seconds=2&request=2"))
    async with WebSocketSession(application.target, "/ws?request=3") as session:
        await session.echo("hello")

        async def both_are_open() -> bool:
            return await application.get("/open") in ((200, "[2, 3]"), (200, "[3, 2]"))

        await eventually(both_are_open)
        await slow

        async def one_is_over() -> bool:
            return await application.get("/open") == (200, "[3]")

        await eventually(one_is_over)
        assert sorted(json.loads((await application.get(f"/open?since={began}"))[1])) == [2, 3]


async def test_a_hanging_health_check_does_not_hold_up_other_requests_or_the_end(
    start_application: StartApplication,
) -> None:
    application = await start_application(HEALTH_HANG="1")
    health = asyncio.create_task(application.get("/health"))

    assert await application.get("/") == (200, "v1")
    assert not health.done()
    assert await application.process.terminate(20) == 0
    await health
