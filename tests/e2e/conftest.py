"""One Seaway for all end-to-end tests, and the secrets that none of its records may show."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import docker
import pytest

from tests.e2e.applications import Application, create
from tests.e2e.installation import Installation, installed
from tests.e2e.leaks import assert_nothing_leaked
from tests.harness.images import BaseImages
from tests.harness.repositories import GitRepository

_markers: list[str] = []


@pytest.fixture(scope="session")
def secret_value() -> Callable[[], str]:
    """Makes a random value that must not show up in clear anywhere."""

    def make() -> str:
        # No prefix by which the patterns for tokens could hide it: only knowing the value helps.
        marker = f"zq{secrets.token_hex(14)}"
        _markers.append(marker)
        return marker

    return make


@pytest.fixture(scope="session")
def used_secrets() -> list[str]:
    """All that `secret_value` made so far."""
    return _markers


@pytest.fixture(scope="session")
async def seaway(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """A running Seaway that the tests share; each makes applications of its own.

    At the end nothing that it kept may show a secret that any test used.
    """
    async with installed(tmp_path_factory.mktemp("seaway"), engine) as installation:
        await installation.start()
        yield installation
        await assert_nothing_leaked(installation, _markers)


@pytest.fixture
def new_application(seaway: Installation, git_repository: GitRepository) -> Callable[..., Any]:
    """Makes applications, from the test's own repository unless another source is given."""

    async def make(kind: str = "public", **fields: Any) -> Application:
        if kind == "public":
            fields = {"git_repository": git_repository.url, "git_branch": "main", **fields}
        return await create(seaway, kind, **fields)

    return make


@pytest.fixture
async def deployed(new_application: Callable[..., Any]) -> Application:
    """An application whose version `v1` serves."""
    application: Application = await new_application()
    await application.deploy()
    return application
