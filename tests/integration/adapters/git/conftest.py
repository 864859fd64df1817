"""A repository, mirrors of it, and the servers that give it away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters.git import GitMirrors
from tests.integration.adapters.git_servers import (
    Repository,
    SshServer,
    WebServer,
    make_repository,
    publish,
    ssh_server,
    web_server,
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path / "repository")
    made.commit({"app.txt": "one"}, "First\n\nWith a body, and ümlauts.")
    return made


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "mirrors")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SshServer]:
    async with ssh_server(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def web(tmp_path: Path, repository: Repository) -> Iterator[WebServer]:
    publish(repository, tmp_path / "web" / "app.git")
    with web_server(tmp_path / "web") as running:
        yield running
