"""Commands that people run in and beside a real application."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from domain.replicas import ONE_OFF_COMMAND_ROLE, ROLE_LABEL
from tests.e2e.applications import create
from tests.e2e.installation import INHERITED, installed
from tests.harness.processes import REPOSITORY_ROOT
from tests.harness.waiting import eventually

LOOK = """
import os, socket, urllib.request
print(os.environ["GREETING"], open("/data/note").read())
url = f"http://{os.environ['NAME']}:{os.environ['PORT']}/"
print(urllib.request.urlopen(url, timeout=10).read().decode().strip())
"""


async def started(seaway, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "seaway", *arguments,
        env=INHERITED
        | {
            "PYTHONPATH": str(REPOSITORY_ROOT),
            "SEAWAY_URL": f"http://127.0.0.1:{seaway.ports.api}",
            "SEAWAY_TOKEN": seaway.credentials["token"],
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def one_off_containers(application) -> list[str]:
    return [
        one.id for one in await application.containers() if one.labels[ROLE_LABEL] == ONE_OFF_COMMAND_ROLE
    ]


async def test_a_command_has_what_the_application_has_and_a_release_does_not_end_it(
    seaway, new_application, git_repository
):
    application = await new_application()
    await application.set_variables(GREETING="hello", NAME=application.name)
    await application.mount(type="persistent", name="data", mount_path="/data")
    await application.deploy()
    result = await seaway.command("exec", application.name, "--", "sh", "-c", "echo kept >/data/note")
    assert result.exit_code == 0, result.errors
    result = await seaway.command("run", application.name, "--", "python3", "-c", LOOK)
    assert (result.exit_code, result.output.split()) == (0, ["hello", "kept", "v1"]), result.errors
    long = await started(seaway, "run", application.name, "--", "sh", "-c", "echo ready; sleep 600")
    assert long.stdout is not None
    assert await long.stdout.readline() == b"ready\n"
    git_repository.release("v2")
    await application.deploy()
    assert await application.version() == "v2"
    assert len(await one_off_containers(application)) == 1
    await application.delete()
    async with asyncio.timeout(20):
        assert await long.wait() in (137, 143)
    assert not await application.containers()


@pytest.mark.drill
async def test_a_seaway_that_was_killed_removes_at_its_next_start_what_its_commands_left(
    tmp_path, engine, base_images, git_repository
):
    async with installed(tmp_path / "killed", engine) as seaway:
        await seaway.start()
        application = await create(seaway, "public", git_repository=git_repository.url, git_branch="main")
        await application.deploy()
        process = await started(seaway, "run", application.name, "--", "sh", "-c", "echo ready; sleep 600")
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        os.kill(seaway.running.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            assert await process.wait() == 4
        assert len(await one_off_containers(application)) == 1
        await seaway.running.wait(20)
        await seaway.start()

        async def is_gone() -> bool:
            return not await one_off_containers(application)

        await eventually(is_gone, 20)
        assert await application.version() == "v1"
