"""Images built on a build server over SSH, for an application on another server, by the whole of Seaway."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable
from tests.harness.images import SAMPLE_APPLICATION_FOLDER, BaseImages
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers, copy_buildx
from tests.harness.waiting import eventually

# A server of its own, and images that travel, take most of a minute.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(1200)]
SLOW = "RUN sleep 4\n"
SLOW_AT_ITS_END = (SAMPLE_APPLICATION_FOLDER / "Dockerfile").read_text() + "RUN sleep 8\n"
IMPATIENT = {"SEAWAY_SERVER_CHECK_SECONDS": "3", "SEAWAY_WATCH_SECONDS": "2"}
LONG_SECONDS = 300.0


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


async def test_the_best_of_two_build_servers_builds_and_takes_over_from_one_that_is_lost(
    engine: docker.DockerClient,
    base_images: BaseImages,
    tmp_path: Path,
    make_git_repository: Callable[[str], GitRepository],
) -> None:
    repositories = {name: make_git_repository(name) for name in ("shop", "blog")}
    async with installed(tmp_path / "seaway", engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path / "servers") as servers:
            await seaway.start()
            machines = [await asyncio.to_thread(servers.add) for _ in range(2)]
            await load_images(machines, base_images.python)
            key = await add_key(seaway, servers.private_key)
            added = [
                await add_server(seaway, one, key, is_build_server=True, concurrent_builds=1)
                for one in machines
            ]
            # Where all else is equal, the first by its id builds.
            (first_id, first), (second_id, second) = sorted(zip(added, machines, strict=True))
            shop, blog = [
                await create(seaway, git_repository=one.url, git_branch="main", use_build_server=True)
                for one in repositories.values()
            ]

            async def until_building(application: Application, server_id: str) -> None:
                async def builds() -> bool:
                    found = await seaway.ask("GET", f"/servers/{server_id}/builds")
                    return (application.name, "building") in [
                        (one["application_name"], one["state"]) for one in found
                    ]

                await eventually(builds, 180, describe=f"{application.name} builds")

            async def built_on(
                application: Application, deployment: str, version: str, server: SshServer
            ) -> None:
                shown = await application.ended(deployment, LONG_SECONDS)
                assert shown["outcome"] == "finished", brief(shown)
                [step] = [one for one in shown["steps"] if one["name"] == "build"]
                assert (step["server"], step["status"]) == (server.name, "succeeded"), brief(shown)
                assert await application.version() == version

            async def release(application: Application, version: str) -> str:
                name = "shop" if application is shop else "blog"
                repositories[name].release(version, {"Dockerfile": SLOW_AT_ITS_END})
                return await application.start_deploy()

            # By free slots: one is busy, so the other one builds.
            blogs = await release(blog, "v1")
            await until_building(blog, first_id)
            await built_on(shop, await release(shop, "v1"), "v1", second)
            await built_on(blog, blogs, "v1", first)
            # By warm caches: both are free, and each builds what it has built before.
            await built_on(shop, await release(shop, "v2"), "v2", second)
            await built_on(blog, await release(blog, "v2"), "v2", first)

            async with shop.load() as load:
                lost = await release(shop, "v3")
                await until_building(shop, second_id)
                await asyncio.to_thread(second.cut)
                await built_on(shop, lost, "v3", first)
                log = await shop.log_of(lost)
                assert log.count(f"The build on {second.name} was lost (") == 1
                assert f"{first.name} builds instead." in log

                # The only one that is left is lost as well, and builds once it is back.
                lost = await release(shop, "v4")
                await until_building(shop, first_id)
                await asyncio.to_thread(first.cut)

                async def waits() -> bool:
                    [step] = [one for one in (await shop.shown(lost))["steps"] if one["name"] == "build"]
                    return "No build server can be used now: " in step["message"]

                await eventually(waits, LONG_SECONDS)
                assert await shop.version() == "v3"
                await asyncio.to_thread(first.heal)
                await built_on(shop, lost, "v4", first)
            load.report().assert_no_failures(100)
            await asyncio.to_thread(second.heal)
            await until_usable(seaway, second_id)
            for server_id in added:
                assert await seaway.ask("GET", f"/servers/{server_id}/builds") == []
            await built_on(shop, await release(shop, "v5"), "v5", first)
            await built_on(blog, await release(blog, "v3"), "v3", first)


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
