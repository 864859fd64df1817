"""One connection for each server, however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from adapters.ssh.pool import SshPool
from domain.errors import ServerUnreachable
from tests.harness.ssh_daemon import SshDaemon
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import QUICK, target_of

LIMIT = timedelta(seconds=20)


@pytest.fixture
async def pool() -> AsyncIterator[SshPool]:
    made = SshPool(QUICK)
    yield made
    await made.close()


async def test_a_server_has_one_connection_and_one_log_in(pool: SshPool, daemon: SshDaemon):
    target = target_of(daemon)
    connections = await asyncio.gather(*(pool.acquire("one", target) for _ in range(10)))
    assert len({id(connection) for connection in connections}) == 1
    await asyncio.gather(*(connection.run(["true"], timeout=LIMIT) for connection in connections))
    assert daemon.log_ins() == 1
    assert await pool.acquire("two", target) is not connections[0]


async def test_a_changed_target_replaces_the_connection(pool: SshPool, daemon: SshDaemon):
    old = await pool.acquire("one", target_of(daemon))
    await old.connect()
    new = await pool.acquire("one", target_of(daemon, host_key=None))
    assert new is not old
    with pytest.raises(ServerUnreachable):
        await old.run(["true"], timeout=LIMIT)


async def test_a_link_that_nobody_uses_is_ended_and_comes_back_when_needed(daemon: SshDaemon):
    pool = SshPool(QUICK, idle_limit=timedelta(seconds=1))
    connection = await pool.acquire("one", target_of(daemon))
    # Longer than the limit: what is in use is not idle.
    await connection.run(["sleep", "2"], timeout=LIMIT)
    assert daemon.log_ins() == 1
    await eventually(lambda: not connection.is_connected)
    assert (await connection.run(["echo", "on"], timeout=LIMIT)).stdout == "on\n"
    assert daemon.log_ins() == 2
    await pool.close()


async def test_a_closed_pool_leaves_no_connection(pool: SshPool, daemon: SshDaemon):
    connection = await pool.acquire("one", target_of(daemon))
    await connection.connect()
    await pool.forget("one")
    await pool.forget("unknown")
    await pool.close()
    assert await eventually(lambda: daemon.sessions() == [])
