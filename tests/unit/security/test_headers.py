"""What every answer tells the browser and whatever keeps answers in between."""

from __future__ import annotations

import httpx

from tests.integration.api.conftest import Seaway


async def test_no_answer_is_taken_for_something_else_or_shown_in_a_frame(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    async with seaway.client() as stranger:
        for answer in (
            await client.get("/teams"),
            await client.get("/nowhere"),
            await client.get("/version"),
            await stranger.get("/teams"),
            await stranger.get("http://seaway.test/docs"),
            await stranger.get("http://seaway.test/openapi.json"),
        ):
            assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.url
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "same-origin"


async def test_no_cache_keeps_what_the_api_tells(
    client: httpx.AsyncClient, application: dict[str, str]
) -> None:
    for path in ("/security/keys", f"/applications/{application['uuid']}/envs", "/nowhere"):
        assert (await client.get(path)).headers["Cache-Control"] == "no-store"


async def test_a_host_that_is_not_ours_shows_up_in_no_answer(
    client: httpx.AsyncClient, application: dict[str, str]
) -> None:
    path = f"/applications/{application['uuid']}"
    spoofed = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    for answer in (
        await client.get(path, headers=spoofed),
        await client.post(f"{path}/start", headers=spoofed),
        await client.get("/deployments", headers=spoofed),
    ):
        assert answer.status_code == 200
        assert "evil.example" not in answer.text + str(answer.headers)
