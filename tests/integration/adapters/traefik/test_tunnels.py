"""Ways through a real Traefik to what its container alone reaches by name."""

from __future__ import annotations

import asyncio
import re

import pytest

from adapters.probes import probe
from adapters.traefik.tunnels import tunnel_name
from domain.configuration import HealthCheck, HealthCheckKind
from tests.harness.waiting import eventually


async def never(*_: object) -> int:
    raise AssertionError("no command belongs to this probe")


@pytest.mark.parametrize("kind", [HealthCheckKind.HTTP, HealthCheckKind.TCP])
async def test_a_probe_reaches_a_container_by_the_proxys_way(running, replica, kind):
    name = await replica("v1")
    check = HealthCheck(kind=kind, path="/health", timeout_seconds=10)
    async with running.proxy.tunnels.opened() as reach:
        outcome = await probe(check, host=name, port=3000, reach=reach, execute=never)
        assert (running.dynamic / f"{tunnel_name(name, 3000)}.yml").exists()
    assert outcome.ok, outcome.detail
    assert not (running.dynamic / f"{tunnel_name(name, 3000)}.yml").exists()


@pytest.mark.parametrize("kind", [HealthCheckKind.HTTP, HealthCheckKind.TCP])
async def test_a_port_on_which_nothing_listens_refuses_through_the_proxy_too(running, replica, kind):
    name = await replica("v1")
    check = HealthCheck(kind=kind, timeout_seconds=10)
    async with running.proxy.tunnels.opened() as reach:
        outcome = await probe(check, host=name, port=3999, reach=reach, execute=never)
    assert not outcome.ok
    assert "nothing listens on port" in outcome.detail


async def test_what_a_killed_worker_left_is_known_for_a_tunnel_and_can_be_taken_away(running, replica):
    name = await replica("v1")
    left = tunnel_name(name, 3000)
    tunnels = running.proxy.tunnels
    async with tunnels.tunnel(name, 3000):
        assert left in await tunnels.names()
        assert not any("tunnel" in one for one in await running.proxy.names())
        routes = (running.dynamic / f"{left}.yml").read_text()
    await running.proxy._files.write(left, routes)
    [server_name] = re.findall(r"[0-9a-f]{32}\.tunnel", routes)

    async def is_served(served: bool) -> bool:
        async with await running.proxy._api() as api:
            return await api.has_tcp_route(left, server_name) is served

    await eventually(lambda: is_served(True))
    for one in await tunnels.names():
        await tunnels.remove(one)
    await eventually(lambda: is_served(False))
    assert await tunnels.names() == frozenset()


async def test_several_connections_share_a_tunnel_and_end_with_it(running, replica):
    name = await replica("v1")
    async with running.proxy.tunnels.opened() as reach, reach.address(name, 3000) as near:
        streams = [await asyncio.open_connection(*near) for _ in range(3)]
        for _, writer in streams:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        heads = [await asyncio.wait_for(reader.readuntil(b"v1"), 10) for reader, _ in streams]
    assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
    ends = [await asyncio.wait_for(reader.read(), 10) for reader, _ in streams]
    assert not any(b"HTTP" in end for end in ends)
    for _, writer in streams:
        writer.close()
