"""Who did what, as the API tells it."""

from __future__ import annotations

import httpx

from tests.integration.api.conftest import Seaway


async def test_who_did_what_is_told_newest_first(seaway: Seaway, client: httpx.AsyncClient) -> None:
    project = (await client.post("/projects", json={"name": "shop"})).json()["uuid"]
    await client.patch(f"/projects/{project}", json={"description": "All that we sell."})
    other = (await client.post("/projects", json={"name": "docs"})).json()["uuid"]

    newest, *_ = everything = (await client.get("/audit")).json()
    assert [one["action"] for one in everything] == ["project.create", "project.update", "project.create"]
    assert (newest["resource_kind"], newest["resource_uuid"], newest["summary"]) == ("project", other, "docs")
    assert newest["actor"] == seaway.mine.user.email
    assert newest["at"].endswith(("Z", "+00:00"))

    of_one = (await client.get("/audit", params={"resource_uuid": project})).json()
    assert [one["action"] for one in of_one] == ["project.update", "project.create"]


async def test_it_is_read_in_parts(client: httpx.AsyncClient) -> None:
    for name in ("one", "two", "three"):
        await client.post("/projects", json={"name": name})
    newest, next_one = (await client.get("/audit", params={"limit": 2})).json()
    (oldest,) = (await client.get("/audit", params={"before": next_one["at"]})).json()
    assert [one["summary"] for one in (newest, next_one, oldest)] == ["three", "two", "one"]
    # A time without a zone is one of UTC.
    without_zone = {"before": next_one["at"].removesuffix("Z").removesuffix("+00:00")}
    assert (await client.get("/audit", params=without_zone)).json() == [oldest]


async def test_nobody_reads_what_another_team_did(seaway: Seaway, client: httpx.AsyncClient) -> None:
    async with seaway.client(seaway.theirs.token) as theirs:
        project = (await theirs.post("/projects", json={"name": "secret plans"})).json()["uuid"]
    assert (await client.get("/audit")).json() == []
    assert (await client.get("/audit", params={"resource_uuid": project})).json() == []
