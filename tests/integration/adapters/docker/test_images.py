"""Images on a real engine, pulled from a real registry."""

from __future__ import annotations

import asyncio
import io
import re
import tarfile
import uuid
from pathlib import Path, PurePosixPath

import httpx
import pytest

from adapters.docker import DockerEngine
from domain.configuration import PortMapping
from domain.errors import ImageNotFound, InvalidInput, RegistryUnavailable
from tests.harness.images import DEBIAN, build, exists
from tests.harness.waiting import eventually


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"world"))
    return path


async def test_an_image_is_imported_tagged_listed_and_removed(docker_engine: DockerEngine, archive: Path):
    name = f"seaway-test/{uuid.uuid4().hex[:12]}"
    await docker_engine.import_image(archive, f"{name}:1", ['ENTRYPOINT ["/hello"]'])
    identity = await docker_engine.image_id(f"{name}:1")
    assert identity is not None
    for _ in range(2):
        await docker_engine.tag(f"{name}:1", f"{name}:2")
    assert await docker_engine.image_id(f"{name}:2") == identity
    assert await docker_engine.images_with_prefix(name) == [f"{name}:1", f"{name}:2"]
    for reference in (f"{name}:1", f"{name}:1", f"{name}:2"):
        assert await docker_engine.remove_image(reference)
    assert await docker_engine.image_id(f"{name}:2") is None


async def test_an_image_in_use_is_kept(docker_engine, container, archive):
    reference = f"seaway-test/{uuid.uuid4().hex[:12]}:1"
    await docker_engine.import_image(archive, reference, ['ENTRYPOINT ["/hello"]'])
    specification = await container(image=reference, start=False)
    assert not await docker_engine.remove_image(reference)
    await docker_engine.remove(specification.name)
    assert await docker_engine.remove_image(reference)


async def test_a_saved_image_is_loaded_under_its_name(docker_engine, engine, archive, tmp_path):
    reference = f"seaway-test/{uuid.uuid4().hex[:12]}:1"
    await docker_engine.import_image(archive, reference, [])
    saved = tmp_path / "saved.tar"
    with saved.open("wb") as file:
        file.writelines(engine.images.get(reference).save(named=True))
    await docker_engine.remove_image(reference)
    assert await docker_engine.load_image(saved) == [reference]
    assert await docker_engine.remove_image(reference)


async def test_a_name_for_an_image_that_is_not_there_is_refused(docker_engine):
    with pytest.raises(ImageNotFound):
        await docker_engine.tag("seaway-test/absent:1", "seaway-test/other:1")


async def test_pulling_from_a_registry_that_does_not_answer_may_be_tried_again(docker_engine, free_port):
    with pytest.raises(RegistryUnavailable):
        await docker_engine.pull(f"localhost:{free_port}/shop:1", print)


@pytest.mark.parametrize("reference", ["UPPER/case:1", "two words", "http://registry.example/shop"])
async def test_pulling_what_is_no_reference_is_the_owners_to_mend(docker_engine, reference):
    with pytest.raises(InvalidInput):
        await docker_engine.pull(reference, [].append)


REGISTRY = "seaway-test/registry:1"
REGISTRY_DOCKERFILE = f"""\
FROM {DEBIAN}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends docker-registry >/dev/null
CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]
"""


@pytest.fixture
async def registry(docker_engine, engine, base_images, container, free_port) -> str:
    """The address of a registry that asks for no login."""
    if not exists(engine, REGISTRY):
        await asyncio.to_thread(build, engine, {"Dockerfile": REGISTRY_DOCKERFILE.encode()}, REGISTRY)
    configuration = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ":5000"}
"""
    mapping = PortMapping(host_ip="127.0.0.1", host_port=free_port, container_port=5000)
    specification = await container(image=REGISTRY, port_mappings=(mapping,), start=False)
    path = PurePosixPath("/etc/docker/registry/config.yml")
    await docker_engine.write_file(specification.name, path, configuration.encode())
    await docker_engine.start(specification.name)

    async def answers() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{free_port}/v2/")).status_code == 200

    await eventually(answers, ignored=(httpx.HTTPError,))
    return f"localhost:{free_port}"


async def test_a_pulled_image_is_pinned_to_its_digest(docker_engine, engine, registry, archive):
    reference = f"{registry}/team/shop:1"
    await docker_engine.import_image(archive, reference, ['ENTRYPOINT ["/hello"]'])
    await asyncio.to_thread(engine.images.push, f"{registry}/team/shop", "1")
    assert await docker_engine.remove_image(reference)
    lines: list[str] = []
    pinned = await docker_engine.pull(reference, lines.append)
    assert re.fullmatch(rf"{registry}/team/shop@sha256:[0-9a-f]{{64}}", pinned)
    assert any("Pull complete" in line for line in lines)
    assert len(lines) == len(set(lines))
    assert await docker_engine.remove_image(reference)
    assert await docker_engine.pull(pinned, lines.append) == pinned
    for absent in (f"{registry}/team/shop:2", f"{registry}/team/other:1"):
        with pytest.raises(ImageNotFound):
            await docker_engine.pull(absent, lines.append)
    assert await docker_engine.remove_image(pinned)
