"""What a request's body can hold is stored, or refused with a word; it never breaks anything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from api.shapes.application_fields import FIELDS
from tests.integration.api.conftest import Seaway

HALF = json.dumps("\ud800")
JSON = {"Content-Type": "application/json"}


async def test_half_a_character_is_refused_in_every_field(
    client: httpx.AsyncClient, application: dict[str, str]
) -> None:
    for name in FIELDS:
        answer = await client.patch(
            f"/applications/{application['uuid']}", content=f'{{"{name}": {HALF}}}', headers=JSON
        )
        assert (name, answer.status_code, list(answer.json()["errors"])) == (name, 422, [name])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/projects", '{"name": "a", "description": %s}'),
        ("/security/keys", '{"private_key": %s}'),
        ("/applications/{uuid}/envs", '{"key": "A", "value": %s}'),
        ("/applications/{uuid}/envs", '{"key": "A", "comment": %s}'),
        ("/applications/{uuid}/storages", '{"type": "file", "mount_path": "/a", "content": %s}'),
    ],
)
async def test_half_a_character_is_refused_everywhere_else(
    client: httpx.AsyncClient, application: dict[str, str], path: str, body: str
) -> None:
    answer = await client.post(path.format(**application), content=body % HALF, headers=JSON)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation failed.")


async def test_a_body_without_end_is_not_read_to_its_end(seaway: Seaway, client: httpx.AsyncClient) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b"a" * 1024 * 1024

    answer = await client.post("/projects", content=pieces(), headers=JSON)
    assert answer.status_code == 413
    assert sent < 20


async def test_a_body_nested_without_end_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/projects", content="[" * 1_000_000, headers=JSON)
    assert answer.status_code == 400
