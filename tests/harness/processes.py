"""Processes that tests start, watch and kill. None of them outlives the test process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.waiting import eventually

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1  # prctl(2)

_libc = ctypes.CDLL(None, use_errno=True)
_handed_out: set[int] = set()
_held: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens; never the same twice in this process."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def refusing_port() -> int:
    """A TCP port of 127.0.0.1 that refuses connections for as long as this process lives.

    It is bound and nobody listens, so nobody else can get it either.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    port: int = held.getsockname()[1]
    return port


def dies_with_parent() -> Callable[[], None]:
    """A `preexec_fn` after which the kernel kills the child when its parent dies (prctl(2)).

    The kernel means the parent *thread*, so the child has to be started from the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start processes from the main thread: they would die with this thread")
    parent = os.getpid()

    def set_parent_death_signal() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the signal was set
            os._exit(1)

    return set_parent_death_signal


class ManagedProcess:
    """One process, started at once, in its own process group, with its output in a file.

    As a context manager it leaves nothing of its group alive.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """`env` is added to the environment of the tests. The log is appended to, never cut."""
        self.argv = list(argv)
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            # What an earlier process wrote to the same file is not this one's output.
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.argv,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the process group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.returncode is None

    @property
    def output(self) -> str:
        """What this process has written so far."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone; no error when it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel's out-of-memory killer would; its children live on."""
        self._process.kill()
        self._process.wait(timeout=10)

    def kill_group(self) -> None:
        """SIGKILL to the process and all its children that stayed in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    async def terminate(self, timeout_seconds: float = 30.0) -> int:
        """SIGTERM, then the exit code; an AssertionError when it runs on after the limit."""
        self._process.terminate()
        return await self.wait(timeout_seconds)

    async def wait(self, timeout_seconds: float) -> int:
        """The exit code once the process has ended by itself."""
        await eventually(
            lambda: not self.is_running,
            timeout_seconds,
            interval_seconds=0.02,
            describe=lambda: f"the end of {self.argv[0]} (pid {self.pid})\n{self.tail()}",
        )
        code = self.returncode
        if code is None:
            raise AssertionError("the process ran again after its end")
        return code

    async def wait_for_output(self, pattern: str, timeout_seconds: float = 30.0) -> re.Match[str]:
        """The first match of a regular expression in the output; fails at once when the process has ended."""

        def look() -> re.Match[str] | None:
            ended = not self.is_running  # looked at before the output, which may be complete only then
            found = re.search(pattern, self.output, re.MULTILINE)
            if found is None and ended:
                raise RuntimeError(
                    f"{self.argv[0]} ended with {self.returncode} before it wrote {pattern!r}:\n{self.tail()}"
                )
            return found

        return await eventually(
            look, timeout_seconds, describe=lambda: f"{pattern!r} in the output:\n{self.tail()}"
        )

    def tail(self, lines: int = 30) -> str:
        """The last lines of the output."""
        return "\n".join(self.output.splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_group()


class SeawayProcess(ManagedProcess):
    """The `seaway` command of this checkout, run by the interpreter of the tests."""

    def __init__(
        self, arguments: Sequence[str], *, log_path: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """`arguments` as a user would write them, for example `["up", "--port", "0"]`."""
        super().__init__(
            [sys.executable, "-m", "seaway", *arguments],
            log_path=log_path,
            env={"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY_ROOT), **(env or {})},
        )
