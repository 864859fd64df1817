"""How images are built: when, from what, and without a trace of what is secret."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import docker

from tests.e2e.applications import Application, statuses
from tests.e2e.installation import running_commands
from tests.e2e.sites import BASE, SERVE, STAMPED

SITE = {"health_check_path": "/health"}


async def text(application: Application, path: str) -> str:
    answer = await application.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return answer.text.strip()


async def test_the_dockerfile_the_stage_and_the_build_arguments_are_those_of_the_settings(
    new_application, git_repository
):
    git_repository.commit({"docker/Site.dockerfile": STAMPED, "Dockerfile": "FROM scratch\n"})
    application = await new_application(
        **SITE, dockerfile_location="/docker/Site.dockerfile", dockerfile_target_build="small"
    )
    await application.set_variables(GREETING="hello $SOURCE_COMMIT")
    commit = (await application.deploy())["commit"]
    assert await text(application, "/stage.txt") == "small"
    assert await text(application, "/greeting.txt") == f"hello {commit}"
    await application.change(dockerfile_target_build="large")
    assert statuses(await application.deploy())["build"] == "succeeded"
    assert await text(application, "/stage.txt") == "large"


async def test_the_same_commit_and_configuration_are_built_once_and_anything_else_anew(
    new_application, git_repository
):
    git_repository.commit({"Dockerfile": STAMPED})
    application = await new_application(**SITE)
    first = await application.deploy()
    assert statuses(first)["build"] == "succeeded"
    stamp = await text(application, "/stamp.txt")

    await application.set_variables(AT_RUN_TIME="x")
    await application.installation.ask(
        "PATCH",
        f"/applications/{application.uuid}/envs",
        json={"key": "AT_RUN_TIME", "is_buildtime": False},
    )
    again = await application.deploy()
    assert statuses(again)["build"] == "skipped"
    assert (again["image"], await text(application, "/stamp.txt")) == (first["image"], stamp)

    await application.set_variables(GREETING="hello")
    changed = await application.deploy()
    assert statuses(changed)["build"] == "succeeded"
    assert changed["image"] != first["image"]
    changed_stamp = await text(application, "/stamp.txt")
    assert changed_stamp != stamp

    forced = await application.deploy(force=True)
    assert statuses(forced)["build"] == "succeeded"
    assert forced["image"] not in (first["image"], changed["image"])
    assert await text(application, "/stamp.txt") != changed_stamp


def needle_in_image(client: docker.DockerClient, image: str, needle: bytes) -> bool:
    """Whether any file, layer or setting of the image holds these bytes."""
    rest = b""
    for chunk in client.api.get_image(image, chunk_size=1 << 22):
        if needle in rest + chunk:
            return True
        rest = chunk[-len(needle) :]
    return False


@contextlib.asynccontextmanager
async def watched_processes() -> AsyncIterator[set[str]]:
    """Collects the arguments of every process that runs meanwhile."""
    seen: set[str] = set()

    async def watch() -> None:
        while True:
            seen.update(running_commands())
            await asyncio.sleep(0.02)

    task = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_build_secret_is_there_during_the_build_and_nowhere_else(
    new_application: Callable[..., Any],
    git_repository: Any,
    engine: docker.DockerClient,
    secret_value: Callable[[], str],
):
    secret = secret_value()
    digest = hashlib.sha256(secret.encode()).hexdigest()
    check = f'test "$(sha256sum </run/secrets/NPM_AUTH | cut -c1-64)" = {digest}'
    git_repository.commit(
        {
            "Dockerfile": f"FROM {BASE}\nWORKDIR /www\nARG NPM_AUTH\nRUN echo ok >health\n"
            f"RUN --mount=type=secret,id=NPM_AUTH {check} && cat /run/secrets/NPM_AUTH && sleep 1\n"
            f'RUN test -z "$NPM_AUTH" && ! test -e /run/secrets/NPM_AUTH\n{SERVE}'
        }
    )
    application = await new_application(**SITE)
    await application.set_variables(build_secret=True, NPM_AUTH=secret)
    async with watched_processes() as processes:
        shown = await application.deploy()
    assert any("id=NPM_AUTH,env=" in one for one in processes), "the build was not seen"
    assert not any(secret in one for one in processes)
    log = await application.log_of(shown["uuid"])
    assert "<redacted>" in log
    assert secret not in log + str(shown)
    history = await asyncio.to_thread(engine.api.history, shown["image"])
    details = await asyncio.to_thread(engine.api.inspect_image, shown["image"])
    assert secret not in str(history) + str(details)
    assert not await asyncio.to_thread(needle_in_image, engine, shown["image"], secret.encode())
    container = (await application.containers())[0]
    assert secret not in str(container.attrs)


PAGES = {
    "public/index.html": "<h1>home</h1>" + "<p>text</p>" * 200,
    "public/about.html": "about",
    "public/docs/index.html": "docs",
    "public/404.html": "own 404",
    "public/assets/app.3f2a9c1b.js": "console.log(1)",
    "public/logo.png": "png",
    "private.txt": "private",
}
STATIC = {"build_pack": "static", "publish_directory": "/public", "health_check_path": "/"}


async def test_a_static_site_has_clean_addresses_sane_caching_and_its_own_404(
    new_application, git_repository
):
    git_repository.commit(PAGES)
    application = await new_application(**STATIC)
    await application.deploy()
    home = await application.get("/")
    assert "home" in home.text
    assert home.headers["cache-control"] == "no-cache"
    assert home.headers["etag"]
    assert home.headers.get("content-encoding") in ("gzip", "zstd", "br")
    kept = await application.get("/", headers={"If-None-Match": home.headers["etag"]})
    assert kept.status_code == 304
    assert await text(application, "/about") == "about"
    folder = await application.get("/docs")
    assert (folder.status_code, folder.headers["location"]) == (308, "/docs/")
    assert await text(application, "/docs/") == "docs"
    hashed = (await application.get("/assets/app.3f2a9c1b.js")).headers
    assert hashed["cache-control"] == "public, max-age=31536000, immutable"
    assert (await application.get("/logo.png")).headers["cache-control"] == "public, max-age=3600"
    missing = await application.get("/private.txt")
    assert (missing.status_code, missing.text) == (404, "own 404")


async def test_a_single_page_answers_for_every_path_but_not_for_missing_files(
    new_application, git_repository
):
    git_repository.commit(PAGES)
    application = await new_application(**STATIC, is_spa=True)
    await application.deploy()
    assert "home" in await text(application, "/any/where")
    assert (await application.get("/missing.js")).status_code == 404
