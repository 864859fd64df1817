"""Programs end when their caller does, and say everything before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from adapters import processes
from adapters.processes import KEPT_LINES, run
from domain.errors import DeadlineExceeded, StartUpError
from tests.harness.waiting import eventually

pytestmark = pytest.mark.integration

SOON = timedelta(seconds=20)
ROOT = Path(__file__).parents[3]


def is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Collected(list[str]):
    async def add(self, line: str) -> None:
        await asyncio.sleep(0)
        self.append(line)


async def test_output_and_error_come_merged_line_by_line_with_the_exit_code() -> None:
    lines = Collected()
    completed = await run(
        ["sh", "-c", "echo one; echo two >&2; printf three; exit 7"], timeout=SOON, on_line=lines.add
    )
    assert completed.exit_code == 7
    assert lines == ["one", "two", "three"]
    assert completed.output == "one\ntwo\nthree"


async def test_of_long_lines_no_more_is_kept_than_memory_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "KEPT_CHARACTERS", 1000)
    printed = "for n in range(100): print(n, 'x' * 90)"
    completed = await run([sys.executable, "-c", printed], timeout=SOON, kept_lines=50)
    lines = completed.output.splitlines()
    assert [line.partition(" ")[0] for line in lines] == [str(number) for number in range(90, 100)]
    assert sum(map(len, lines)) <= 1000


async def test_only_the_last_lines_are_kept_while_every_line_is_delivered() -> None:
    count = 0

    def add(_: str) -> None:
        nonlocal count
        count += 1

    completed = await run(["seq", "100000"], timeout=SOON, on_line=add)
    assert count == 100_000
    assert completed.output.split("\n") == [str(number) for number in range(100_001 - KEPT_LINES, 100_001)]


async def test_a_slow_reader_loses_nothing_of_a_program_that_has_ended_long_before() -> None:
    lines: list[str] = []

    async def slow(line: str) -> None:
        await asyncio.sleep(0.03)
        lines.append(line)

    await run(["seq", "100"], timeout=SOON, on_line=slow)
    assert lines == [str(number) for number in range(1, 101)]


async def test_input_environment_and_folder_reach_the_program(tmp_path: Path) -> None:
    content = b"x" * 300_000
    completed = await run(
        ["sh", "-c", "wc -c; pwd; env"],
        timeout=SOON,
        input=content,
        cwd=tmp_path,
        environment={"PATH": os.environ["PATH"], "ONLY": "this"},
    )
    lines = completed.output.split("\n")
    assert lines[:2] == ["300000", str(tmp_path)]
    assert "ONLY=this" in lines
    assert not any(line.startswith("HOME=") for line in lines)


async def test_without_input_the_program_reads_nothing_and_does_not_wait() -> None:
    assert (await run(["cat"], timeout=SOON)).output == ""


async def test_a_program_that_is_not_installed_is_named() -> None:
    with pytest.raises(StartUpError, match="no-such-program"):
        await run(["no-such-program"], timeout=SOON)


async def test_a_timeout_ends_the_program_and_tells_what_it_said_last() -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"sh ran longer than 0\.3 s") as caught:
        await run(["sh", "-c", "echo begun; exec sleep 600"], timeout=timedelta(seconds=0.3))
    assert caught.value.detail == "begun"
    assert time.monotonic() - started < 4


async def test_cancelling_ends_the_program_and_its_children_before_it_returns(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ > {pids}.tmp; mv {pids}.tmp {pids}; wait"
    task = asyncio.create_task(run(["sh", "-c", script], timeout=SOON))
    await eventually(pids.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    program, child = (int(pid) for pid in reversed(pids.read_text().split()))
    assert not is_running(program)
    # The child has its signal by now; the kernel may still be busy with its end.
    assert await eventually(lambda: not is_running(child))


async def test_a_program_that_ignores_the_polite_signal_is_killed_even_if_cancelled_twice(
    tmp_path: Path,
) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; echo $$ > {ready}.tmp; mv {ready}.tmp {ready}; while :; do sleep 1; done"
    task = asyncio.create_task(run(["sh", "-c", script], timeout=timedelta(seconds=60)))
    await eventually(ready.exists)
    process_id = int(ready.read_text())
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(process_id)


async def test_a_reader_of_lines_that_fails_ends_the_program(tmp_path: Path) -> None:
    def fail(line: str) -> None:
        raise OSError(line)

    started = time.monotonic()
    with pytest.raises(OSError, match="begun"):
        await run(["sh", "-c", "echo begun; exec sleep 600"], timeout=SOON, on_line=fail)
    assert time.monotonic() - started < 4


async def test_a_child_left_in_the_background_neither_blocks_nor_survives() -> None:
    started = time.monotonic()
    completed = await run(["sh", "-c", "sleep 600 & echo $!"], timeout=SOON)
    assert completed.exit_code == 0
    assert time.monotonic() - started < 5
    await eventually(lambda: not is_running(int(completed.output)))


WORKER = """
import asyncio, shutil, sys
from datetime import timedelta
from adapters.processes import run
found = shutil.which
if sys.argv[1] == "prctl":
    shutil.which = lambda name, path=None: None if name == "setpriv" else found(name, path=path)
show = lambda line: print(line, flush=True)
asyncio.run(run(["sh", "-c", "echo $$; exec sleep 600"], timeout=timedelta(seconds=60), on_line=show))
"""


@pytest.mark.parametrize("means", ["setpriv", "prctl"])
async def test_a_program_dies_with_a_worker_that_is_killed(means: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, means, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert worker.stdout is not None
    process_id = int(await asyncio.wait_for(worker.stdout.readline(), 20))
    assert is_running(process_id)
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    assert await eventually(lambda: not is_running(process_id))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def zombies() -> list[str]:
    """Ended children of this process that nobody reaped."""
    mine = f") Z {os.getpid()} "
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if mine in (path / "stat").read_text():
                found.append(path.name)
    return found


async def test_many_runs_leave_no_open_files_and_no_zombies() -> None:
    await run(["true"], timeout=SOON)
    before, dead = open_files(), set(zombies())
    await asyncio.gather(*(run(["cat"], timeout=SOON, input=b"x") for _ in range(30)))
    assert await eventually(lambda: open_files() <= before)
    assert await eventually(lambda: set(zombies()) <= dead)
