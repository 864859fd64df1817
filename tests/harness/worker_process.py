"""A worker of Seaway as a process that tests start, kill and start again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.harness.planned_faults import Fault, FaultFile
from tests.harness.processes import REPOSITORY_ROOT, ManagedProcess
from tests.harness.waiting import eventually

READY_LIMIT_SECONDS = 60.0


class WorkerProcess:
    """The one worker of a task queue; `faults` may make it die at an exact point."""

    def __init__(self, task_queue: str, folder: Path, environment: Mapping[str, str]) -> None:
        """`folder` takes its log and its temporary files. Starts nothing yet."""
        self.task_queue = task_queue
        self.temporary_folder = folder / "tmp" / task_queue
        self.faults = FaultFile.of(folder / "faults", task_queue)
        self._log_path = folder / f"{task_queue}.log"
        self._environment = {
            **environment,
            "TMPDIR": str(self.temporary_folder),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(REPOSITORY_ROOT),
        }
        self._process: ManagedProcess | None = None

    @property
    def process(self) -> ManagedProcess:
        """The running process, or the last one."""
        if self._process is None:
            raise RuntimeError("the worker was not started")
        return self._process

    def launch(self) -> None:
        """Starts a new process and does not wait for it. Call it from the main thread."""
        self.temporary_folder.mkdir(parents=True, exist_ok=True)
        self._process = ManagedProcess(
            [sys.executable, "-m", "tests.harness.killing_worker", self.task_queue, str(self.faults.path)],
            log_path=self._log_path,
            env=self._environment,
            cwd=REPOSITORY_ROOT,
        )

    async def start(self) -> None:
        """Starts a new process and returns when it polls."""
        self.launch()
        await self.process.wait_for_output("^Ready", READY_LIMIT_SECONDS)

    async def started(self) -> None:
        """Starts it if it does not run."""
        if self._process is None or not self._process.is_running:
            await self.start()

    def plan(self, fault: Fault) -> None:
        """The next time that this point is reached, this happens."""
        self.faults.plan(fault)

    async def died(self, timeout_seconds: float = 60.0) -> None:
        """Returns when the planned fault has killed it."""
        code = await self.process.wait(timeout_seconds)
        assert code == -9, f"the worker ended with {code} instead of being killed:\n{self.process.tail()}"

    async def holds(self, timeout_seconds: float = 60.0) -> None:
        """Returns when an activity waits at the planned point."""
        await eventually(
            lambda: self.faults.happened, timeout_seconds, describe=lambda: f"a hold:\n{self.process.tail()}"
        )

    def release(self) -> None:
        """Lets a held activity go on, and plans nothing any more."""
        self.faults.clear()

    def kill(self) -> None:
        """SIGKILL to the worker alone; what it started has to end by itself."""
        self.process.kill()

    async def stop(self) -> None:
        """SIGTERM, as a service manager sends it."""
        assert await self.process.terminate() == 0, self.process.tail()

    def end(self) -> None:
        """Leaves nothing of it, however it stands."""
        if self._process is not None:
            self._process.kill_group()
