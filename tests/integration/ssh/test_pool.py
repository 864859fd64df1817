"""One connection for each server, however many ask."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.ssh.keys import generate_key
from adapters.ssh.pool import SshPool
from adapters.ssh.targets import SshSettings
from domain.errors import HostKeyChanged, ServerUnreachable
from tests.harness.ssh_daemon import SshDaemon, serve_sshd
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


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[list[SshDaemon]]:
    """Three servers that are reached through another one."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(serve_sshd(tmp_path / f"inner-{last}", host=f"127.0.0.{last}"))
            for last in (2, 3, 4)
        ]


async def run_on_all(pool: SshPool, gate: SshDaemon, servers: list[SshDaemon]) -> None:
    """As a release does: on all of them at the same time."""
    way = target_of(gate)
    connections = [await pool.acquire(one.host, target_of(one, jump=way)) for one in servers]
    await asyncio.gather(*(connection.run(["true"], timeout=LIMIT) for connection in connections))


async def test_all_servers_behind_a_jump_host_share_one_log_in_to_it(
    pool: SshPool, daemon: SshDaemon, behind: list[SshDaemon]
):
    await run_on_all(pool, daemon, behind)
    assert daemon.log_ins() == 1
    daemon.kill_sessions()
    await run_on_all(pool, daemon, behind)
    assert daemon.log_ins() == 2
    # It is a server itself too.
    gate = await pool.acquire("gate", target_of(daemon))
    await gate.run(["true"], timeout=LIMIT)
    assert daemon.log_ins() == 2
    await pool.forget("gate")
    await run_on_all(pool, daemon, behind)
    assert daemon.log_ins() == 3

    for one in behind[:2]:
        await pool.forget(one.host)
    await run_on_all(pool, daemon, behind[2:])
    assert daemon.log_ins() == 3
    await pool.forget(behind[2].host)
    await eventually(lambda: daemon.sessions() == [])


async def test_a_jump_host_that_nobody_uses_itself_stays_for_those_behind_it(
    daemon: SshDaemon, behind: list[SshDaemon]
):
    pool = SshPool(QUICK, idle_limit=timedelta(seconds=1))
    gate = await pool.acquire("gate", target_of(daemon))
    connection = await pool.acquire("inner", target_of(behind[0], jump=target_of(daemon)))
    await connection.run(["sleep", "2"], timeout=LIMIT)
    assert (daemon.log_ins(), behind[0].log_ins()) == (1, 1)
    await eventually(lambda: not gate.is_connected and not connection.is_connected)
    await pool.close()


async def test_a_changed_key_of_the_jump_host_stops_those_behind_it(
    pool: SshPool, daemon: SshDaemon, behind: list[SshDaemon]
):
    pinned = generate_key()
    way = target_of(daemon, host_key=pinned.public_key)
    connection = await pool.acquire("inner", target_of(behind[0], jump=way))
    with pytest.raises(HostKeyChanged) as caught:
        await connection.run(["true"], timeout=LIMIT)
    where, inner = f"127.0.0.1:{daemon.port}", f"127.0.0.2:{behind[0].port}"
    assert caught.value.message.startswith(f"The server {where} shows another host key than before: ")
    assert (
        f"It is the jump host on the way to {inner}: accept the key at the jump host" in caught.value.message
    )
    assert caught.value.pinned == pinned.fingerprint
    assert (daemon.log_ins(), behind[0].log_ins()) == (0, 0)


async def test_after_a_link_broke_the_next_log_in_comes_at_a_moment_of_its_own(
    daemon: SshDaemon, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("random.random", lambda: 0.8)
    pool = SshPool(SshSettings(spread_seconds=2))
    connection = await pool.acquire("one", target_of(daemon))
    begun = time.monotonic()
    await connection.run(["true"], timeout=LIMIT)
    assert time.monotonic() - begun < 1.6
    daemon.kill_sessions()
    begun = time.monotonic()
    await eventually(lambda: not connection.is_connected)
    await connection.run(["true"], timeout=LIMIT)
    assert time.monotonic() - begun >= 1.6
    # What was ended here had no reason to wait.
    await connection.disconnect()
    begun = time.monotonic()
    await connection.run(["true"], timeout=LIMIT)
    assert time.monotonic() - begun < 1.6
    await pool.close()
