"""API and workers as processes of their own, against a Temporal server and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
from cryptography.fernet import Fernet

from domain.servers import NO_ENGINE
from seaway.local_engine import LOOK_SECONDS
from seaway.settings import Settings
from tests.e2e.applications import create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable, version_at
from tests.harness.images import BaseImages
from tests.harness.postgresql import serve_postgresql
from tests.harness.processes import ManagedProcess, SeawayProcess
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServers
from tests.harness.temporal import TemporalServer
from tests.harness.waiting import eventually


@pytest.fixture
async def postgresql(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an empty database on a server of its own."""
    async with serve_postgresql(tmp_path_factory.mktemp("postgresql")) as address:
        yield address


@pytest.fixture
def shared(postgresql: str, temporal_server: TemporalServer) -> dict[str, str]:
    """The settings of all parts: one database, one Temporal, one key."""
    return {
        "SEAWAY_DATABASE_URL": postgresql,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "SEAWAY_SECRET_KEYS": Fernet.generate_key().decode(),
    }


@pytest.fixture
async def cluster(
    engine: docker.DockerClient,
    base_images: BaseImages,
    shared: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    """An API that runs alone, and no worker yet."""
    async with installed(tmp_path_factory.mktemp("cluster"), engine, **shared) as installation:
        await installation.start("api", ready="Ready: API")
        yield installation


@pytest.fixture
async def without_engine(
    engine: docker.DockerClient,
    base_images: BaseImages,
    shared: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    """An API and two workers as in containers of their own, which start together on an empty database.

    Where an engine's socket would be, there is none.
    """
    folder = tmp_path_factory.mktemp("cluster")
    own = {
        "DOCKER_HOST": f"unix://{folder / 'docker.sock'}",
        "SEAWAY_WATCH_SECONDS": "1",
        "SEAWAY_SERVER_CHECK_SECONDS": "1",
    }
    async with installed(folder, engine, **shared, **own) as installation:
        logs = [folder / f"worker-{number}.log" for number in (1, 2)]
        with ExitStack() as stack:
            workers = [
                stack.enter_context(SeawayProcess(["worker"], log_path=log, env=installation.settings))
                for log in logs
            ]
            await installation.start("api", ready="Ready: API")
            for worker in workers:
                await worker.wait_for_output("Ready: worker")
            yield installation


async def local_of(seaway: Installation) -> dict[str, Any]:
    """How Seaway's own server stands."""
    found: dict[str, Any] = await seaway.ask("GET", f"/servers/{seaway.server}")
    return found


async def test_without_an_engine_seaways_own_server_is_not_usable_until_there_is_one(
    without_engine: Installation, git_repository: GitRepository
):
    seaway = without_engine
    shown = await local_of(seaway)
    assert (shown["name"], shown["status"]) == ("localhost", "not_usable")
    assert (shown["is_usable"], shown["is_reachable"], shown["status_message"]) == (False, False, NO_ENGINE)
    body = {"project_uuid": seaway.project, "git_repository": git_repository.url, "git_branch": "main"}
    for named in ({}, {"server_uuid": seaway.server}):
        status, refused = await seaway.refused("POST", "/applications/public", json={**body, **named})
        assert (status, refused["code"]) == (400, "not_possible_now")
        assert NO_ENGINE in refused["message"]
        assert "Validate" not in refused["message"]
    status, _ = await seaway.refused("POST", f"/servers/{seaway.server}/docker-cleanup/run")
    assert status == 400

    # Longer than anything that is done again and again takes to come by.
    await asyncio.sleep(2 * LOOK_SECONDS)
    for log in sorted(seaway.folder.glob("worker-*.log")):
        said = log.read_text().splitlines()
        assert len([line for line in said if "Docker" in line]) == 1, said
        assert not [line for line in said if "ERROR" in line or "Traceback" in line], said
    assert (await local_of(seaway))["status_message"] == NO_ENGINE
    assert await seaway.ask("GET", f"/servers/{seaway.server}/events") == []

    (seaway.folder / "docker.sock").symlink_to(Settings().effective_docker_socket)
    await until_usable(seaway, seaway.server)
    shown = await local_of(seaway)
    assert (shown["status"], shown["is_reachable"], shown["status_message"]) == ("usable", True, None)
    application = await create(seaway, git_repository=git_repository.url, git_branch="main")
    await application.deploy()
    assert await application.version() == "v1"


@pytest.mark.drill
@pytest.mark.timeout(1200)
async def test_without_an_engine_applications_are_built_and_served_by_servers_over_ssh(
    without_engine: Installation,
    git_repository: GitRepository,
    base_images: BaseImages,
    engine: docker.DockerClient,
    tmp_path: Path,
):
    seaway = without_engine
    with SshServers(engine, tmp_path / "servers") as servers:
        machine = await asyncio.to_thread(servers.add)
        await load_images([machine], base_images.python)
        server = await add_server(seaway, machine, await add_key(seaway, servers.private_key))
        # No server is named: only one can be meant.
        application = await create(
            seaway, git_repository=git_repository.url, git_branch="main", server_uuid=None
        )
        await application.deploy()
        assert await version_at(machine, application.host) == "v1"
        git_repository.release("v2")
        await application.deploy()
        assert await version_at(machine, application.host) == "v2"
        assert (await seaway.ask("GET", f"/servers/{server}"))["is_usable"]
        assert not (await local_of(seaway))["is_usable"]
        await application.delete()


async def test_an_api_and_workers_of_their_own_deploy_and_any_worker_may_die(
    cluster: Installation, git_repository: GitRepository
):
    application = await create(cluster, git_repository=git_repository.url, git_branch="main")
    # Without a worker nobody can promise anything, but what was asked for is done once there is one.
    request: dict[str, Any] = {
        "params": {"uuid": application.uuid},
        "headers": {"Idempotency-Key": "before-any-worker"},
    }
    answer = await cluster.api.post("/deploy", **request)
    assert (answer.status_code, answer.json()["code"]) == (503, "transient")
    assert "may still do" in answer.json()["message"]

    def worker(number: int) -> ManagedProcess:
        log = cluster.folder / f"worker-{number}.log"
        return SeawayProcess(["worker"], log_path=log, env=cluster.settings)

    async with AsyncExitStack() as stack:
        first = stack.enter_context(worker(1))
        await first.wait_for_output("Ready: worker")
        queued = (await cluster.ask("POST", "/deploy", **request))["deployments"][0]["deployment_uuid"]
        await application.finished(queued)
        assert await application.version() == "v1"
        listed = await cluster.ask("GET", f"/deployments/applications/{application.uuid}")
        assert listed["count"] == 1

        second = stack.enter_context(worker(2))
        await second.wait_for_output("Ready: worker")
        git_repository.release("v2")
        async with application.load() as load:
            deployment = await application.start_deploy()
            first.kill_group()
            await application.finished(deployment)
        load.report().assert_no_failures(10)
        assert await application.version() == "v2"
        assert len(await application.containers()) == 1
        assert await second.terminate() == 0
        await eventually(lambda: not second.is_running)
        assert cluster.running.is_running
