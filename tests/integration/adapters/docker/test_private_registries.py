"""Private images: pulled and built upon with logins, on a real engine from a real registry."""

from __future__ import annotations

import asyncio
import base64
import glob
import json
import secrets
import stat
import tarfile
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import docker
import docker.errors
import pytest
from pydantic import SecretStr

from adapters.buildkit import BuildKit, BuildRequest
from adapters.docker import DockerEngine
from domain.errors import BuildFailed, ImageNotFound, RegistryRefused, RegistryUnavailable, SeawayError
from domain.registries import RegistryLogin, RegistryState
from tests.harness.private_registry import PrivateRegistry

LIMIT = timedelta(seconds=60)
CONFIGURATIONS = f"{tempfile.gettempdir()}/seaway-build-*/config.json"


@pytest.fixture(scope="module")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PrivateRegistry]:
    async with PrivateRegistry(
        tmp_path_factory.mktemp("registry"), "robot", f"zq{secrets.token_hex(12)}"
    ) as one:
        yield one


@pytest.fixture(scope="module")
async def image(
    registry: PrivateRegistry, docker_engine: DockerEngine, engine: docker.DockerClient, tmp_path_factory
) -> AsyncIterator[str]:
    """An image that only the registry has, at the start of each test."""
    archive = tmp_path_factory.mktemp("image") / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(__file__, "hello")
    local = f"seaway-test/{uuid.uuid4().hex[:12]}:1"
    await docker_engine.import_image(archive, local, [])
    reference = await asyncio.to_thread(registry.push, engine, local, "team/base:1")
    await docker_engine.remove_image(local)
    yield reference
    await docker_engine.remove_image(reference)


@pytest.fixture
def right(registry: PrivateRegistry) -> RegistryLogin:
    return RegistryLogin(registry.host, registry.username, SecretStr(registry.password))


@pytest.fixture
def wrong(registry: PrivateRegistry) -> RegistryLogin:
    return RegistryLogin(registry.host, registry.username, SecretStr("not the password"))


async def test_an_image_is_pulled_with_the_right_login_only(docker_engine, image, right, wrong):
    lines: list[str] = []
    for login, kind in ((None, ImageNotFound), (wrong, RegistryRefused)):
        with pytest.raises(SeawayError) as caught:
            await docker_engine.pull(image, lines.append, login)
        assert type(caught.value) is kind, caught.value.detail
        assert not caught.value.retryable
    pinned = await docker_engine.pull(image, lines.append, right)
    assert pinned.startswith(image.rpartition(":")[0] + "@sha256:")
    with pytest.raises(ImageNotFound):
        await docker_engine.pull(image.replace("base:1", "base:2"), lines.append, right)
    assert await docker_engine.remove_image(image)
    assert right.password.get_secret_value() not in "\n".join(lines)


async def test_a_registry_that_is_down_is_asked_again_and_then_serves(
    docker_engine, registry, image, right, tmp_path
):
    registry.stop()
    try:
        with pytest.raises(RegistryUnavailable) as caught:
            await docker_engine.pull(image, print, right)
        assert caught.value.retryable
        assert (await docker_engine.check_login(right)).state is RegistryState.UNREACHABLE
        with pytest.raises(RegistryUnavailable):
            await build(docker_engine, tmp_path, f"FROM {image}\n", (right,))
    finally:
        await registry.start()
    await docker_engine.pull(image, lambda _line: None, right)
    assert await docker_engine.remove_image(image)


async def test_a_login_is_tried_for_real_and_not_kept_by_the_client(docker_engine, image, right, wrong):
    assert (await docker_engine.check_login(right)).state is RegistryState.FINE
    check = await docker_engine.check_login(wrong)
    assert check.state is RegistryState.WRONG_CREDENTIALS, check.detail
    assert "not the password" not in check.message + check.detail
    with pytest.raises(ImageNotFound):
        await docker_engine.pull(image, print)


def files_with(texts: tuple[str, ...], pattern: str) -> list[Path]:
    found = []
    for name in glob.glob(pattern):  # noqa: PTH207 - the pattern is of whole paths
        # A process may end while it is looked at, and a build too.
        with suppress(OSError):
            content = Path(name).read_bytes().decode(errors="replace")
            found += [Path(name)] if any(text in content for text in texts) else []
    return found


async def build(
    engine: DockerEngine,
    folder: Path,
    dockerfile: str,
    logins: tuple[RegistryLogin, ...],
    on_line=lambda _: None,
) -> str:
    file = folder / "Dockerfile"
    file.write_text(dockerfile)
    request = BuildRequest(
        folder, file, f"seaway-test/build:{uuid.uuid4().hex}", "", {}, {}, {}, False, False, logins
    )
    return await BuildKit().build(request, engine_socket=engine.socket, on_line=on_line, timeout=LIMIT)


