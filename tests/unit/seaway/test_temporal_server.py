"""The embedded Temporal server's keeper, with a program that only waits in place of the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from domain.errors import StartUpError
from seaway import temporal_server
from seaway.settings import Settings
from seaway.temporal_server import EmbeddedTemporal
from tests.harness.waiting import eventually


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> asyncio.Event:
    """While it is set, the program cannot be found."""
    program = tmp_path / "temporal"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)
    is_missing = asyncio.Event()

    def find() -> str:
        if is_missing.is_set():
            raise StartUpError("The program 'temporal' is missing.")
        return str(program)

    monkeypatch.setattr(temporal_server, "find_binary", find)
    monkeypatch.setattr(temporal_server, "require_free", lambda *_, **__: None)
    monkeypatch.setattr(temporal_server, "LONGEST_PAUSE_SECONDS", 0.05)
    return is_missing


async def test_a_server_that_cannot_be_started_again_at_once_is_started_later_and_ended_at_the_end(
    missing: asyncio.Event, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "seaway.temporal")
    server = EmbeddedTemporal(Settings(data_dir=tmp_path))
    await server.start()
    try:
        first = server.pid
        assert first is not None
        missing.set()
        os.kill(first, signal.SIGKILL)

        async def was_tried_twice() -> bool:
            return sum("cannot be started again" in one.message for one in caplog.records) >= 2

        async def runs_again() -> bool:
            return server.pid not in (None, first)

        await eventually(was_tried_twice)
        missing.clear()
        await eventually(runs_again)
        second = server.pid
    finally:
        await server.stop()
    assert not os.path.exists(f"/proc/{second}")  # noqa: ASYNC240, PTH110
