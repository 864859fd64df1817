"""An engine that is stopped, and a disk that gets full, in the midst of a release on two servers.

Each ends within its limit and in words, on the old version, and the next release works.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import docker
import httpx
import pytest

from activities.step_recording import LEFT_FOR_LATER
from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, version_at
from tests.harness.images import PYTHON, BaseImages
from tests.harness.load import LoadGenerator
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
IMPATIENT = {
    "SEAWAY_SERVER_CHECK_SECONDS": "3",
    "SEAWAY_LOST_SERVER_SECONDS": "5",
    "SEAWAY_MINIMUM_FREE_DISK_MB": "256",
}
SMALL_DISK_MEGABYTES = 3000
ROOM_MEGABYTES = 60
LIMIT_SECONDS = 240.0
DOCKERFILE = f"""\
FROM {PYTHON}
WORKDIR /app
CMD ["python3", "app.py"]
EXPOSE 3000
COPY app.py VERSION ./
"""
FILLS_THE_DISK = f"{DOCKERFILE}RUN head -c {2 * SMALL_DISK_MEGABYTES}M /dev/zero > /filler\n"
HEAVY = f"{DOCKERFILE}RUN head -c {3 * ROOM_MEGABYTES}M /dev/urandom > /ballast\n"


@dataclass
class Pair:
    """A Seaway, and two machines, of which the first has a small disk, with what it calls them."""

    seaway: Installation
    machines: list[SshServer]
    ids: list[str]

    async def versions(self, host: str) -> list[str]:
        """What visitors get from each server."""
        return list(await asyncio.gather(*[version_at(one, host) for one in self.machines]))

    async def replicas(self, application: str) -> list[int]:
        """How many containers the application has on each server, running or not."""
        look = ("docker", "ps", "-aq", "--filter", f"label=seaway.application={application}")
        answers = await asyncio.gather(*[asyncio.to_thread(one.run, *look) for one in self.machines])
        return [len(output.split()) for _, output in answers]


@pytest.fixture(scope="module")
async def pair(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """Both are usable."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("pair")) as servers:
            await seaway.start()
            machines = [await asyncio.to_thread(servers.add, name) for name in ("small", "large")]
            await asyncio.to_thread(machines[0].shrink_disk, SMALL_DISK_MEGABYTES)
            await load_images(machines, base_images.python)
            key = await add_key(seaway, servers.private_key)
            adding = [add_server(seaway, machine, key) for machine in machines]
            yield Pair(seaway, machines, list(await asyncio.gather(*adding)))


async def on_both(pair: Pair, repository: GitRepository, *ids: str) -> Application:
    """An application whose `v1` serves on both servers; the first one that is named builds."""
    repository.commit({"Dockerfile": DOCKERFILE})
    application = await create(
        pair.seaway,
        git_repository=repository.url,
        git_branch="main",
        server_uuid=ids[0],
        server_uuids=list(ids),
        drain_seconds=5,
        health_check_interval=1,
        health_check_timeout=2,
    )
    await application.deploy()
    assert await pair.versions(application.host) == ["v1", "v1"]
    return application


def visitors(application: Application, machine: SshServer) -> LoadGenerator:
    """Of one server."""
    return LoadGenerator(
        f"http://{application.host}",
        address=(machine.host, 80),
        rate_per_second=10,
        slow_every_seconds=0,
        websockets=0,
    )


async def assert_next_release_works(pair: Pair, application: Application, repository: GitRepository) -> None:
    """On both servers, which have nothing else of the application afterwards."""
    repository.release("v3", {"Dockerfile": DOCKERFILE})
    shown = await application.ended(await application.start_deploy(), LIMIT_SECONDS)
    assert shown["outcome"] == "finished", brief(shown)
    assert await pair.versions(application.host) == ["v3", "v3"]
    assert await pair.replicas(application.uuid) == [1, 1]
    await application.delete()


