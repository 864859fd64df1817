"""Nothing stays on servers when applications are deleted and servers removed, by the whole of Seaway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest

from tests.e2e.applications import Application, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, version_at
from tests.harness.images import BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
IMPATIENT = {"SEAWAY_SERVER_CHECK_SECONDS": "2", "SEAWAY_LOST_SERVER_SECONDS": "5"}
SETTLED_SECONDS = 90.0
FOLDER = "/var/lib/seaway"


@dataclass
class Port:
    """A Seaway with two servers for applications and one that builds."""

    seaway: Installation
    machines: dict[str, SshServer]
    ids: dict[str, str]

    async def deployed(self, repository: GitRepository, on: str, **fields: Any) -> Application:
        """An application with a volume and a file, which serves there."""
        source: dict[str, Any] = {"git_repository": repository.url, "git_branch": "main"}
        application = await create(self.seaway, server_uuid=self.ids[on], **source, **fields)
        await application.mount(type="persistent", name="data", mount_path="/data")
        await application.mount(type="file", mount_path="/etc/password", content="a secret of the shop")
        await application.deploy()
        assert await version_at(self.machines[on], application.host) == "v1"
        return application

    async def remains(self, on: str, application: Application) -> list[str]:
        """Containers, images, volumes and files of the application on the server."""
        machine = self.machines[on]
        looks = (
            ("docker", "ps", "-aq", "--filter", f"name={application.uuid}"),
            ("docker", "images", "-q", f"seaway/{application.uuid}"),
            ("docker", "volume", "ls", "-q", "--filter", f"name={application.uuid}"),
            ("find", FOLDER, "-path", f"*{application.uuid}*"),
        )
        answers = await asyncio.gather(*[asyncio.to_thread(machine.run, *look) for look in looks])
        return [line for code, output in answers if code == 0 for line in output.split()]

    async def until_nothing_is_left(self, application: Application, *places: str) -> None:
        for place in places:

            async def is_clean(place: str = place) -> bool:
                return not await self.remains(place, application)

            await eventually(is_clean, SETTLED_SECONDS, describe=f"nothing of it on {place}")


@pytest.fixture(scope="module")
async def port(
    engine: docker.DockerClient,
    base_images: BaseImages,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Port]:
    """The servers are usable."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("port")) as servers:
            await seaway.start()
            names = ("harbour", "pier", "anvil")
            machines = {name: await asyncio.to_thread(servers.add) for name in names}
            await load_images([*machines.values()], base_images.python)
            key = await add_key(seaway, servers.private_key)
            adding = [
                add_server(seaway, machines[name], key, name=name, is_build_server=name == "anvil")
                for name in names
            ]
            ids = dict(zip(names, await asyncio.gather(*adding), strict=True))
            yield Port(seaway, machines, ids)


async def delete(port: Port, application: Application, **query: Any) -> None:
    path = f"/applications/{application.uuid}"
    await port.seaway.ask("DELETE", path, params=query)

    async def is_gone() -> bool:
        return (await port.seaway.api.get(path)).status_code == 404

    await eventually(is_gone, SETTLED_SECONDS, describe="the end of the deletion")


async def test_a_deleted_application_leaves_nothing_where_it_was_and_where_it_was_built(
    port: Port, git_repository: GitRepository
) -> None:
    application = await port.deployed(git_repository, "harbour", use_build_server=True)
    await application.change(server_uuids=[port.ids["pier"]])
    await application.deploy()
    assert await version_at(port.machines["pier"], application.host) == "v1"
    assert await port.remains("harbour", application)
    assert await port.remains("anvil", application)
    await delete(port, application)
    await port.until_nothing_is_left(application, "pier", "harbour", "anvil")


async def test_a_server_that_was_away_keeps_no_deleted_application_and_leads_nobody_to_it(
    port: Port, git_repository: GitRepository
) -> None:
    application = await port.deployed(git_repository, "harbour")
    machine = port.machines["harbour"]
    await asyncio.to_thread(machine.cut)
    try:
        await application.change(server_uuids=[port.ids["pier"]])
        await application.deploy()
        await delete(port, application)
    finally:
        await asyncio.to_thread(machine.heal)
    await port.until_nothing_is_left(application, "harbour", "pier")
    assert await version_at(machine, application.host) == "status 404"


async def test_a_server_that_is_removed_with_its_applications_keeps_nothing_of_either(
    port: Port, git_repository: GitRepository
) -> None:
    application = await port.deployed(git_repository, "harbour")
    assert any(line.endswith("-data") for line in await port.remains("harbour", application))
    removed = await port.seaway.command("server", "rm", "harbour", "--with-applications", "--yes")
    assert removed.exit_code == 0, removed.output + removed.errors
    machine = port.machines["harbour"]
    assert await port.remains("harbour", application) == []
    assert machine.run("docker", "ps", "-aq")[1].split() == []
    assert machine.run("docker", "images", "-q", "--filter", "reference=seaway/*")[1].split() == []
    assert machine.run("docker", "volume", "ls", "-q")[1].split() == []
    networks = machine.run("docker", "network", "ls", "--format", "{{.Name}}")[1].split()
    assert sorted(networks) == ["bridge", "host", "none"]
    assert machine.run("find", FOLDER, "-mindepth", "2")[1].split() == []
