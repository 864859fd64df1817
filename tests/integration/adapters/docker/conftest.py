"""An engine and containers that go away with their test."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from adapters.docker import ContainerSpecification, DockerEngine
from tests.harness.images import BaseImages

Run = Callable[..., Awaitable[ContainerSpecification]]


@pytest.fixture(scope="session")
async def docker_engine(engine: object) -> AsyncIterator[DockerEngine]:
    adapter = DockerEngine(engine_socket(engine))
    yield adapter
    await adapter.close()


@pytest.fixture
async def container(docker_engine: DockerEngine, base_images: BaseImages) -> AsyncIterator[Run]:
    """Makes and starts a container from the fields of a specification; removed at the end of the test."""
    names: list[str] = []

    async def run(*command: str, start: bool = True, **fields: object) -> ContainerSpecification:
        name = f"seaway-test-{uuid.uuid4().hex[:12]}"
        names.append(name)
        specification = ContainerSpecification(
            **{"name": name, "image": base_images.python, "command": command, **fields}  # type: ignore[arg-type]
        )
        await docker_engine.ensure_container(specification)
        if start:
            await docker_engine.start(specification.name)
        return specification

    yield run
    for name in names:
        await docker_engine.remove(name)


def engine_socket(engine: object) -> str:
    """The path of the socket of the harness's engine."""
    base_url: str = engine.api._custom_adapter.socket_path  # type: ignore[attr-defined]
    return base_url


@pytest.fixture
def engine_path(engine: object) -> str:
    return engine_socket(engine)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
