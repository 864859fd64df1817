"""API and workers as processes of their own, against a Temporal server and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import docker
import pytest
from cryptography.fernet import Fernet

from tests.e2e.applications import create
from tests.e2e.installation import Installation, installed
from tests.harness.images import BaseImages
from tests.harness.postgresql import serve_postgresql
from tests.harness.processes import ManagedProcess, SeawayProcess
from tests.harness.repositories import GitRepository
from tests.harness.temporal import TemporalServer
from tests.harness.waiting import eventually


@pytest.fixture
async def postgresql(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an empty database on a server of its own."""
    async with serve_postgresql(tmp_path_factory.mktemp("postgresql")) as address:
        yield address


@pytest.fixture
async def cluster(
    engine: docker.DockerClient,
    base_images: BaseImages,
    postgresql: str,
    temporal_server: TemporalServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    """An API that runs alone, and no worker yet."""
    folder = tmp_path_factory.mktemp("cluster")
    settings = {
        "SEAWAY_DATABASE_URL": postgresql,
        "TEMPORAL_ADDRESS": temporal_server.address,
        "SEAWAY_SECRET_KEYS": Fernet.generate_key().decode(),
    }
    async with installed(folder, engine, **settings) as installation:
        await installation.start("api", ready="Ready: API")
        yield installation


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
