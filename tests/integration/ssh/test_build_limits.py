"""Builds on a server of its own are held to its limits: by buildx, which tells the engine their group."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import docker
import pytest

from activities.build_limits import limited
from activities.servers import ServerParts
from adapters import build_limits
from adapters.buildkit import BuildCommand, BuildKit, BuildRequest, find_build_command
from adapters.docker import DockerEngine
from adapters.ssh.connection import SshConnection
from adapters.ssh.forwarding import DockerSocketForward
from domain.build_limits import BuildShares, own_group
from domain.errors import BuildFailed
from tests.harness.ssh_servers import TINY, SshServer, SshServers, copy_buildx
from tests.integration.ssh.conftest import way_to

# A machine of its own and builds that take as long as they are slow.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

LIMIT = timedelta(seconds=120)
# The shell keeps all of it in memory: more than a hundredth of this machine's memory, at least.
GREEDY = "RUN x=$(head -c {bytes} /dev/zero | tr '\\0' a); echo \"${{#x}}\""
# It needs nothing but one processor, and tells the seconds of it that it had, and how many passed.
BUSY = (
    "RUN cat /proc/self/cgroup; began=$(date +%s); i=0; while [ $i -lt 700000 ]; do i=$((i+1)); done; "
    "echo passed $(($(date +%s)-began)); times"
)


@pytest.fixture(scope="module")
def machine(servers: SshServers) -> SshServer:
    made = servers.add()
    made.load(TINY)
    return made


@pytest.fixture(scope="module")
async def buildx(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> BuildCommand:
    """The one of the servers' system: this machine may have none."""
    folder = await asyncio.to_thread(copy_buildx, engine, tmp_path_factory.mktemp("buildx"))
    return await find_build_command(str(folder), [], [])


@pytest.fixture
async def parts(machine: SshServer) -> AsyncIterator[ServerParts]:
    connection = SshConnection(way_to(machine))
    async with DockerSocketForward(connection) as forward:
        engine = DockerEngine(forward.socket_path)
        yield cast(ServerParts, SimpleNamespace(engine=engine, commands=connection, is_local=False))
        await engine.close()
    await connection.close()


@pytest.fixture
async def instance(parts: ServerParts) -> AsyncIterator[str]:
    """Groups are of the whole machine, also of one in a container."""
    name = f"limits-{uuid.uuid4().hex[:8]}"
    yield name
    await build_limits.remove(parts.commands, own_group(name))
    assert (await groups(parts, name)) == []


async def groups(parts: ServerParts, instance: str) -> list[str]:
    """The folders of the group that are there."""
    listed = await parts.commands.run(
        ["find", "/sys/fs/cgroup", "-type", "d", "-path", f"*/{own_group(instance).path}"], timeout=LIMIT
    )
    return listed.stdout.split()


async def build(
    parts: ServerParts, buildkit: BuildKit, instance: str, folder: Path, step: str, shares: BuildShares
) -> list[str]:
    """What the build said, and what limits it."""
    (folder / "Dockerfile").write_text(f"FROM {TINY}\n{step}\n")
    lines: list[str] = []
    request = BuildRequest(
        folder, folder / "Dockerfile", f"{instance}:1", "", {}, {}, {}, use_cache=False, pull=False
    )
    async with limited(
        parts, "anvil", shares, lines.append, instance=instance, names_group=buildkit.names_group
    ) as group:
        request = BuildRequest(**{**vars(request), "group": group})
        await buildkit.build(request, engine_socket=parts.engine.socket, on_line=lines.append, timeout=LIMIT)
    return lines


async def test_a_build_that_takes_more_memory_than_builds_may_is_killed_and_says_so(
    parts: ServerParts, buildx: BuildCommand, instance: str, tmp_path: Path
):
    hundredth = (await parts.engine.ping()).memory_bytes // 100
    step = GREEDY.format(bytes=hundredth + 100 * 2**20)
    with pytest.raises(BuildFailed) as failure:
        await build(parts, BuildKit(command=buildx), instance, tmp_path, step, BuildShares(0, 1))
    assert failure.value.message.startswith("The build used more than ")
    assert "the limit of builds on the server anvil" in failure.value.message
    assert not failure.value.retryable
    assert "exit code: 137" in failure.value.detail

    with pytest.raises(BuildFailed, match="exit code 3") as failure:
        await build(parts, BuildKit(command=buildx), instance, tmp_path, "RUN exit 3", BuildShares(0, 1))
    assert "the limit of builds" not in failure.value.message


async def test_a_build_gets_no_more_of_the_processors_than_builds_may_have(
    parts: ServerParts, buildx: BuildCommand, instance: str, tmp_path: Path, record_property
):
    percent = max(round(10 / (await parts.engine.ping()).processors), 1)
    may_have = percent * (await parts.engine.ping()).processors / 100
    lines = await build(parts, BuildKit(command=buildx), instance, tmp_path, BUSY, BuildShares(percent, 0))
    log = "\n".join(lines)
    assert f"/{own_group(instance).path}/buildkit/" in log
    passed = re.search(r"passed (\d+)", log)
    had = re.search(r"(\d+)m([\d.]+)s \d+m[\d.]+s", log)
    assert passed is not None, log
    assert had is not None, log
    seconds = 60 * int(had[1]) + float(had[2])
    record_property("seconds_had_and_passed", [seconds, int(passed[1])])
    assert seconds > 0.2
    assert seconds / int(passed[1]) < 1.3 * may_have, "a busy machine may give less, none may give more"


async def test_a_user_without_root_builds_without_limits_and_learns_why(
    machine: SshServer, buildx: BuildCommand, instance: str, parts: ServerParts, tmp_path: Path
):
    connection = SshConnection(way_to(machine, "deployer"))
    poor = cast(ServerParts, SimpleNamespace(engine=parts.engine, commands=connection, is_local=False))
    try:
        lines = await build(
            poor, BuildKit(command=buildx), instance, tmp_path, "RUN echo made", BuildShares(90, 75)
        )
    finally:
        await connection.close()
    [why] = [line for line in lines if line.startswith("Builds cannot be limited on anvil: ")]
    assert "that takes root: sudo: " in why
    assert await groups(parts, instance) == []


async def test_a_client_that_cannot_name_the_group_builds_without_limits_and_says_so(
    parts: ServerParts, instance: str, tmp_path: Path
):
    buildkit = BuildKit()
    assert not await buildkit.names_group()
    lines = await build(parts, buildkit, instance, tmp_path, "RUN echo made", BuildShares(90, 75))
    # These servers' engines are told of a group of their own, so that their containers stay apart.
    assert "Builds cannot be limited on anvil: the engine was told to keep its groups elsewhere." in lines
    assert any("made" in line for line in lines)
    assert await groups(parts, instance) == []
