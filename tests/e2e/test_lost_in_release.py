"""A server that loses its power in the midst of a release on two: the other one does not wait for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import pytest

from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, version_at
from tests.harness.images import PYTHON, BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
PATIENCE_SECONDS = 150
SETTINGS = {"SEAWAY_SERVER_CHECK_SECONDS": "3", "SEAWAY_LOST_SERVER_SECONDS": str(PATIENCE_SECONDS)}
LIMIT_SECONDS = 400.0
DOCKERFILE = f"""\
FROM {PYTHON}
WORKDIR /app
CMD ["python3", "app.py"]
EXPOSE 3000
COPY app.py VERSION ./
"""


@dataclass
class Pair:
    """A Seaway, and two machines with what it calls them."""

    seaway: Installation
    machines: list[SshServer]
    ids: list[str]

    async def versions(self, host: str) -> list[str]:
        """What visitors get from each server."""
        return list(await asyncio.gather(*[version_at(one, host) for one in self.machines]))


@pytest.fixture(scope="module")
async def pair(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """Both are usable."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **SETTINGS) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("pair")) as servers:
            await seaway.start()
            machines = [await asyncio.to_thread(servers.add, name) for name in ("east", "west")]
            await load_images(machines, base_images.python)
            key = await add_key(seaway, servers.private_key)
            adding = [add_server(seaway, machine, key) for machine in machines]
            yield Pair(seaway, machines, list(await asyncio.gather(*adding)))


async def on_both(pair: Pair, repository: GitRepository, **more: Any) -> Application:
    """An application whose `v1` serves on both servers."""
    repository.commit({"Dockerfile": DOCKERFILE})
    application = await create(
        pair.seaway,
        git_repository=repository.url,
        git_branch="main",
        server_uuid=pair.ids[0],
        server_uuids=pair.ids,
        drain_seconds=5,
        health_check_interval=1,
        health_check_timeout=2,
        **more,
    )
    await application.deploy()
    assert await pair.versions(application.host) == ["v1", "v1"]
    return application


def statuses(shown: dict[str, Any], name: str) -> dict[str, str]:
    return {step["server"]: step["status"] for step in shown["steps"] if step["name"] == name}


async def step_is(application: Application, deployment: str, name: str, *expected: str) -> None:
    """Returns when the step has one of these statuses on every server."""

    async def is_so() -> bool:
        found = statuses(await application.shown(deployment), name)
        return len(found) == 2 and set(found.values()) <= set(expected)

    await eventually(is_so, 120, describe=f"the step {name}")


async def serves(machine: SshServer, application: Application, version: str) -> None:
    async def is_so() -> bool:
        with contextlib.suppress(httpx.HTTPError):  # its proxy is not back yet
            return await version_at(machine, application.host) == version
        return False

    await eventually(is_so, PATIENCE_SECONDS, describe=f"{version} on {machine.name}")


async def test_a_server_that_lost_its_power_keeps_no_other_down_where_ports_are_handed_over(
    pair: Pair, git_repository: GitRepository
) -> None:
    east, west = pair.machines
    application = await on_both(pair, git_repository, ports_mappings="18080:3000")
    await application.set_variables(START_DELAY_SECONDS="20")
    git_repository.release("v2")
    deployment = await application.start_deploy()
    await step_is(application, deployment, "health", "running")
    await asyncio.to_thread(west.kill)
    try:
        await serves(east, application, "v1")
        # The lost one is still waited for.
        assert (await application.shown(deployment))["outcome"] is None
        failed = await application.ended(deployment, LIMIT_SECONDS)
        assert failed["outcome"] == "failed", brief(failed)
    finally:
        await asyncio.to_thread(west.start)
    await serves(west, application, "v1")
    await application.set_variables(START_DELAY_SECONDS="0")
    await assert_next_release_works(pair, application, git_repository)


async def assert_next_release_works(pair: Pair, application: Application, repository: GitRepository) -> None:
    repository.release("v3")
    shown = await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert shown["outcome"] == "finished", brief(shown)
    assert await pair.versions(application.host) == ["v3", "v3"]
    await application.delete()
