"""`seaway ssh` and commands on servers over SSH, through the API and its one connection to a real server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.servers import ServerStatus
from seaway.cli.exit_codes import ExitCode
from seaway.terminals import SHELLS_OF_A_SERVER
from store.tables import PrivateKey, Server
from tests.harness.ssh_daemon import SshDaemon, serve_sshd
from tests.harness.waiting import eventually
from tests.integration.terminals.conftest import Site, read_until

TERMINAL = {"type": "xterm", "columns": 91, "rows": 17}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshDaemon]:
    with serve_sshd(tmp_path_factory.mktemp("sshd")) as served:
        yield served


@pytest.fixture(scope="module")
async def server(site: Site, daemon: SshDaemon) -> AsyncIterator[Server]:
    """A server that Seaway knows."""
    team = site.server.team_id
    key = await site.store.servers.add_key(
        PrivateKey(team_id=team, name="key", private_key_sealed=""), SecretStr(daemon.private_key)
    )
    made = await site.store.servers.create(
        Server(
            team_id=team, name="remote", address=daemon.host, port=daemon.port, user=daemon.user,
            private_key_id=key.id, host_key=daemon.host_key, status=ServerStatus.USABLE,
        )
    )  # fmt: skip
    yield made
    await site.servers.forget(made.id)
    await site.store.servers.forget(made.id)


@pytest.fixture
def shell(server: Server) -> str:
    return f"/servers/{server.id}/shell"


def runs(word: str) -> bool:
    """Whether a process of this machine has the word as an argument of its own."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in process.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


async def test_one_command_has_its_streams_apart_and_its_exit_code(site, server):
    script = 'echo "told $1"; echo complained >&2; exit 7'
    result = await site.command("ssh", "remote", "--", "sh", "-c", script, "x", "a  $HOME b")
    assert result == (7, "told a  $HOME b\n", "complained\n")
    assert (await site.audited())[-1][1].startswith("exit code 7 after")


async def test_what_is_piped_in_goes_to_an_interactive_command(site, server):
    data = os.urandom(1_000_000)
    process = await site.start("ssh", "-i", "remote", "--", "sh", "-c", "cat; exit 3")
    async with asyncio.timeout(30):
        output, _ = await process.communicate(data)
    assert (process.returncode, output == data) == (3, True)


async def test_a_shell_has_a_terminal_with_its_size_and_keys(site, server):
    process, person = await site.in_terminal("ssh", "remote")
    try:
        os.write(person, b"stty size; tty >/dev/null && echo is-$((1+1))-terminal\n")
        assert b"24 80" in await read_until(person, b"is-2-terminal")
        os.write(person, b"sleep 60.125; exit 4\n")
        await eventually(lambda: runs("60.125"), 10)
        os.write(person, b"\x03exit 5\n")
        async with asyncio.timeout(20):
            assert await process.wait() == 5
    finally:
        os.close(person)
    assert ("server.shell", "a login shell") in await site.audited()


async def test_ctrl_c_ends_a_command_on_the_server(site, server):
    process = await site.start("ssh", "remote", "--", "sh", "-c", "echo ready; sleep 60.25")
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        assert await process.wait() == 143
    assert not runs("60.25")


@pytest.mark.parametrize("start", [{}, {"interactive": True, "terminal": TERMINAL}])
async def test_who_leaves_takes_the_command_along(site, server, shell, start):
    async with site.talk(shell, "sh", "-c", "echo ready; sleep 60.5", **start) as talk:
        await talk.until_output(b"ready")
        await eventually(lambda: runs("60.5"), 10)
    assert await eventually(lambda: not runs("60.5"), 20)


async def test_shells_leave_room_on_the_connection_for_deployments(site, server, shell):
    async with asyncio.timeout(30):
        talks = [site.talk(shell, "cat", interactive=True) for _ in range(SHELLS_OF_A_SERVER)]
        for talk in talks:
            opened = await talk.__aenter__()
            assert await opened.hear() == {"event": "started"}
        told = await site.told(shell, "true")
        assert (told["event"], told["code"]) == ("error", "too_many_requests")
        assert "Close one first" in told["message"]
        for talk in talks:
            await talk.__aexit__(None, None, None)

        async def is_free() -> bool:
            return (await site.told(shell, "true")).get("code") == 0

        await eventually(is_free)


async def test_a_link_that_breaks_ends_the_shell_with_a_sentence(site, server, shell, daemon):
    async with asyncio.timeout(30), site.talk(shell, "cat", interactive=True) as talk:
        await talk.hear()
        daemon.kill_sessions()
        told = await talk.rest()
    assert (told["event"], told["code"]) == ("error", "server_unreachable")


async def test_a_server_that_refuses_or_is_unknown_is_told(site, server, shell):
    await site.store.servers.set(server.id, port=1)
    try:
        code, output, errors = await site.command("ssh", "remote", "--", "true")
        assert (code, output) == (ExitCode.NO_ACCESS, "")
        assert "port 1" in errors or ":1" in errors
    finally:
        await site.store.servers.set(server.id, port=server.port)
    code, _, errors = await site.command("ssh", "elsewhere")
    assert (code, "There is no server 'elsewhere'" in errors) == (ExitCode.NOT_FOUND, True)
