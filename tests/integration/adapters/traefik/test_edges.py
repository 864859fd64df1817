"""A real Traefik that spreads over another one and itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import docker
import httpx
import pytest

from adapters.proxy import ApplicationRoutes, Entrance, Route, Spread
from adapters.traefik import driver
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import TraefikSettings
from domain.errors import RouteRefused
from tests.harness.load import LoadGenerator
from tests.harness.load_report import now
from tests.harness.waiting import eventually
from tests.integration.adapters.traefik.conftest import RunningProxy, free_ports

HOST = "spread.example"
TOKEN = "a1" * 32
OWN = "http://127.0.0.1:8081"


@pytest.fixture(scope="module")
async def edge(
    docker_engine, running: RunningProxy, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningProxy]:
    """Another proxy in the same network, which reaches the first one by its name."""
    name = f"seaway-test-edge-{uuid.uuid4().hex[:8]}"
    http_port, https_port, api_port = free_ports(3)
    settings = TraefikSettings(
        name, running.settings.network, http_port, https_port, api_port, "127.0.0.1", pull=False
    )
    folder = tmp_path_factory.mktemp("edge")
    try:
        proxy = TraefikProxy(folder, docker_engine, settings)
        await proxy.ensure_running()
        yield RunningProxy(proxy, settings, folder)
    finally:
        await docker_engine.remove(name)


async def get(proxy: RunningProxy, path: str = "/", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        url = f"http://127.0.0.1:{proxy.settings.http_port}{path}"
        return await client.get(url, headers={"Host": HOST, **headers})


async def let_in(proxy: RunningProxy, application: str, replica: str, check_path: str = "") -> None:
    upstream = (f"http://{replica}:3000",)
    entrance = Entrance(TOKEN, checked=upstream, check_path=check_path)
    await proxy.proxy.apply(
        ApplicationRoutes(application, "rel1", (Route(HOST, upstream),), entrance=entrance)
    )


async def spread_over(edge: RunningProxy, application: str, *servers: str, path: str = "/health") -> None:
    route = Route(HOST, servers, strip_prefix=False)
    spread = Spread(TOKEN, path=path, host="localhost")
    await edge.proxy.apply(ApplicationRoutes(f"{application}edge", "edge", (route,), spread=spread))


async def test_visitors_of_an_edge_come_to_servers_that_live(
    engine: docker.DockerClient, edge: RunningProxy, running: RunningProxy, replica
):
    application = f"app{uuid.uuid4().hex[:16]}"
    await let_in(running, application, await replica("there"))
    await let_in(edge, application, await replica("here"))
    there = running.settings.container_name
    await spread_over(edge, application, OWN, f"http://{there}:8081")

    async def answers() -> set[str]:
        return {(await get(edge)).text.strip() for _ in range(6)}

    assert await answers() == {"here", "there"}
    url = f"http://{HOST}"
    async with LoadGenerator(url, address=edge.address, rate_per_second=30, slow_every_seconds=0) as load:
        await eventually(lambda: load.succeeded >= 20)
        await asyncio.to_thread(engine.containers.get(there).kill)
        lost_at = now()
        before = load.succeeded
        await eventually(lambda: load.succeeded >= before + 60)
        assert await answers() == {"here"}
        await asyncio.to_thread(engine.containers.get(there).start)

        async def both() -> bool:
            return await answers() == {"here", "there"}

        await eventually(both)
    report = load.report()
    assert [one for one in report.failures if one.started_at > lost_at] == [], report.summary()
    for proxy, name in ((edge, f"{application}edge"), (edge, application), (running, application)):
        await proxy.proxy.withdraw(name)
    assert (await get(edge)).status_code == 404


async def test_the_visitor_is_who_the_edge_says_and_nobody_else(
    docker_engine, edge: RunningProxy, running: RunningProxy, replica
):
    application = f"app{uuid.uuid4().hex[:16]}"
    await let_in(running, application, await replica("there"))
    await spread_over(edge, application, f"http://{running.settings.container_name}:8081")
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Seaway-Edge": "mine"}
    direct = (await get(running, "/headers", **forged)).json()
    assert direct["x-forwarded-for"] != "203.0.113.9"
    visitor = direct["x-forwarded-for"]
    shown = (await get(edge, "/headers", **forged)).json()
    state = await docker_engine.inspect(edge.settings.container_name)
    # Who came to the edge, and the edge itself.
    assert shown["x-forwarded-for"] == f"{visitor}, {state.addresses[edge.settings.network]}"
    assert (shown["x-real-ip"], shown["x-forwarded-proto"]) == (visitor, "http")
    assert [name for name in shown if name.startswith("x-seaway")] == []
    for proxy, name in ((edge, f"{application}edge"), (running, application)):
        await proxy.proxy.withdraw(name)


async def test_an_edge_says_which_servers_it_does_not_reach(
    edge: RunningProxy, running: RunningProxy, replica
):
    application = f"app{uuid.uuid4().hex[:16]}"
    await let_in(running, application, await replica("there"))
    there, nowhere = f"http://{running.settings.container_name}:8081", "http://127.0.0.1:9"
    await spread_over(edge, application, there, nowhere)
    for _ in range(2):
        assert await edge.proxy.unhealthy(f"{application}edge") == {nowhere}
    assert await running.proxy.unhealthy(application) == frozenset()
    assert {(await get(edge)).text.strip() for _ in range(4)} == {"there"}
    for proxy, name in ((edge, f"{application}edge"), (running, application)):
        await proxy.proxy.withdraw(name)
    assert await edge.proxy.unhealthy(f"{application}edge") == frozenset()


async def test_a_release_whose_health_check_moved_is_healthy_to_an_edge_that_asks_as_before(
    edge: RunningProxy, running: RunningProxy, replica
):
    application = f"app{uuid.uuid4().hex[:16]}"
    name = await replica("there")
    there = f"http://{running.settings.container_name}:8081"
    await let_in(running, application, name)
    await spread_over(edge, application, there, path="/status/404")
    assert await edge.proxy.unhealthy(f"{application}edge") == {there}

    await let_in(running, application, name, check_path="/health")

    async def is_healthy() -> bool:
        return await edge.proxy.unhealthy(f"{application}edge") == frozenset()

    await eventually(is_healthy)
    assert (await get(edge)).text.strip() == "there"
    for proxy, routes in ((edge, f"{application}edge"), (running, application)):
        await proxy.proxy.withdraw(routes)


async def test_a_proxy_from_before_edges_says_what_to_do(
    running: RunningProxy, replica, monkeypatch: pytest.MonkeyPatch
):
    application = f"app{uuid.uuid4().hex[:16]}"
    monkeypatch.setattr(driver, "EDGE_ENTRY_POINT", "absent")
    with pytest.raises(RouteRefused, match="Validate the server again"):
        await let_in(running, application, await replica("there"))
    assert await running.proxy.current(application) is None
