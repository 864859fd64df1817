"""Seaway as a process in the background, found again by its pid file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from domain.errors import StartUpError
from seaway.demo.ports import Ports

START_LIMIT_SECONDS = 300.0  # the first start builds the proxy's image
STOP_LIMIT_SECONDS = 60.0  # longer than a worker's 30 s for its running steps


def command(data_folder: Path, ports: Ports) -> list[str]:
    """What starts Seaway; the program beside the Python that runs this."""
    return [
        str(Path(sys.executable).parent / "seaway"),
        "up",
        f"--data-dir={data_folder}",
        f"--port={ports.api}",
        f"--http-port={ports.http}",
        f"--https-port={ports.https}",
    ]


class BackgroundSeaway:
    """One Seaway in the background. Its pid, log and ports are files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log_path = folder / "seaway.log"
        self.ports_path = folder / "ports.json"
        self._pid_path = folder / "seaway.pid"

    def pid(self) -> int | None:
        """The process that `start` started, if it still runs."""
        try:
            pid, born = map(int, self._pid_path.read_text().split())
        except (OSError, ValueError):
            return None
        return pid if _born(pid) == born else None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Starts it, with this on top of our environment; `wait_until_ready` says how that went."""
        with self.log_path.open("wb") as log:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | dict(environment or {}),
            )
        self._pid_path.write_text(f"{process.pid} {_born(process.pid)}\n")
        process.returncode = 0  # it is meant to outlive this process; Popen would complain about that

    def wait_until_ready(self) -> None:
        """Returns once it printed `Ready`. Raises StartUpError with the end of its log otherwise."""
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not self._is_ready():
            if self.pid() is None:
                self._pid_path.unlink(missing_ok=True)
                raise StartUpError(f"Seaway did not start. {self._end_of_log()}")
            if time.monotonic() >= deadline:
                self.stop()
                raise StartUpError(
                    f"Seaway was not ready after {START_LIMIT_SECONDS:.0f} s. {self._end_of_log()}"
                )
            time.sleep(0.05)

    def stop(self) -> bool:
        """Ends it as Ctrl-C does, and by force if it does not end; False where none ran."""
        pid = self.pid()
        if pid is None:
            self._pid_path.unlink(missing_ok=True)
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_LIMIT_SECONDS
        while self.pid() is not None:
            if time.monotonic() >= deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                break
            time.sleep(0.05)
        self._pid_path.unlink(missing_ok=True)
        return True

    def _is_ready(self) -> bool:
        return any(line.startswith("Ready") for line in self._log_lines())

    def _log_lines(self) -> list[str]:
        return self.log_path.read_text(errors="replace").splitlines()

    def _end_of_log(self) -> str:
        return "\n".join([f"The end of {self.log_path}:", *self._log_lines()[-15:]])


def _born(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with the pid it names a process for good.

    None where there is no such process, or only its remains (proc(5), fields 3 and 22).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])
