"""Commands on a real server: what goes in, what comes out, and that none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.ssh import commands
from adapters.ssh.connection import ServerAddress, SshConnection, SshSettings
from domain.errors import DeadlineExceeded, NotPossibleNow, ServerUnreachable
from tests.harness.ssh_daemon import SshDaemon
from tests.harness.ssh_servers import SshServer
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import Connect, target_of, way_to

LIMIT = timedelta(seconds=30)


@pytest.fixture(scope="module")
async def connection(shared_daemon: SshDaemon) -> AsyncIterator[SshConnection]:
    made = SshConnection(target_of(shared_daemon))
    yield made
    await made.close()


def processes_with(text: str) -> list[str]:
    """Command lines on this machine that hold the text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in line:
                found.append(line)
    return found


async def test_exit_code_and_both_streams_come_back(connection: SshConnection):
    lines: list[str] = []
    completed = await connection.run(
        ["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=LIMIT, on_line=lines.append
    )
    assert (completed.exit_code, completed.stdout, completed.stderr) == (7, "out\n", "err\n")
    assert sorted(lines) == ["err", "out"]


async def test_arguments_arrive_as_they_are(connection: SshConnection):
    arguments = ["a b", "$HOME", "`id`", "it's", '"', "\\", "", "*", "ünï\ncode", "-n", "; rm -rf /"]
    completed = await connection.run(["printf", "%s\\0", *arguments], timeout=LIMIT)
    assert completed.stdout.split("\0")[:-1] == arguments


@pytest.mark.parametrize("size", [1, 200_000])
async def test_input_arrives_whole_and_ends(connection: SshConnection, size: int):
    content = bytes(range(256)) * size
    completed = await connection.run(["sha256sum"], timeout=LIMIT, input=content)
    local = await asyncio.create_subprocess_exec(
        "sha256sum", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    expected, _ = await local.communicate(content)
    assert completed.stdout == expected.decode()


async def test_input_that_the_command_does_not_read_is_no_trouble(connection: SshConnection):
    completed = await connection.run(["echo", "done"], timeout=LIMIT, input=b"line\n" * 400_000)
    assert (completed.exit_code, completed.stdout) == (0, "done\n")


async def test_without_input_a_command_reads_its_end_at_once(connection: SshConnection):
    assert (await connection.run(["wc", "-c"], timeout=LIMIT)).stdout.strip() == "0"


async def test_commands_that_end_before_they_are_given_anything(server: SshServer):
    connection = SshConnection(way_to(server))
    for _ in range(30):
        completed = await connection.run(["true"], timeout=LIMIT, input=b"unread" * 20_000)
        assert completed.exit_code == 0
    await connection.close()


async def test_a_program_that_does_not_exist_is_exit_code_127(connection: SshConnection):
    assert (await connection.run(["no-such-program"], timeout=LIMIT)).exit_code == 127


async def test_a_command_killed_by_a_signal_has_the_code_that_shells_give(connection: SshConnection):
    assert (await connection.run(["sh", "-c", "kill -KILL $$"], timeout=LIMIT)).exit_code == 137


async def test_much_output_is_kept_to_its_end_and_heard_in_full(connection: SshConnection):
    count = 0

    def hear(_line: str) -> None:
        nonlocal count
        count += 1

    completed = await connection.run(["seq", "800000"], timeout=LIMIT, on_line=hear)
    assert count == 800_000
    assert completed.stdout.endswith("\n800000\n")
    assert len(completed.stdout) <= 4 * 1024 * 1024


async def test_output_without_end_is_given_up(connection: SshConnection, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commands, "MOST_BYTES", 1_000_000)
    mark = uuid.uuid4().hex
    with pytest.raises(NotPossibleNow, match="more than 0 MiB and was ended"):
        await connection.run(["sh", "-c", f"yes {mark}"], timeout=LIMIT)
    await eventually(lambda: not processes_with(mark))


async def test_a_command_that_takes_too_long_is_ended_with_its_children(connection: SshConnection):
    mark = uuid.uuid4().hex
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="2 s"):
        await connection.run(
            ["sh", "-c", f"sh -c 'sleep 61; : {mark}' & sleep 60; : {mark}"], timeout=timedelta(seconds=2)
        )
    assert time.monotonic() - begun < 10
    await eventually(lambda: processes_with(mark) == [], timeout_seconds=2)


async def test_a_command_that_no_server_takes_in_time_is_no_command_that_took_too_long(
    shared_daemon: SshDaemon, connect: Connect
):
    """The one may work in a moment, the other would take too long again."""
    patient = SshSettings(login_seconds=30)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = ServerAddress("127.0.0.1", deaf.getsockname()[1])
        connection = connect(shared_daemon, patient, address=address)
        with pytest.raises(ServerUnreachable, match=r"took no command within 0\.2 s") as refused:
            await connection.run(["true"], timeout=timedelta(seconds=0.2))
    assert refused.value.retryable


@pytest.mark.drill
async def test_a_cancelled_command_is_ended_even_when_it_ignores_being_asked(connection: SshConnection):
    mark = uuid.uuid4().hex
    started = asyncio.Event()
    running = asyncio.create_task(
        connection.run(
            ["sh", "-c", f"trap '' TERM; echo on; while :; do sleep 1; done; : {mark}"],
            timeout=LIMIT,
            on_line=lambda _line: started.set(),
        )
    )
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # The server says so a moment before the last of the killed is gone.
    await eventually(lambda: processes_with(mark) == [], timeout_seconds=2)


async def test_a_command_cancelled_while_it_starts_leaves_nothing(connection: SshConnection):
    mark = uuid.uuid4().hex
    await connection.connect()
    for steps in range(0, 12, 2):
        running = asyncio.create_task(connection.run(["sh", "-c", f"sleep 60; : {mark}"], timeout=LIMIT))
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await eventually(lambda: processes_with(mark) == [])


async def test_a_command_ends_when_its_link_breaks(daemon: SshDaemon, connect: Connect):
    mark = uuid.uuid4().hex
    connection = connect(daemon)
    started = asyncio.Event()
    running = asyncio.create_task(
        connection.run(
            ["sh", "-c", f"echo on; sleep 60; : {mark}"], timeout=LIMIT, on_line=lambda _line: started.set()
        )
    )
    await started.wait()
    await connection.disconnect()
    with pytest.raises(ServerUnreachable):
        await running
    await eventually(lambda: processes_with(mark) == [])


async def test_what_a_command_leaves_running_on_purpose_goes_on(connection: SshConnection, tmp_path: Path):
    pid_file = tmp_path / "pid"
    script = f"sleep 30 </dev/null >/dev/null 2>&1 & echo $! > {pid_file}"
    assert (await connection.run(["sh", "-c", script], timeout=LIMIT)).exit_code == 0
    pid = pid_file.read_text().strip()
    # It fails when there is nothing to end.
    assert (await connection.run(["kill", pid], timeout=LIMIT)).exit_code == 0
