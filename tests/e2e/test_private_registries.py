"""Private images through a whole Seaway: whose login counts, and what a refusal and a hiccup come to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import docker
import docker.errors
import pytest

from tests.e2e.applications import Application, statuses
from tests.e2e.installation import Installation
from tests.harness.images import build
from tests.harness.private_registry import PrivateRegistry
from tests.harness.ssh_servers import TINY, ensure_server_images
from tests.harness.waiting import eventually

VERSIONS = ("v1", "v2")
PULL_SECONDS, BUILD_SECONDS = 3.0, 6.0
"""What a refusal may take: a fraction of a second was seen, and a build has to begin for it."""
SHOP = f"""\
FROM {TINY}
RUN echo VERSION > /www/index.html && touch /www/health
CMD ["httpd", "-f", "-p", "3000", "-h", "/www"]
"""
# Small, because engines compress what they push.
SMALL = f"""\
FROM {TINY}
RUN echo built-by-this-build && touch /www/health
COPY VERSION /www/index.html
CMD ["httpd", "-f", "-p", "3000", "-h", "/www"]
"""


def assert_refused_at_once(shown: dict[str, Any], limit_seconds: float) -> None:
    """A wrong login is said to be one by the first try of the step that needed it."""
    assert shown["error"]["code"] == "registry_refused", shown["error"]
    [step] = [one for one in shown["steps"] if one["status"] == "failed"]
    began, ended = (datetime.fromisoformat(step[name]) for name in ("started_at", "finished_at"))
    assert step["attempt"] == 1
    assert (ended - began).total_seconds() < limit_seconds


def push(registry: PrivateRegistry, engine: docker.DockerClient, version: str) -> None:
    """Makes a small application that answers with its version, and leaves it to the registry alone."""
    ensure_server_images(engine)
    local = f"seaway-test/private:{version}"
    build(engine, {"Dockerfile": SHOP.replace("VERSION", version).encode()}, local)
    registry.push(engine, local, f"team/shop:{version}")
    engine.images.remove(local)


@pytest.fixture(scope="module")
async def registry(
    tmp_path_factory: pytest.TempPathFactory,
    engine: docker.DockerClient,
    secret_value: Callable[[], str],
) -> AsyncIterator[PrivateRegistry]:
    """A registry that has two versions of an application."""
    async with PrivateRegistry(tmp_path_factory.mktemp("registry"), "robot", secret_value()) as one:
        for version in VERSIONS:
            await asyncio.to_thread(push, one, engine, version)
        yield one


@pytest.fixture(autouse=True)
async def forgotten_images(engine: docker.DockerClient, registry: PrivateRegistry) -> AsyncIterator[None]:
    """What a test pulled is not there for the next: engines take an image that they have without asking."""
    yield
    for version in VERSIONS:
        with contextlib.suppress(docker.errors.ImageNotFound):
            await asyncio.to_thread(engine.images.remove, f"{registry.host}/team/shop:{version}")


@pytest.fixture
async def add_login(seaway: Installation, registry: PrivateRegistry) -> AsyncIterator[Callable[..., Any]]:
    """Keeps logins for the registry, until the end of the test."""
    added: list[str] = []

    async def add(password: str, **fields: str) -> str:
        body = {"host": registry.host, "username": registry.username, "password": password, **fields}
        added.append((await seaway.ask("POST", "/registries", json=body))["uuid"])
        return added[-1]

    yield add
    for uuid in added:
        await seaway.ask("DELETE", f"/registries/{uuid}")


async def test_a_private_image_is_deployed_with_the_login_of_its_project(
    seaway: Installation, new_application, engine, registry: PrivateRegistry, add_login, secret_value
):
    application = await new_application(
        "dockerimage",
        docker_registry_image_name=f"{registry.host}/team/shop",
        docker_registry_image_tag="v1",
    )
    assert (await application.fail(20))["error"]["code"] == "image_not_found"
    await add_login(registry.password)
    wrong = await add_login(secret_value(), project_uuid=seaway.project)
    failed = await application.fail(20)
    assert_refused_at_once(failed, PULL_SECONDS)
    assert "login" in failed["error"]["message"]
    check = await seaway.ask("POST", f"/registries/{wrong}/check")
    assert check["state"] == "wrong_credentials"
    await seaway.ask("PATCH", f"/registries/{wrong}", json={"password": registry.password})
    assert (await seaway.ask("POST", f"/registries/{wrong}/check"))["state"] == "fine"
    shown = await application.deploy()
    assert await application.version() == "v1"
    assert registry.password not in str(shown) + await application.log_of(shown["uuid"])
    # The server has a copy of the image by its name now, which must not hide that the login is wrong.
    image = await asyncio.to_thread(engine.images.get, shown["image"])
    await asyncio.to_thread(image.tag, f"{registry.host}/team/shop", "v1")
    await seaway.ask("PATCH", f"/registries/{wrong}", json={"password": secret_value()})
    assert_refused_at_once(await application.fail(20), PULL_SECONDS)
    assert await application.version() == "v1"


async def test_a_registry_that_is_gone_for_a_moment_costs_a_deployment_only_that_moment(
    new_application, registry: PrivateRegistry, add_login
):
    await add_login(registry.password)
    application = await new_application(
        "dockerimage",
        docker_registry_image_name=f"{registry.host}/team/shop",
        docker_registry_image_tag="v2",
    )
    registry.stop()
    deployment = await application.start_deploy()

    async def is_tried_again() -> bool:
        shown = await application.shown(deployment)
        return any(step["attempt"] > 1 for step in shown["steps"])

    await eventually(is_tried_again, 20)
    await registry.start()
    await application.finished(deployment)
    assert await application.version() == "v2"


async def test_a_build_starts_from_a_private_image(
    new_application, git_repository, registry: PrivateRegistry, add_login, secret_value, seaway
):
    git_repository.commit({"Dockerfile": f"FROM {registry.host}/team/shop:v2\nLABEL built=here\n"})
    application = await new_application()
    login = await add_login(secret_value())
    assert_refused_at_once(await application.fail(30), BUILD_SECONDS)
    await seaway.ask("PATCH", f"/registries/{login}", json={"password": registry.password})
    shown = await application.deploy()
    assert await application.version() == "v2"
    assert registry.password not in await application.log_of(shown["uuid"])


@pytest.fixture
async def pushing(new_application, git_repository, engine, registry: PrivateRegistry) -> Application:
    """An application that is pushed to the registry, with a layer that says in the log that it is built."""
    await asyncio.to_thread(ensure_server_images, engine)
    git_repository.commit({"Dockerfile": SMALL, "VERSION": "v1\n"})
    name = f"team/{git_repository.head[:12]}"
    application: Application = await new_application(
        docker_registry_image_name=f"{registry.host}/{name}", docker_registry_image_tag="latest"
    )
    return application


def tag_of(shown: dict[str, Any]) -> str:
    """Under which tag a deployment's image is in a registry."""
    return str(shown["image"]).rpartition(":")[2]


