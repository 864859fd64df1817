"""A server on which the way back cannot be written: its files are read-only while a release is undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import docker
import pytest

from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, version_at
from tests.harness.images import BaseImages
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


@pytest.fixture
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
    application = await create(
        pair.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=pair.ids[0],
        server_uuids=pair.ids,
        drain_seconds=5,
        health_check_interval=1,
        health_check_timeout=2,
    )
    await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert await pair.versions(application) == ["v1", "v1"]

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

    async def is_back() -> bool:
        return await version_at(west, application.host) == "v1"

    await eventually(is_back, SETTLED_SECONDS, describe="the version from before on west")
    git_repository.release("v3")
    await application.change(post_deployment_command="")
    shown = await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert shown["outcome"] == "finished", brief(shown)
    assert await pair.versions(application) == ["v3", "v3"]
