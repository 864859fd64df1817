"""What one team must not take from, read of or do to another."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.api.conftest import Seaway, Tenant


async def create(client: httpx.AsyncClient, tenant: Tenant, name: str, **fields: object) -> httpx.Response:
    body = {
        "project_uuid": tenant.project.id,
        "git_repository": "https://git.example.com/a/b.git",
        "name": name,
    }
    return await client.post("/applications/public", json={**body, **fields})


@pytest.mark.parametrize(
    "address", ["shop.example.com/login", "https://shop.example.com", "SHOP.example.com/a/b"]
)
async def test_a_host_of_another_team_is_taken_with_all_its_paths(seaway: Seaway, address: str) -> None:
    async with seaway.client(seaway.theirs.token) as client:
        answer = await create(client, seaway.theirs, "shop", domains="https://shop.example.com/basket")
        assert answer.status_code == 201
        theirs = answer.json()["uuid"]
    async with seaway.client(seaway.mine.token) as client:
        answer = await create(client, seaway.mine, "trap", domains=address)
    assert answer.status_code == 409
    assert theirs not in answer.text
    assert "basket" not in answer.text


async def test_within_a_team_applications_share_a_host_by_paths(seaway: Seaway) -> None:
    async with seaway.client(seaway.mine.token) as client:
        assert (await create(client, seaway.mine, "shop", domains="shop.example.com")).status_code == 201
        assert (await create(client, seaway.mine, "api", domains="shop.example.com/api")).status_code == 201
        answer = await create(client, seaway.mine, "other", domains="shop.example.com/api")
    assert answer.status_code == 409
    assert answer.json()["conflicts"][0]["resource_name"] == "api"
