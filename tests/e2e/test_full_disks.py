"""A server whose disk fills up is told of and cleaned, of nothing of anybody else's, and builds nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from tests.e2e.applications import create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, version_at
from tests.harness.images import BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually
from workflows import names

# A server of its own, and a disk to fill, take most of a minute.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
DISK_MEGABYTES = 3000
THRESHOLD_PERCENT = 70
SETTINGS = {
    "SEAWAY_WATCH_SECONDS": "1",
    "SEAWAY_DISK_THRESHOLD_PERCENT": str(THRESHOLD_PERCENT),
}
LIMIT_SECONDS = 60.0
FILLER = "/var/lib/docker/filler"
# Some megabytes that no other image has, without a registry.
MAKE_IMAGE = "head -c 20M /dev/urandom >/tmp/ballast && tar -C /tmp -c ballast | docker import - {name}"
BUILD_OF_SOMEBODY = """\
mkdir -p /tmp/theirs && cd /tmp/theirs && echo somebody >file
printf 'FROM theirs:base\\nCOPY file /\\n' >Dockerfile
docker build -q -t theirs:built . && docker image rm theirs:built
"""


@dataclass
class Machine:
    """A server, and what somebody else has on it."""

    server: SshServer

    async def run(self, script: str) -> str:
        """What a script prints there, as root."""
        code, output = await asyncio.to_thread(self.server.run, "sh", "-ec", script)
        assert code == 0, output
        return output.strip()

    async def fill(self, percent: int) -> None:
        """So much of its disk is taken."""
        await self.run(
            "set -- $(df -m --output=size,used /var/lib/docker | tail -1); "
            f"fallocate -l $(($1 * {percent} / 100 - $2))M {FILLER}"
        )

    async def somebody_moves_in(self) -> None:
        """Images, a container, a volume with something in it, a network, and the cache of a build."""
        await self.run(MAKE_IMAGE.format(name="theirs:base"))
        await self.run("docker create --name theirs -v theirs:/data theirs:base /nothing")
        await self.run("docker network create theirs; docker tag theirs:base shop:old")
        await self.run("echo precious >$(docker volume inspect -f '{{.Mountpoint}}' theirs)/file")
        await self.run(BUILD_OF_SOMEBODY)

    async def of_somebody(self) -> str:
        """All of it, in words."""
        return await self.run(
            "docker images -f reference=theirs -f reference=shop --format '{{.Repository}}:{{.Tag}} {{.ID}}';"
            "docker network ls -qf name=theirs;"
            "docker inspect -f '{{.Id}} {{.State.Status}}' theirs; docker volume ls -qf name=theirs;"
            "cat $(docker volume inspect -f '{{.Mountpoint}}' theirs)/file;"
            "docker system df --format '{{.Type}} {{.Size}}' | grep 'Build Cache'"
        )

    async def seaway_images(self, application: str) -> list[str]:
        """The tags of an application's images."""
        return sorted((await self.run(f"docker images --format '{{{{.Tag}}}}' seaway/{application}")).split())


async def events(seaway: Installation, server: str) -> list[tuple[str, str]]:
    """Kind and message of what happened to a server, oldest first."""
    found = await seaway.ask("GET", f"/servers/{server}/events")
    return [(one["kind"], one["message"]) for one in reversed(found)]


async def test_a_disk_above_its_threshold_is_told_of_and_cleaned_and_nothing_is_built_on_it(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path: Path, git_repository: GitRepository
) -> None:
    async with installed(tmp_path / "seaway", engine, **SETTINGS) as seaway:
        with SshServers(engine, tmp_path / "servers") as servers:
            await seaway.start()
            server = await asyncio.to_thread(servers.add, "small")
            await asyncio.to_thread(server.shrink_disk, DISK_MEGABYTES)
            await load_images([server], base_images.python)
            machine = Machine(server)
            uuid = await add_server(seaway, server, await add_key(seaway, servers.private_key))
            shop = await create(
                seaway, git_repository=git_repository.url, git_branch="main", server_uuid=uuid
            )
            await shop.deploy()
            await machine.somebody_moves_in()
            theirs = await machine.of_somebody()
            kept = await machine.seaway_images(shop.uuid)
            assert len(kept) == 1

            async def old_image(tag: str) -> None:
                await machine.run(MAKE_IMAGE.format(name=f"seaway/{shop.uuid}:{tag}"))

            async def happened(count: int) -> list[tuple[str, str]] | None:
                found = await events(seaway, uuid)
                return found if len(found) >= count else None

            # The watcher sees it, and has it cleaned.
            await old_image("old")
            await machine.fill(THRESHOLD_PERCENT + 5)
            filled, cleaned = await eventually(lambda: happened(2), LIMIT_SECONDS)
            assert filled[0] == "disk_above_threshold"
            assert f"of {server.name} is 7" in filled[1]
            assert filled[1].endswith(f"the threshold is {THRESHOLD_PERCENT} %.")
            assert cleaned == ("cleaned_up", "Removed 1 image.")
            assert await machine.seaway_images(shop.uuid) == kept

            git_repository.release("v2")
            failed = await shop.fail()
            assert failed["error"]["code"] == "disk_full", failed["error"]
            said = failed["error"]["message"]
            assert said.startswith(f"The disk of {server.name} has "), said
            assert " left; a build needs 1.0 GB. Remove what is not needed" in said, said
            assert await version_at(server, shop.host) == "v1"

            await machine.run(f"rm {FILLER}")
            assert (await eventually(lambda: happened(3), LIMIT_SECONDS))[2][0] == "disk_below_threshold"

            # The clock does it too, and tells only of what it removed.
            await old_image("older")
            schedule = (await seaway.temporal()).get_schedule_handle(names.CLEAN_UP_WORKFLOW)
            await schedule.trigger()
            assert (await eventually(lambda: happened(4), LIMIT_SECONDS))[3] == cleaned

            # And whoever asks for it, who is told in any case.
            await old_image("oldest")
            asked = await seaway.command("server", "clean", server.name)
            assert (asked.exit_code, asked.output) == (0, f"✓ {server.name}: Removed 1 image.\n"), asked
            again = await seaway.command("server", "clean", server.name)
            assert again.output == f"✓ {server.name}: There was nothing to remove.\n", again
            assert [kind for kind, _ in await events(seaway, uuid)][4:] == ["cleaned_up", "cleaned_up"]

            assert await machine.seaway_images(shop.uuid) == kept
            assert await machine.of_somebody() == theirs
            await shop.deploy()
            assert await version_at(server, shop.host) == "v2"
