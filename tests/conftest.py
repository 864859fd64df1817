"""Fixtures that every kind of test may use. What they start lives as long as the session and dies with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import docker
import pytest
from temporalio.client import Client

from tests.harness.engine import connect, ensure_engine
from tests.harness.images import BaseImages, ensure_base_images, ensure_sample_application_image
from tests.harness.repositories import GitRepository
from tests.harness.second_chance import SecondChance
from tests.harness.temporal import TemporalServer

TESTS = Path(__file__).parent
KINDS = ("unit", "workflow", "integration", "e2e", "faults")


def pytest_configure(config: pytest.Config) -> None:
    """What runs beside others is worth a second try alone, if little of it failed (scripts/tests)."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SecondChance())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test is of the kind that its folder says."""
    for item in items:
        if item.path.is_relative_to(TESTS):
            kind = item.path.relative_to(TESTS).parts[0]
            if kind in KINDS:
                item.add_marker(kind)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of a Docker Engine, which is started where none runs."""
    client = connect(ensure_engine())
    yield client
    client.close()


@pytest.fixture(scope="session")
def base_images(engine: docker.DockerClient) -> BaseImages:
    """The images that others build upon."""
    return ensure_base_images(engine)


@pytest.fixture(scope="session")
def sample_application_image(engine: docker.DockerClient) -> str:
    """The tag of the sample application, version `v1`."""
    return ensure_sample_application_image(engine)


@pytest.fixture(scope="session")
async def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    """A Temporal server in memory, shared by the session: use task queues and ids of your own."""
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
async def temporal_client(temporal_server: TemporalServer) -> Client:
    """A client of that server."""
    return await temporal_server.connect()


@pytest.fixture
def make_git_repository(tmp_path: Path) -> Callable[[str], GitRepository]:
    """Makes Git repositories in a temporary folder, by name."""
    return lambda name: GitRepository(tmp_path / "git", name)


@pytest.fixture
def git_repository(make_git_repository: Callable[[str], GitRepository]) -> GitRepository:
    """A Git repository whose `main` has the sample application, version `v1`."""
    repository = make_git_repository("application")
    repository.release("v1")
    return repository
