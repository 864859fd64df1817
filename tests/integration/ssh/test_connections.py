"""What is open on a replica of another server, which is what a drain waits for."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from adapters.connections import RemoteConnections, connections_inside
from adapters.docker import ContainerSpecification, DockerEngine
from adapters.docker.states import ContainerState
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from adapters.ssh.reach import SshReach
from tests.harness.ssh_servers import TINY, SshServer
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import way_to

PORT = 3000


@dataclass
class Way:
    """How a user of the server sees it."""

    connection: SshConnection
    engine: DockerEngine
    replica: ContainerState


@contextlib.asynccontextmanager
async def way_of(server: SshServer, user: str) -> AsyncIterator[Way]:
    connection = SshConnection(way_to(server, user))
    name = f"seaway-test-{uuid.uuid4().hex[:8]}"
    async with DockerSocketForward(connection) as forward:
        engine = DockerEngine(forward.socket_path)
        command = ("nc", "-ll", "-p", str(PORT), "-e", "cat")
        await engine.ensure_container(ContainerSpecification(name=name, image=TINY, command=command))
        await engine.start(name)
        replica = await engine.inspect(name)
        assert replica is not None
        yield Way(connection, engine, replica)
        await engine.remove(name)
        await engine.close()
    await connection.close()


@contextlib.asynccontextmanager
async def visitor(way: Way) -> AsyncIterator[None]:
    """Somebody who is connected to the replica and is being answered."""
    [address] = way.replica.addresses.values()
    async with SshReach(way.connection).address(address, PORT) as (host, port):
        # A replica that has just started may not listen yet.
        reader, writer = await eventually(lambda: asyncio.open_connection(host, port))
        writer.write(b"hello\n")
        assert await asyncio.wait_for(reader.readline(), 10) == b"hello\n"
        yield
        writer.close()


@pytest.mark.parametrize("user", ["root", "deployer"])
async def test_a_drain_sees_who_is_still_there_with_or_without_rights_on_the_server(
    server: SshServer, user: str
) -> None:
    async with way_of(server, user) as way:

        async def count() -> int | None:
            seen = await RemoteConnections(way.connection).open_connections(way.replica.pid, PORT)
            if seen is None:
                return await connections_inside(way.engine, way.replica.name, PORT)
            assert user == "root"
            return seen

        async with visitor(way), visitor(way):
            assert await count() == 2

        async def nobody() -> bool:
            return await count() == 0

        await eventually(nobody, 10, describe="the end of both connections")


async def test_a_replica_that_is_gone_has_no_connection(server: SshServer) -> None:
    async with way_of(server, "root") as way:
        counter = RemoteConnections(way.connection)
        await way.engine.stop(way.replica.name, 0)
        assert await counter.open_connections(way.replica.pid, PORT) == 0
        assert await counter.open_connections(0, PORT) == 0
        assert await connections_inside(way.engine, way.replica.name, PORT) is None
