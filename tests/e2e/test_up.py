"""`seaway up` as a process: how it starts, what it refuses, and what survives its death."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.applications import Application, create, statuses
from tests.e2e.installation import (
    INHERITED,
    TRACEBACK,
    Installation,
    children_of,
    command_of,
    installed,
    is_gone,
    memory_megabytes,
    running_commands,
)
from tests.harness.images import BaseImages
from tests.harness.processes import REPOSITORY_ROOT, free_port
from tests.harness.repositories import GitRepository
from tests.harness.waiting import eventually

BUILD_SECONDS = 4
SLOW_BUILD = (
    f"FROM seaway-test/python:1\nWORKDIR /app\nRUN sleep {BUILD_SECONDS}\nCOPY . .\nCMD python3 app.py\n"
)
REFUSAL_LIMIT_SECONDS = 60
UNPRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


async def refusal(installation: Installation, *wrapper: str, **settings: str) -> str:
    """The one line with which a start is refused."""
    process = await asyncio.create_subprocess_exec(
        *wrapper, sys.executable, "-m", "seaway", "up",
        env=INHERITED | {"PYTHONPATH": str(REPOSITORY_ROOT)} | installation.settings | settings,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), REFUSAL_LIMIT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode not in (0, None), text
    assert not TRACEBACK.search(text), text
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("Error: ")
    return lines[0]


Others = Callable[[], Installation]


@pytest.fixture
async def others(engine: docker.DockerClient, tmp_path: Path) -> AsyncIterator[Others]:
    """Makes Seaways with folders and ports of their own, of which none runs afterwards."""
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(installed(tmp_path / f"other-{number}", engine))
            for number in range(6)
        ]
        unused = iter(made)
        yield lambda: next(unused)
        assert not [command for command in running_commands() if str(tmp_path / "other-") in command]


async def test_a_port_in_use_is_named_with_the_way_out(seaway: Installation, others: Others):
    taken = seaway.ports

    async def check(setting: str, port: int, option: str) -> None:
        told = await refusal(others(), **{setting: str(port)})
        assert str(port) in told
        assert re.search("in use|already used", told), told
        assert option in told

    await asyncio.gather(
        check("SEAWAY_PORT", taken.api, "--port"),
        check("SEAWAY_TEMPORAL_PORT", taken.temporal, "SEAWAY_TEMPORAL_PORT"),
        check("SEAWAY_HTTP_PORT", taken.http, "--http-port"),
    )


async def test_a_folder_in_use_a_missing_engine_and_wrong_settings_are_named(
    seaway: Installation, others: Others, tmp_path: Path
):
    socket, file = tmp_path / "docker.sock", tmp_path / "file"
    file.write_text("")

    async def check(setting: str, value: object, *words: object) -> None:
        told = await refusal(others(), **{setting: str(value)})
        assert not [word for word in words if str(word) not in told], told

    await asyncio.gather(
        check("SEAWAY_DATA_DIR", seaway.data, seaway.data, seaway.running.pid, "--data-dir"),
        check("SEAWAY_DOCKER_SOCKET", socket, socket, "Docker", "SEAWAY_DOCKER_SOCKET"),
        check("SEAWAY_DATA_DIR", file, file, "--data-dir"),
        check("SEAWAY_DATABASE_URL", "mysql://localhost/x", "SEAWAY_DATABASE_URL", "mysql"),
        check("SEAWAY_INSTANCE", "Not A Name", "instance"),
        check("SEAWAY_PORT", "http", "port"),
    )


async def test_a_port_that_this_user_may_not_use_is_named(others: Others):
    everybody = await asyncio.to_thread(UNPRIVILEGED_PORTS.read_text)
    assert int(everybody) > 81, "this kernel lets everybody use port 81"
    # Root without this capability is as good as anybody (capabilities(7)).
    unprivileged = ["setpriv", "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    told = await refusal(others(), *unprivileged, SEAWAY_PORT="81")
    assert "81" in told
    assert "--port" in told


@pytest.fixture(scope="module")
async def own(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """A Seaway that this module may kill."""
    async with installed(tmp_path_factory.mktemp("own"), engine) as installation:
        yield installation


@pytest.fixture(scope="module")
def own_repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    repository = GitRepository(tmp_path_factory.mktemp("own-git"), "own")
    repository.release("v1")
    return repository


@pytest.fixture(scope="module")
async def served(own: Installation, own_repository: GitRepository) -> Application:
    """An application on the Seaway that is killed."""
    if own.process is None:
        await own.start()
    application = await create(own, git_repository=own_repository.url, git_branch="main", name="survivor")
    await application.deploy()
    return application


async def test_it_is_ready_within_seconds_and_small(own: Installation, record_property: Any):
    first = await own.start()
    await own.interrupt()
    second = await own.start()
    pids = [own.running.pid, *children_of(own.running.pid)]
    memory = memory_megabytes(pids)
    record_property("start_seconds", second)
    record_property("memory_megabytes", memory)
    sys.stdout.write(
        f"ready in {first:.1f} s, then {second:.1f} s; {memory:.0f} MB in {len(pids)} processes\n"
    )
    assert memory < 450
    said = own.running.output
    assert f"http://127.0.0.1:{own.ports.api}" in said
    assert own.credentials["password"] not in said
    assert (own.data / "credentials.json").stat().st_mode & 0o077 == 0
    assert own.data.stat().st_mode & 0o077 == 0


async def build_runs(application: Application, version: str, repository: GitRepository) -> str:
    """Starts a release whose build takes a while, and returns when that builds."""
    repository.release(version, {"Dockerfile": SLOW_BUILD, "unique": version})
    deployment = await application.start_deploy(force="true")

    async def look() -> bool:
        return statuses(await application.shown(deployment)).get("build") == "running"

    await eventually(look, 30)
    return deployment


async def finishes(application: Application, deployment: str, version: str) -> dict[str, Any]:
    """The deployment ends well, with one container, and a log without gap or repetition."""
    shown = await application.finished(deployment)
    assert await application.version() == version
    assert len(await application.containers()) == 1
    lines = (await application.log_of(deployment)).splitlines()
    assert sum("RUN sleep" in line and "[" in line for line in lines) <= 2, lines
    return shown


async def test_ctrl_c_during_a_deployment_ends_cleanly_and_the_next_start_finishes_it(
    own: Installation, served: Application, own_repository: GitRepository
):
    before = await served.version()
    deployment = await build_runs(served, "after-ctrl-c", own_repository)
    children = children_of(own.running.pid)
    async with served.load() as load:
        assert await own.interrupt() == 0
        for pid in children:
            await is_gone(pid)
        assert await served.version() == before
        await own.start()
        await finishes(served, deployment, "after-ctrl-c")
    load.report().assert_no_failures(50)
    assert not TRACEBACK.search(own.log.read_text()), own.log.read_text()[-4000:]


async def test_a_killed_seaway_leaves_no_process_and_the_next_start_finishes_the_deployment(
    own: Installation, served: Application, own_repository: GitRepository
):
    deployment = await build_runs(served, "after-kill", own_repository)
    children = children_of(own.running.pid)
    assert any("temporal" in command_of(pid) for pid in children)
    async with served.load() as load:
        own.running.kill()
        for pid in children:
            await is_gone(pid)
        await own.start()
        await finishes(served, deployment, "after-kill")
    load.report().assert_no_failures(50)


async def test_a_killed_temporal_server_is_started_again_and_the_deployment_goes_on(
    own: Installation, served: Application, own_repository: GitRepository
):
    deployment = await build_runs(served, "after-temporal", own_repository)
    (temporal,) = [pid for pid in children_of(own.running.pid) if "start-dev" in command_of(pid)]
    async with served.load() as load:
        os.kill(temporal, signal.SIGKILL)
        await finishes(served, deployment, "after-temporal")
    load.report().assert_no_failures(50)
    assert own.running.is_running
    (again,) = [pid for pid in children_of(own.running.pid) if "start-dev" in command_of(pid)]
    assert again != temporal


@pytest.mark.drill
async def test_the_ports_may_change_from_one_start_to_the_next(own: Installation, served: Application):
    await own.interrupt()
    own.ports.api = free_port()
    own.settings["SEAWAY_PORT"] = str(own.ports.api)
    own.api.base_url = f"http://127.0.0.1:{own.ports.api}/api/v1"
    await own.start()
    assert own.credentials["url"] == f"http://127.0.0.1:{own.ports.api}"
    version = await served.version()
    await served.deploy()
    assert await served.version() == version
