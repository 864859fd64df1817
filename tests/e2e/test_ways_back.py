"""A server that takes no routes as a release is made or undone: read-only files, a proxy that cannot run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker
import httpx
import pytest

from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable, version_at
from tests.harness.images import PYTHON, BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

# The first run on a machine makes the servers' images.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]
SETTINGS = {"SEAWAY_SERVER_CHECK_SECONDS": "2", "SEAWAY_LOST_SERVER_SECONDS": "5"}
LIMIT_SECONDS = 200.0
SETTLED_SECONDS = 60.0
FOLDER = "/var/lib/seaway"
FAILS_WHEN_TOLD = "until [ -e /tmp/told ]; do sleep 0.2; done; exit 3"


@dataclass
class Pair:
    """A Seaway, and two machines with what it calls them."""

    seaway: Installation
    machines: list[SshServer]
    ids: list[str]

    async def versions(self, application: Application) -> list[str]:
        """What visitors get from each server."""
        asking = [version_at(one, application.host) for one in self.machines]
        return list(await asyncio.gather(*asking))


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


@contextmanager
def read_only(machine: SshServer) -> Iterator[None]:
    """Seaway's folder cannot be written; what its proxy reads there, it reads as before."""
    for command in (("mount", "--bind", FOLDER, FOLDER), ("mount", "-o", "remount,bind,ro", FOLDER)):
        code, output = machine.run(*command)
        assert code == 0, output
    try:
        yield
    finally:
        machine.run("umount", FOLDER)


@contextmanager
def without_proxy(machine: SshServer) -> Iterator[None]:
    """The proxy dies, and somebody else takes its port."""
    kill = "docker kill $(docker ps --quiet --filter label=seaway.role=proxy)"
    take = f"docker run --detach --name squatter --publish 80:80 {PYTHON} sleep 3600"
    code, output = machine.run("sh", "-c", f"{kill} && {take}")
    assert code == 0, output
    try:
        yield
    finally:
        machine.run("docker", "rm", "--force", "squatter")


async def on_both(pair: Pair, repository: GitRepository, **more: Any) -> Application:
    """An application whose `v1` serves on both servers."""
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
    await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert await pair.versions(application) == ["v1", "v1"]
    return application


async def until_back(machine: SshServer, application: Application) -> None:
    """Returns when visitors of the server get the version from before."""

    async def is_back() -> bool:
        try:
            return await version_at(machine, application.host) == "v1"
        except httpx.TransportError:
            return False

    await eventually(is_back, SETTLED_SECONDS, describe=f"the version from before on {machine.name}")


async def assert_next_release_works(pair: Pair, application: Application, repository: GitRepository) -> None:
    repository.release("v3")
    shown = await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert shown["outcome"] == "finished", brief(shown)
    assert await pair.versions(application) == ["v3", "v3"]


async def until_switched(pair: Pair, application: Application, version: str) -> None:
    async def has_switched() -> bool:
        return await pair.versions(application) == [version] * 2

    await eventually(has_switched, LIMIT_SECONDS, describe=f"{version} on both servers")


async def tell_the_command(machine: SshServer, application: Application, deployment: str) -> None:
    """The post-deploy command, which runs in the new version there, fails."""
    code, output = await asyncio.to_thread(
        machine.run, "docker", "exec", f"{application.uuid}-{deployment}-1", "touch", "/tmp/told"
    )
    assert code == 0, output


async def test_where_the_way_back_cannot_be_written_the_new_version_serves_until_it_can(
    pair: Pair, git_repository: GitRepository
) -> None:
    east, west = pair.machines
    application = await on_both(pair, git_repository)
    git_repository.release("v2")
    await application.change(post_deployment_command=FAILS_WHEN_TOLD)
    deployment = await application.start_deploy()
    await until_switched(pair, application, "v2")
    with read_only(west):
        await tell_the_command(east, application, deployment)
        failed = await application.ended(deployment, LIMIT_SECONDS)
        assert failed["outcome"] == "failed", brief(failed)
        assert failed["error"]["code"] == "command_failed", brief(failed)
        switched = {step["server"]: step for step in failed["steps"] if step["name"] == "switch"}
        assert switched[east.name]["status"] == "compensated", brief(failed)
        assert "read-only" in switched[west.name]["message"], brief(failed)
        # Its routes still lead to the new version, so that stays.
        assert await pair.versions(application) == ["v1", "v2"]

    await until_back(west, application)
    await application.change(post_deployment_command="")
    await assert_next_release_works(pair, application, git_repository)


@pytest.mark.parametrize("enough", [None, 1], ids=["all have to", "one is enough"])
async def test_a_proxy_that_cannot_run_ends_a_release_within_its_limit(
    pair: Pair, git_repository: GitRepository, enough: int | None
) -> None:
    east, west = pair.machines
    application = await on_both(pair, git_repository, min_available=enough)
    git_repository.release("v2")
    await application.set_variables(START_DELAY_SECONDS="10")
    deployment = await application.start_deploy()

    async def is_starting() -> bool:
        steps = (await application.shown(deployment))["steps"]
        return [one["status"] for one in steps if one["name"] == "health"] == ["running"] * 2

    await eventually(is_starting, LIMIT_SECONDS, describe="replicas that start")
    with without_proxy(west):
        ended = await application.ended(deployment, LIMIT_SECONDS)
        assert ended["outcome"] == ("finished" if enough else "failed"), brief(ended)
        assert await version_at(east, application.host) == ("v2" if enough else "v1")
        if enough is None:
            assert ended["error"]["code"] == "proxy_unavailable", brief(ended)
    await until_back(west, application)
    await application.set_variables(START_DELAY_SECONDS="0")
    await until_usable(pair.seaway, pair.ids[1])
    await assert_next_release_works(pair, application, git_repository)
