"""A real Traefik with ports, a network and a folder of its own, and real applications behind it."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from pydantic import SecretStr

from adapters.docker import ContainerSpecification, DockerEngine
from adapters.probes import probe
from adapters.proxy import ApplicationRoutes, Route
from adapters.reach import LocalReach
from adapters.traefik.driver import TraefikProxy
from adapters.traefik.settings import TraefikSettings
from domain.configuration import HealthCheck
from tests.harness.waiting import eventually


@dataclass(frozen=True)
class RunningProxy:
    """The proxy and how to reach it."""

    proxy: TraefikProxy
    settings: TraefikSettings
    folder: Path

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.settings.http_port)

    @property
    def dynamic(self) -> Path:
        return self.folder / "dynamic"


def free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@pytest.fixture(scope="session")
async def docker_engine(engine: docker.DockerClient) -> AsyncIterator[DockerEngine]:
    adapter = DockerEngine(engine.api._custom_adapter.socket_path)
    yield adapter
    await adapter.close()


@pytest.fixture(scope="session")
async def running(
    docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningProxy]:
    name = f"seaway-test-proxy-{uuid.uuid4().hex[:8]}"
    http_port, https_port, api_port = free_ports(3)
    settings = TraefikSettings(name, name, http_port, https_port, api_port, "127.0.0.1", pull=False)
    folder = tmp_path_factory.mktemp("proxy")
    proxy = TraefikProxy(folder, docker_engine, settings)
    try:
        await proxy.ensure_running()
        yield RunningProxy(proxy, settings, folder)
    finally:
        await docker_engine.remove(name)
        await docker_engine.remove_network(name)


Start = Callable[[str], Awaitable[str]]


@pytest.fixture
async def replica(
    docker_engine: DockerEngine, running: RunningProxy, sample_application_image: str
) -> AsyncIterator[Start]:
    """Starts the sample application with a version and waits until it is healthy; returns its name."""
    names: list[str] = []

    async def start(version: str) -> str:
        name = f"seaway-test-{version}-{uuid.uuid4().hex[:8]}"
        names.append(name)
        await docker_engine.ensure_container(
            ContainerSpecification(
                name=name,
                image=sample_application_image,
                network=running.settings.network,
                environment={"VERSION": SecretStr(version)},
            )
        )
        await docker_engine.start(name)
        state = await docker_engine.inspect(name)
        assert state is not None
        address = state.addresses[running.settings.network]

        async def healthy() -> bool:
            outcome = await probe(
                HealthCheck(), host=address, port=3000, reach=LocalReach(), execute=docker_engine_unused
            )
            return outcome.ok

        await eventually(healthy)
        return name

    yield start
    for name in names:
        await docker_engine.remove(name)


async def docker_engine_unused(*_arguments: object) -> int:
    raise AssertionError("this probe runs no command")


def to(
    application: str, release: str, name: str, host: str = "shop.example", **fields: object
) -> ApplicationRoutes:
    """One plain route to a replica."""
    route = Route(host, (f"http://{name}:3000",), **fields)  # type: ignore[arg-type]
    return ApplicationRoutes(application, release, (route,))
