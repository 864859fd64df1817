"""A server that is gone for good, by the whole of Seaway: forgotten within seconds, with what leads there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import docker
import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.e2e.applications import Application, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images
from tests.harness.images import BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually
from workflows.names import server_workflow_id

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]
# How long undoing waits for a server that may come back is left as it is: ten minutes.
IMPATIENT = {"SEAWAY_SERVER_CHECK_SECONDS": "2", "SEAWAY_WATCH_SECONDS": "2"}
NOTICED_SECONDS = 90.0
FORGOTTEN_SECONDS = 45.0
"""Far more than it takes, and far less than asking the server once for everything would take."""


@dataclass
class Harbour:
    """A Seaway, and a server of it with two applications."""

    seaway: Installation
    machine: SshServer
    server: str
    resting: Application
    releasing: Application

    async def shown(self) -> dict[str, Any]:
        """The server, as the API shows it."""
        found: dict[str, Any] = await self.seaway.ask("GET", f"/servers/{self.server}")
        return found


@pytest.fixture
async def harbour(
    engine: docker.DockerClient,
    base_images: BaseImages,
    git_repository: GitRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Harbour]:
    """Both applications serve; one of them is released anew, which takes long."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("harbour")) as servers:
            await seaway.start()
            machine = await asyncio.to_thread(servers.add)
            await load_images([machine], base_images.python)
            key = await add_key(seaway, servers.private_key)
            server = await add_server(seaway, machine, key, name="harbour")
            made = []
            for _ in range(2):
                application = await create(
                    seaway,
                    git_repository=git_repository.url,
                    git_branch="main",
                    server_uuid=server,
                    health_check_interval=1,
                    health_check_retries=100,
                )
                await application.deploy()
                made.append(application)
            yield Harbour(seaway, machine, server, *made)


def connections_to(host: str) -> list[str]:
    """The connections of this machine to an address that are open, or are being opened."""
    wanted = f"{int.from_bytes(IPv4Address(host).packed, 'little'):08X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[2] for row in rows if row[2].startswith(wanted) and row[3] in ("01", "02")]


async def test_a_server_that_is_gone_is_forgotten_within_seconds_when_that_is_asked_for(
    harbour: Harbour, record_property: Callable[[str, object], None]
) -> None:
    seaway, path = harbour.seaway, f"/servers/{harbour.server}"
    await harbour.releasing.set_variables(START_DELAY_SECONDS="60")
    deployment = await harbour.releasing.start_deploy()

    async def is_asked_for_health() -> bool:
        shown = await harbour.releasing.shown(deployment)
        return any(step["name"] == "health" and step["status"] == "running" for step in shown["steps"])

    await eventually(is_asked_for_health, NOTICED_SECONDS, describe="a release that waits for health")
    await asyncio.to_thread(harbour.machine.cut)

    async def is_missed() -> bool:
        return (await harbour.shown())["status"] == "unreachable"

    await eventually(is_missed, NOTICED_SECONDS, 0.2, "a server that is unreachable")
    status, refusal = await seaway.refused("DELETE", path, params={"delete_resources": True})
    assert (status, "does not answer" in refusal["message"]) == (400, True)
    assert (await harbour.shown())["status"] == "unreachable"

    began = time.monotonic()
    forgotten = await seaway.command("server", "rm", "harbour", "--with-applications", "--forget", "--yes")
    seconds = time.monotonic() - began
    record_property("seconds", round(seconds, 1))
    assert forgotten.exit_code == 0, forgotten.output + forgotten.errors
    assert seconds < FORGOTTEN_SECONDS
    assert (await seaway.api.get(path)).status_code == 404
    for application in (harbour.resting, harbour.releasing):
        assert application.name in forgotten.errors
    assert await seaway.ask("GET", "/applications") == []
    temporal = await seaway.temporal()
    workflow = await temporal.get_workflow_handle(server_workflow_id(harbour.server)).describe()
    assert workflow.status is WorkflowExecutionStatus.COMPLETED
    # Back again, nobody comes to it: the watch and the connections have ended.
    await asyncio.to_thread(harbour.machine.heal)
    await eventually(
        lambda: not connections_to(harbour.machine.host), 30, describe="nobody who connects to the server"
    )