async def test_a_built_image_is_pushed_tagged_when_it_serves_and_pulled_again_for_a_rollback(
    pushing: Application, git_repository, registry: PrivateRegistry, add_login, secret_value, seaway, engine
):
    name = (await pushing.change())["docker_registry_image_name"].partition("/")[2]
    login = await add_login(secret_value())
    refused = await pushing.fail(30)
    assert_refused_at_once(refused, PULL_SECONDS)
    assert registry.host in refused["error"]["message"]
    assert (statuses(refused)["build"], statuses(refused)["push"]) == ("compensated", "failed")
    assert await registry.digest(name, "latest") == ""
    await seaway.ask("PATCH", f"/registries/{login}", json={"password": registry.password})

    first = await pushing.deploy()
    assert first["pushed_image"].partition("@")[2] == await registry.digest(name, tag_of(first))
    assert await registry.digest(name, "latest") == await registry.digest(name, tag_of(first))
    git_repository.commit({"VERSION": "v2\n"})
    await pushing.change(release_command="false")
    failed = await pushing.fail(60)
    [push] = [step for step in failed["steps"] if step["name"] == "push"]
    assert (push["status"], failed["pushed_image"]) == ("compensated", None)
    assert "keeps this image, which no deployment uses" in push["message"]
    assert await registry.digest(name, "latest") == await registry.digest(name, tag_of(first))
    await pushing.change(release_command="")
    second = await pushing.deploy()
    assert await registry.digest(name, "latest") == await registry.digest(name, tag_of(second))
    held = {tag for image in await asyncio.to_thread(engine.api.images) for tag in image["RepoTags"] or ()}
    assert not [tag for tag in held if tag.startswith(f"{registry.host}/{name}")]

    # Somebody cleaned up on the server: the very same image comes back from the registry.
    before = (await asyncio.to_thread(engine.images.get, first["image"])).id
    await asyncio.to_thread(engine.images.remove, first["image"], force=True)
    back = await pushing.operate("rollback", deployment_uuid=first["uuid"])
    log = await pushing.log_of(back["uuid"])
    assert "built-by-this-build" not in log
    assert f"The image comes from the registry {registry.host}." in log
    assert (await asyncio.to_thread(engine.images.get, first["image"])).id == before
    assert await pushing.version() == "v1"
    assert await registry.digest(name, "latest") == await registry.digest(name, tag_of(first))
    for shown in (first, second, back):
        assert registry.password not in str(shown) + await pushing.log_of(shown["uuid"])


async def test_a_registry_that_is_gone_for_a_moment_costs_a_push_no_second_build(
    pushing: Application, registry: PrivateRegistry, add_login
):
    await add_login(registry.password)
    registry.stop()
    deployment = await pushing.start_deploy()

    async def push_is_tried_again() -> bool:
        shown = await pushing.shown(deployment)
        return any(step["name"] == "push" and step["attempt"] > 1 for step in shown["steps"])

    await eventually(push_is_tried_again, 60)
    await registry.start()
    shown = await pushing.finished(deployment)
    assert await pushing.version() == "v1"
    attempts = {step["name"]: step["attempt"] for step in shown["steps"]}
    assert attempts["build"] == 1
    lines = (await pushing.log_of(deployment)).splitlines()
    assert len([line for line in lines if "RUN echo built-by-this-build" in line]) == 1
    assert shown["pushed_image"]