async def test_a_build_starts_from_a_private_image_with_the_right_login_only(
    docker_engine, image, right, wrong, tmp_path
):
    for logins, kind in (((), BuildFailed), ((wrong,), RegistryRefused)):
        with pytest.raises(SeawayError) as caught:
            await build(docker_engine, tmp_path, f"FROM {image}\n", logins)
        assert type(caught.value) is kind, caught.value.detail
        assert not caught.value.retryable
        assert "not the password" not in caught.value.message + caught.value.detail
    identity = await build(docker_engine, tmp_path, f"FROM {image}\nLABEL of=test\n", (right,))
    assert await docker_engine.image_id(identity) == identity
    assert await docker_engine.remove_image(identity)


async def test_nothing_of_a_build_tells_the_password_while_it_runs_or_after(
    docker_engine, engine, image, right, tmp_path
):
    password = right.password.get_secret_value()
    encoded = base64.b64encode(f"{right.username}:{password}".encode()).decode()
    lines: list[str] = []
    seen: set[tuple[int, int]] = set()

    def look(line: str) -> None:
        lines.append(line)
        for name in ("cmdline", "environ"):
            assert not files_with((password, encoded), f"/proc/[0-9]*/{name}")
        for file in files_with((encoded,), CONFIGURATIONS):
            seen.add((stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)))

    identity = await build(docker_engine, tmp_path, f"FROM {image}\nCOPY Dockerfile /\n", (right,), look)
    assert seen == {(0o600, 0o700)}
    assert not files_with((encoded,), CONFIGURATIONS)
    made = engine.images.get(identity)
    archive = b"".join(made.save())
    told = "\n".join([*lines, json.dumps(made.attrs), json.dumps(made.history()), archive.decode("latin-1")])
    assert password not in told
    assert encoded not in told
    with suppress(docker.errors.ImageNotFound):
        engine.images.remove(identity, force=True)


@pytest.fixture
async def local(docker_engine: DockerEngine, tmp_path: Path) -> AsyncIterator[str]:
    """An image that only the engine has."""
    archive = tmp_path / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(__file__, uuid.uuid4().hex)
    name = f"seaway-test/{uuid.uuid4().hex[:12]}:1"
    await docker_engine.import_image(archive, name, [])
    yield name
    await docker_engine.remove_image(name)


async def test_an_image_is_pushed_with_the_right_login_only_and_keeps_no_name_here(
    docker_engine, registry, local, right, wrong
):
    reference = f"{registry.host}/team/{uuid.uuid4().hex[:8]}:v1"
    lines: list[str] = []
    for login, part in ((None, f"seaway registry add {registry.host}"), (wrong, "the user 'robot'")):
        with pytest.raises(RegistryRefused) as caught:
            await docker_engine.push(local, reference, lines.append, login)
        assert part in caught.value.message, caught.value.detail
        assert "not the password" not in caught.value.message + caught.value.detail
    pinned = await docker_engine.push(local, reference, lines.append, right)
    name = reference.partition("/")[2].partition(":")[0]
    assert pinned == f"{reference.rpartition(':')[0]}@{await registry.digest(name, 'v1')}"
    assert await docker_engine.push(local, reference, lines.append, right) == pinned
    image = names_of(await docker_engine.call(lambda client: client.inspect_image(local)))
    assert image == ([local], [])
    assert right.password.get_secret_value() not in "\n".join(lines)
    assert any("Pushed" in line for line in lines)
    with pytest.raises(ImageNotFound):
        await docker_engine.push("seaway-test/nothing:1", reference, lines.append, right)


async def test_a_name_that_means_another_image_means_it_again_after_a_push(
    docker_engine, engine, registry, local, right, wrong
):
    reference = f"{registry.host}/team/{uuid.uuid4().hex[:8]}:v1"
    image_id = await docker_engine.image_id(local)
    theirs = await docker_engine.image_id("seaway-test/debian:bookworm")
    await docker_engine.tag("seaway-test/debian:bookworm", reference)
    try:
        with pytest.raises(RegistryRefused):
            await docker_engine.push(local, reference, lambda _line: None, wrong)
        assert await docker_engine.image_id(reference) == theirs
        await docker_engine.push(local, reference, lambda _line: None, right)
        assert await docker_engine.image_id(reference) == theirs
        # What a killed push has left is no name of anybody else.
        await docker_engine.tag(local, reference)
        await docker_engine.push(local, reference, lambda _line: None, right)
        assert await docker_engine.image_id(reference) is None
        assert await docker_engine.image_id(local) == image_id
    finally:
        await docker_engine.remove_image(reference)


def names_of(shown: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """All the names and pinned names that an engine has for an image."""
    return shown["RepoTags"], shown["RepoDigests"]


async def test_a_push_to_a_registry_that_is_down_may_be_tried_again(docker_engine, registry, local, right):
    reference = f"{registry.host}/team/{uuid.uuid4().hex[:8]}:v1"
    registry.stop()
    try:
        with pytest.raises(RegistryUnavailable) as caught:
            await docker_engine.push(local, reference, print, right)
        assert caught.value.retryable
    finally:
        await registry.start()
    assert await docker_engine.push(local, reference, lambda _line: None, right)