async def test_a_build_that_fills_the_disk_fails_in_words_and_gives_the_room_back(
    pair: Pair, git_repository: GitRepository
) -> None:
    application = await on_both(pair, git_repository, *pair.ids)
    git_repository.release("v2", {"Dockerfile": FILLS_THE_DISK})
    async with AsyncExitStack() as stack:
        loads = [await stack.enter_async_context(visitors(application, one)) for one in pair.machines]
        failed = await application.fail(LIMIT_SECONDS)
    assert "disk is full" in failed["error"]["message"], failed["error"]
    for load in loads:
        load.report().assert_no_failures(20)
    assert await pair.versions(application.host) == ["v1", "v1"]
    await assert_next_release_works(pair, application, git_repository)


async def test_an_image_for_which_a_server_has_no_room_leaves_the_old_version_on_all(
    pair: Pair, git_repository: GitRepository
) -> None:
    small, _ = pair.machines
    application = await on_both(pair, git_repository, *reversed(pair.ids))
    fill = (
        f"free=$(df -m --output=avail /var/lib/docker | tail -1); "
        f"fallocate -l $((free - {ROOM_MEGABYTES}))M /var/lib/docker/filler"
    )
    code, output = await asyncio.to_thread(small.run, "sh", "-c", fill)
    assert code == 0, output
    git_repository.release("v2", {"Dockerfile": HEAVY})
    try:
        async with AsyncExitStack() as stack:
            loads = [await stack.enter_async_context(visitors(application, one)) for one in pair.machines]
            failed = await application.fail(LIMIT_SECONDS)
    finally:
        await asyncio.to_thread(small.run, "rm", "/var/lib/docker/filler")
    assert failed["error"]["code"] == "disk_full", failed["error"]
    assert small.name in failed["error"]["message"], failed["error"]
    for load in loads:
        load.report().assert_no_failures(20)
    assert await pair.versions(application.host) == ["v1", "v1"]
    assert await pair.replicas(application.uuid) == [1, 1]
    await assert_next_release_works(pair, application, git_repository)


async def test_an_engine_that_stays_stopped_in_the_midst_of_a_release_does_not_hold_it(
    pair: Pair, git_repository: GitRepository
) -> None:
    """The other server serves on all the time; what could not be undone is, once the engine is back."""
    small, large = pair.machines
    application = await on_both(pair, git_repository, *reversed(pair.ids))
    await application.set_variables(START_DELAY_SECONDS="15")
    git_repository.release("v2")
    async with visitors(application, large) as load:
        deployment = await application.start_deploy()

        async def is_probed() -> bool:
            steps = (await application.shown(deployment))["steps"]
            return sum(step["name"] == "health" and step["status"] == "running" for step in steps) == 2

        await eventually(is_probed, 90, describe="replicas that are being probed")
        await asyncio.to_thread(small.stop_engine)
        failed = await application.ended(deployment, LIMIT_SECONDS)
        assert failed["outcome"] == "failed", brief(failed)
        assert failed["error"]["code"] in ("engine_unavailable", "release_unhealthy"), failed["error"]
        [left] = [one for one in failed["steps"] if (one["name"], one["server"]) == ("start", small.name)]
        assert (left["status"], LEFT_FOR_LATER in left["message"]) == ("failed", True), left
        assert await version_at(large, application.host) == "v1"
        await asyncio.to_thread(small.start_engine)

        async def is_as_before() -> bool:
            both = await pair.versions(application.host)
            return both == ["v1", "v1"] and await pair.replicas(application.uuid) == [1, 1]

        # The proxy there begins to listen some time after the engine.
        nobody = (httpx.TransportError,)
        await eventually(is_as_before, 120, 1.0, "v1, and nothing else, on both servers", nobody)
    load.report().assert_no_failures(20)
    await application.set_variables(START_DELAY_SECONDS="0")
    await assert_next_release_works(pair, application, git_repository)
