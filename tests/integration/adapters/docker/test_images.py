"""Images on a real engine. No registry is reached: what pulling gives is tested against refusals only."""

from __future__ import annotations

import io
import tarfile
import uuid
from pathlib import Path

import pytest

from adapters.docker import DockerEngine
from domain.errors import ImageNotFound, RegistryUnavailable


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
    with pytest.raises(ImageNotFound):
        await docker_engine.pull(reference, print)
