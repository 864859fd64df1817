"""The installation on which faults happen, and the tables that are shown at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import docker
import pytest

from tests.harness.images import BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.temporal import TemporalServer

TABLES = pytest.StashKey[dict[str, list[str]]]()


@pytest.fixture(scope="session")
async def seaway(
    tmp_path_factory: pytest.TempPathFactory,
    temporal_server: TemporalServer,
    engine: docker.DockerClient,
    base_images: BaseImages,
) -> AsyncIterator[SeawayInstallation]:
    """A Seaway with a proxy and a database of its own."""
    installation = SeawayInstallation(tmp_path_factory.mktemp("seaway"), temporal_server, engine)
    try:
        await installation.open()
        yield installation
    finally:
        await installation.close()


@pytest.fixture(scope="session")
def tables(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """Lines by title, shown when all tests are over."""
    return request.config.stash.setdefault(TABLES, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Shows the tables."""
    for title, lines in config.stash.get(TABLES, {}).items():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
