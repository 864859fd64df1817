"""Addresses of a server, reached from here as if we were on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.probes import probe
from adapters.ssh.connection import SshConnection
from adapters.ssh.reach import SshReach
from domain.configuration import HealthCheck, HealthCheckKind
from domain.errors import NotPossibleNow, ServerUnreachable
from tests.harness.processes import free_port, refusing_port
from tests.harness.ssh_daemon import SshDaemon, serve_sshd
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import Connect


@pytest.fixture
def connection(shared_daemon: SshDaemon, connect: Connect) -> SshConnection:
    return connect(shared_daemon)


@pytest.fixture
def reach(connection: SshConnection) -> SshReach:
    return SshReach(connection)


class Service:
    """Speaks first, then repeats what it hears until its input ends, then says goodbye."""

    def __init__(self) -> None:
        self.port = free_port()
        self.accepted = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._serve, host, self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        with contextlib.suppress(ConnectionError):
            writer.write(b"hello\n")
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write(b"goodbye\n")
            writer.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    yield made
    made.stop()


async def talk(address: tuple[str, int], content: bytes) -> bytes:
    """Sends, ends its input, and reads to the end."""
    reader, writer = await asyncio.open_connection(*address)
    sending = asyncio.create_task(_send(writer, content))
    answer = await reader.read()
    await sending
    writer.close()
    return answer


async def _send(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()
    writer.write_eof()


async def unused(*_arguments: object) -> int:
    raise AssertionError("this probe runs no command")


async def test_both_sides_are_heard_to_their_ends(reach: SshReach, service: Service):
    await service.start()
    content = bytes(range(256)) * 20_000
    async with reach.address("127.0.0.1", service.port) as address:
        assert await talk(address, b"one") == b"hello\nonegoodbye\n"
        assert (
            await asyncio.gather(*(talk(address, content) for _ in range(4)))
            == [b"hello\n" + content + b"goodbye\n"] * 4
        )
    # The channel that proved that somebody listens was the first visitor's.
    assert service.accepted == 5


async def test_ipv6_addresses_of_the_server(reach: SshReach, service: Service):
    await service.start("::1")
    async with reach.address("::1", service.port) as address:
        assert await talk(address, b"six") == b"hello\nsixgoodbye\n"


async def test_the_port_is_gone_afterwards(reach: SshReach, service: Service):
    await service.start()
    async with reach.address("127.0.0.1", service.port) as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    await eventually(lambda: service.accepted == 1)


async def test_an_address_that_refuses_is_refused_here_until_it_accepts(reach: SshReach, service: Service):
    async with reach.address("127.0.0.1", service.port) as address:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*address)
        await service.start()
        assert await eventually(lambda: talk(address, b"now")) == b"hello\nnowgoodbye\n"


async def test_an_address_that_stops_accepting_resets(reach: SshReach, service: Service):
    await service.start()
    async with reach.address("127.0.0.1", service.port) as address:
        await talk(address, b"x")
        service.stop()
        with pytest.raises(ConnectionResetError):
            await talk(address, b"x")


@pytest.mark.parametrize("kind", [HealthCheckKind.TCP, HealthCheckKind.HTTP])
async def test_probes_do_not_take_our_port_for_the_containers(reach: SshReach, kind: HealthCheckKind):
    check = HealthCheck(kind=kind, timeout_seconds=5)
    outcome = await probe(check, host="127.0.0.1", port=refusing_port(), reach=reach, execute=unused)
    assert not outcome.ok
    assert "connection refused" in outcome.detail


async def test_a_tcp_probe_succeeds_where_somebody_listens(reach: SshReach, service: Service):
    await service.start()
    check = HealthCheck(kind=HealthCheckKind.TCP, timeout_seconds=5)
    assert (await probe(check, host="127.0.0.1", port=service.port, reach=reach, execute=unused)).ok


async def test_visitors_after_a_broken_link_get_a_new_one(
    daemon: SshDaemon, connect: Connect, service: Service
):
    await service.start()
    async with SshReach(connect(daemon)).address("127.0.0.1", service.port) as address:
        await talk(address, b"before")
        daemon.kill_sessions()
        assert await talk(address, b"after") == b"hello\naftergoodbye\n"


async def test_a_server_that_forbids_forwarding_says_so(tmp_path: Path, connect: Connect):
    with serve_sshd(tmp_path / "strict", options={"DisableForwarding": "yes"}) as strict:
        reach = SshReach(connect(strict))
        with pytest.raises(NotPossibleNow, match="AllowTcpForwarding"):
            await reach.address("127.0.0.1", refusing_port()).__aenter__()


async def test_a_server_that_cannot_be_reached_says_so_on_entering(daemon: SshDaemon, connect: Connect):
    await daemon.process.terminate()
    with pytest.raises(ServerUnreachable):
        async with SshReach(connect(daemon)).address("127.0.0.1", 80):
            pass
