"""Commands in containers of a server over SSH: the very code that runs them on the local one."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.docker import ContainerSpecification, DockerEngine, terminal_sessions
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from domain.errors import EngineUnavailable
from domain.terminals import OutputStream, Start, Terminal, TerminalSession
from seaway.terminals import one_off_container
from tests.harness.ssh_servers import TINY, SshServer
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import way_to

LIMIT_SECONDS = 30


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second shows the same as ten."""
    monkeypatch.setattr(terminal_sessions, "EXIT_LIMIT_SECONDS", 1.0)


@pytest.fixture(scope="module")
async def forward(server: SshServer) -> AsyncIterator[DockerSocketForward]:
    connection = SshConnection(way_to(server))
    async with DockerSocketForward(connection) as made:
        yield made
    await connection.close()


@pytest.fixture
async def remote(forward: DockerSocketForward) -> AsyncIterator[DockerEngine]:
    made = DockerEngine(forward.socket_path)
    yield made
    await made.close()


def asked(start: Start) -> ContainerSpecification:
    return ContainerSpecification(
        name=f"seaway-test-{uuid.uuid4().hex[:8]}",
        image=TINY,
        entrypoint=start.command[:1],
        command=start.command[1:],
        has_input=start.interactive,
        has_terminal=start.terminal is not None,
    )


async def heard(session: TerminalSession) -> dict[OutputStream, bytes]:
    streams = dict.fromkeys(OutputStream, b"")
    async for stream, data in session.output():
        streams[stream] += data
    return streams


async def is_gone(remote: DockerEngine, name: str) -> bool:
    return await remote.inspect(name) is None


async def test_input_output_and_exit_code_pass_and_the_container_goes(remote: DockerEngine):
    start = Start(command=("sh", "-c", "cat; echo end >&2; exit 6"), interactive=True)
    specification, data = asked(start), os.urandom(1_000_000)
    async with asyncio.timeout(LIMIT_SECONDS), one_off_container(remote, specification, start) as session:
        hearing = asyncio.create_task(heard(session))
        await session.write(data)
        await session.end_input()
        streams = await hearing
        assert await session.exit_code() == 6
    assert streams == {OutputStream.STDOUT: data, OutputStream.STDERR: b"end\n"}
    assert await is_gone(remote, specification.name)


async def test_a_terminal_has_its_size_there_too(remote: DockerEngine):
    start = Start(
        command=("sh", "-c", "read line; stty size; echo $line"),
        interactive=True,
        terminal=Terminal(columns=91, rows=17),
    )
    async with asyncio.timeout(LIMIT_SECONDS), one_off_container(remote, asked(start), start) as session:
        await session.write(b"typed\n")
        streams = await heard(session)
        assert await session.exit_code() == 0
    assert streams[OutputStream.STDOUT].split() == [b"typed", b"17", b"91", b"typed"]


async def test_who_leaves_takes_the_container_along(remote: DockerEngine):
    start = Start(command=("sleep", "600"))
    specification = asked(start)

    async def run() -> None:
        async with one_off_container(remote, specification, start) as session:
            await heard(session)

    running = asyncio.create_task(run())
    await eventually(lambda: _runs(remote, specification.name))
    running.cancel()
    async with asyncio.timeout(LIMIT_SECONDS):
        await asyncio.wait([running])
    assert running.cancelled()
    assert await is_gone(remote, specification.name)


async def _runs(remote: DockerEngine, name: str) -> bool:
    state = await remote.inspect(name)
    return state is not None and state.running


async def test_a_link_that_breaks_is_told_and_the_container_goes_over_the_next_one(server: SshServer):
    start = Start(command=("sleep", "600"))
    specification = asked(start)
    connection = SshConnection(way_to(server))

    async def run(engine: DockerEngine) -> None:
        async with asyncio.timeout(LIMIT_SECONDS), one_off_container(engine, specification, start) as session:
            await connection.disconnect()
            await heard(session)
            await session.exit_code()

    async with DockerSocketForward(connection) as forward:
        engine = DockerEngine(forward.socket_path)
        with pytest.raises(EngineUnavailable, match="broke off while it ran"):
            await run(engine)
        assert await is_gone(engine, specification.name)
        await engine.close()
    await connection.close()
