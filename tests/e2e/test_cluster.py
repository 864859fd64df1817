"""API and workers as processes of their own, against a Temporal server and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
from cryptography.fernet import Fernet

from tests.e2e.applications import create
from tests.e2e.installation import Installation, installed
from tests.harness.images import BaseImages
from tests.harness.processes import ManagedProcess, SeawayProcess, free_port
from tests.harness.repositories import GitRepository
from tests.harness.temporal import TemporalServer
from tests.harness.waiting import eventually

POSTGRESQL = "/usr/lib/postgresql"


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them out of the PATH."""
    beside = sorted(Path(POSTGRESQL).glob(f"*/bin/{name}"))
    found = str(beside[-1]) if beside else shutil.which(name)
    assert found, "the tests need PostgreSQL (scripts/system-packages installs it)"
    return found


def as_postgres(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return argv
    pwd.getpwnam("postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *argv]


@pytest.fixture
async def postgresql(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of an empty database on a server of its own."""
    folder = tmp_path_factory.mktemp("postgresql")
    for parent in (folder, *folder.parents):
        if parent.owner() == pwd.getpwuid(os.geteuid()).pw_name and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    data, port = folder / "data", free_port()
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    argv = [program("initdb"), "--pgdata", str(data), "--username=seaway", "--auth=trust", "--no-sync"]
    process = await asyncio.create_subprocess_exec(*as_postgres(argv), stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}", "fsync=off"]
    options = [part for setting in settings for part in ("-c", setting)]
    argv = as_postgres([program("postgres"), "-D", str(data), *options])
    with ManagedProcess(argv, log_path=folder / "log") as server:
        await server.wait_for_output("ready to accept connections")
        yield f"postgresql://seaway@127.0.0.1:{port}/postgres"


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
