"""Images built on a build server over SSH, for an application on another server, by the whole of Seaway."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.applications import create
from tests.e2e.installation import installed
from tests.e2e.remote import add_key, add_server, load_images
from tests.harness.images import BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServers, copy_buildx
from tests.harness.waiting import eventually

# A server of its own, and images that travel, take most of a minute.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
SLOW = "RUN sleep 4\n"


async def test_a_build_server_builds_one_after_the_other_and_sends_the_images(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path: Path, git_repository: GitRepository
) -> None:
    dockerfile = (git_repository.work_tree / "Dockerfile").read_text()
    git_repository.commit({"Dockerfile": dockerfile.replace("COPY VERSION", f"{SLOW}COPY VERSION")})
    async with installed(tmp_path / "seaway", engine) as seaway:
        with SshServers(engine, tmp_path / "servers") as servers:
            await seaway.start()
            anvil = await asyncio.to_thread(servers.add)
            await load_images([anvil], base_images.python)
            key = await add_key(seaway, servers.private_key)
            builder = await add_server(seaway, anvil, key, is_build_server=True, concurrent_builds=1)
            source: dict[str, Any] = {
                "git_repository": git_repository.url,
                "git_branch": "main",
                "use_build_server": True,
            }
            shop, blog = await create(seaway, **source), await create(seaway, **source)
            refused = await seaway.api.post(
                "/applications/public",
                json={
                    **source,
                    "project_uuid": seaway.project,
                    "server_uuid": builder,
                    "ports_exposes": "3000",
                },
            )
            assert (refused.status_code, "runs no applications" in refused.text) == (400, True), refused.text

            first = await shop.start_deploy()

            async def builds() -> list[tuple[str, str]]:
                found = await seaway.ask("GET", f"/servers/{builder}/builds")
                return [(one["application_name"], one["state"]) for one in found]

            async def shop_builds() -> bool:
                return await builds() == [(shop.name, "building")]

            await eventually(shop_builds, 60)
            second = await blog.start_deploy()

            async def blog_waits() -> bool:
                return (blog.name, "waiting") in await builds()

            await eventually(blog_waits, 30)
            [waiting] = [step for step in (await blog.shown(second))["steps"] if step["name"] == "build"]
            assert waiting["message"] == (
                f"Queued: 1st of 1 on {anvil.name}; 1 build runs there ({shop.name})."
            )
            for application, deployment in ((shop, first), (blog, second)):
                shown = await application.finished(deployment)
                steps = {step["name"]: step for step in shown["steps"]}
                assert (steps["build"]["server"], steps["build"]["status"]) == (anvil.name, "succeeded")
                assert steps["distribute"]["message"].startswith("sent ")
                assert await application.version() == "v1"
                assert len(await application.containers()) == 1
            assert await builds() == []
            _, there = await asyncio.to_thread(
                anvil.run, "docker", "ps", "-aq", "--filter", "label=seaway.application"
            )
            assert there.split() == []

            # Everywhere but the build server has the image, so nothing is built nor waited for.
            again = await shop.deploy()
            assert {step["name"]: step["status"] for step in again["steps"]}["build"] == "skipped"


async def test_a_build_is_held_to_the_limits_of_its_server_and_nothing_of_them_stays(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path: Path, git_repository: GitRepository
) -> None:
    hundredth = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 100
    dockerfile = (git_repository.work_tree / "Dockerfile").read_text()
    greedy = f"RUN python3 -c 'b\"a\" * {hundredth + 200 * 2**20}'\n"
    git_repository.commit({"Dockerfile": dockerfile.replace("COPY VERSION", f"{greedy}COPY VERSION")})
    folder = await asyncio.to_thread(copy_buildx, engine, tmp_path)
    path = f"{folder}:{os.environ['PATH']}"
    async with installed(tmp_path / "seaway", engine, PATH=path) as seaway:
        with SshServers(engine, tmp_path / "servers") as servers:
            await seaway.start()
            anvil = await asyncio.to_thread(servers.add)
            await load_images([anvil], base_images.python)
            key = await add_key(seaway, servers.private_key)
            builder = await add_server(seaway, anvil, key, is_build_server=True, build_memory_percent=1)
            source: dict[str, Any] = {
                "git_repository": git_repository.url,
                "git_branch": "main",
                "use_build_server": True,
            }
            shop = await create(seaway, **source)
            failed = await shop.fail()
            [step] = [one for one in failed["steps"] if one["name"] == "build"]
            assert (step["status"], step["attempt"]) == ("failed", 1)
            assert failed["error"]["message"].startswith("The build used more than ")
            assert f"the limit of builds on the server {anvil.name}" in failed["error"]["message"]

            async def groups() -> list[str]:
                named = f"*/{seaway.instance}-builds"
                command = ("find", "/sys/fs/cgroup", "-type", "d", "-path", named)
                return (await asyncio.to_thread(anvil.run, *command))[1].split()

            assert await groups() != []
            await seaway.ask("PATCH", f"/servers/{builder}", json={"build_memory_percent": 50})
            assert (await shop.deploy())["status"] == "finished"
            assert await shop.version() == "v1"
            await seaway.ask("DELETE", f"/servers/{builder}")

            async def is_gone() -> bool:
                return builder not in {one["uuid"] for one in await seaway.ask("GET", "/servers")}

            await eventually(is_gone, 60)
            assert await groups() == []
