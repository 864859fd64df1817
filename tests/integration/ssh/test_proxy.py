"""Traefik on a server, run and fed over SSH by the driver that runs the local one."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import PurePosixPath

import httpx
import pytest

from adapters.docker import ContainerSpecification, DockerEngine
from adapters.proxy import ApplicationRoutes, Route
from adapters.ssh.connection import SshConnection
from adapters.ssh.files import SftpRouteFolder
from adapters.ssh.forwarding import DockerSocketForward
from adapters.ssh.reach import SshReach
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import TraefikSettings
from domain.errors import RouteRefused
from tests.harness.ssh_servers import TINY, SshServer
from tests.integration.ssh.conftest import way_to

SETTINGS = TraefikSettings(pull=False)


@pytest.fixture(scope="module")
async def engine_there(server: SshServer) -> AsyncIterator[tuple[DockerEngine, SshConnection]]:
    # Not root, because what works for a member of the group docker works for everyone.
    server.run("install", "-d", "-o", "deployer", "/data/seaway")
    connection = SshConnection(way_to(server, "deployer"))
    async with DockerSocketForward(connection) as forward:
        engine = DockerEngine(forward.socket_path)
        yield engine, connection
        await engine.close()
    await connection.close()


@pytest.fixture(scope="module")
async def proxy(
    engine_there: tuple[DockerEngine, SshConnection], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TraefikProxy]:
    engine, connection = engine_there
    made = TraefikProxy(
        tmp_path_factory.mktemp("proxy"),
        engine,
        SETTINGS,
        reach=SshReach(connection),
        files=SftpRouteFolder(connection, PurePosixPath("/data/seaway/proxy")),
    )
    await made.ensure_running()
    yield made
    await engine.remove(SETTINGS.container_name)


async def replica(engine: DockerEngine, text: str) -> str:
    name = f"seaway-test-{text}-{uuid.uuid4().hex[:8]}"
    script = f"echo {text} > /www/index.html; exec httpd -f -p 3000 -h /www"
    specification = ContainerSpecification(
        name=name, image=TINY, command=("sh", "-c", script), network=SETTINGS.network
    )
    await engine.ensure_container(specification)
    await engine.start(name)
    return name


async def get(server: SshServer, host: str = "shop.example") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        return await client.get(f"http://{server.host}/", headers={"Host": host})


async def test_routes_are_switched_and_confirmed(
    proxy: TraefikProxy, engine_there, server: SshServer, record_property
):
    engine, _ = engine_there
    application = f"app{uuid.uuid4().hex[:16]}"
    names = []
    for release in ("one", "two", "three"):
        names.append(await replica(engine, release))
        begun = time.monotonic()
        route = Route("shop.example", (f"http://{names[-1]}:3000",))
        await proxy.apply(ApplicationRoutes(application, release, (route,)))
        record_property(f"switch_{release}_ms", round((time.monotonic() - begun) * 1000))
        # From the moment of the confirmation on, every answer is the new one's.
        assert [(await get(server)).text.strip() for _ in range(5)] == [release] * 5
        assert await proxy.routes_applied(application) == release
    await proxy.withdraw(application)
    assert (await get(server)).status_code == 404
    for name in names:
        await engine.remove(name)


async def test_what_runs_already_is_left_alone(proxy: TraefikProxy, engine_there):
    engine, _ = engine_there
    before = await engine.inspect(SETTINGS.container_name)
    await proxy.ensure_running()
    after = await engine.inspect(SETTINGS.container_name)
    assert (after.id, after.started_at) == (before.id, before.started_at)


async def test_a_refused_route_leaves_the_folder_as_it_was(proxy: TraefikProxy):
    application = f"app{uuid.uuid4().hex[:16]}"
    with pytest.raises(RouteRefused):
        await proxy.apply(ApplicationRoutes(application, "r1", (Route("not a host`", ("http://x:1",)),)))
    assert await proxy.current(application) is None
