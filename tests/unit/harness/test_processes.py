"""Processes of the harness are watched, killed, and never outlive their parent."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.harness.processes import REPOSITORY_ROOT, ManagedProcess, free_port, refusing_port
from tests.harness.waiting import eventually

SLEEPS = "import time; print('ready', flush=True); time.sleep(600)"


async def test_output_is_awaited_and_a_termination_gives_the_exit_code(tmp_path: Path) -> None:
    with ManagedProcess([sys.executable, "-c", SLEEPS], log_path=tmp_path / "log") as process:
        assert (await process.wait_for_output("^rea(dy)$", 20)).group(1) == "dy"
        assert process.is_running

        assert await process.terminate(20) == -signal.SIGTERM


async def test_a_process_that_ends_without_the_awaited_output_is_reported_at_once(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('no port left'); raise SystemExit(4)"]
    message = r"ended with 4 before it wrote 'ready':\nno port left"
    with (
        ManagedProcess(argv, log_path=tmp_path / "log") as process,
        pytest.raises(RuntimeError, match=message),
    ):
        await process.wait_for_output("ready", 60)


async def test_output_of_an_earlier_process_in_the_same_log_is_not_this_ones(tmp_path: Path) -> None:
    for text in ("first", "second"):
        argv = [sys.executable, "-c", f"print('{text}')"]
        with ManagedProcess(argv, log_path=tmp_path / "log") as process:
            await process.wait(20)
            assert process.output == f"{text}\n"


async def test_a_kill_hits_the_process_alone_and_leaving_ends_its_children_too(tmp_path: Path) -> None:
    parent = f"""
import subprocess, sys, time
print(subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]).pid, flush=True)
time.sleep(600)
"""
    with ManagedProcess([sys.executable, "-c", parent], log_path=tmp_path / "log") as process:
        child = int((await process.wait_for_output(r"^(\d+)$", 20)).group(1))
        process.kill()
        assert process.returncode == -signal.SIGKILL
        assert is_alive(child)

    assert await eventually(lambda: not is_alive(child), 10)


async def test_a_process_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = f"""
import sys, time
from pathlib import Path
from tests.harness.processes import ManagedProcess
child = ManagedProcess([sys.executable, '-c', {SLEEPS!r}], log_path=Path({str(tmp_path / "child")!r}))
print(child.pid, flush=True)
time.sleep(600)
"""
    environment = {"PYTHONPATH": str(REPOSITORY_ROOT)}
    argv = [sys.executable, "-c", starter]
    with ManagedProcess(argv, log_path=tmp_path / "log", env=environment) as process:
        child = int((await process.wait_for_output(r"^(\d+)$", 20)).group(1))
        process.kill()

        assert await eventually(lambda: not is_alive(child), 10)


def test_free_ports_are_all_different() -> None:
    assert len({free_port() for _ in range(50)}) == 50


def test_a_refusing_port_refuses_and_nobody_else_can_get_it() -> None:
    port = refusing_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z" and os.getpgid(pid) > 0
