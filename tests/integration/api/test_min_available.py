"""How many servers suffice for a release, and which of them are behind, as the API takes and shows it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.deployments import DeploymentStatus
from domain.servers import ServerStatus
from store.releases import HeldRelease
from store.tables import Deployment, Server
from tests.integration.api.conftest import Seaway


@pytest.fixture
async def second(seaway: Seaway) -> Server:
    """Another usable server of mine."""
    return await seaway.store.servers.create(
        Server(
            team_id=seaway.mine.team.id,
            name="west",
            address="192.0.2.8",
            is_usable=True,
            status=ServerStatus.USABLE,
        )
    )


@pytest.fixture
async def on_two(
    seaway: Seaway, client: httpx.AsyncClient, second: Server, application: dict[str, Any]
) -> str:
    """The path of an application on two servers."""
    path = f"/applications/{application['uuid']}"
    await client.patch(path, json={"server_uuids": [seaway.mine.server.id, second.id]})
    return path


async def test_it_is_set_and_unset(seaway: Seaway, client: httpx.AsyncClient, on_two: str) -> None:
    shown = (await client.get(on_two)).json()
    assert shown["min_available"] is None
    for wanted in (1, 2, None):
        answer = await client.patch(on_two, json={"min_available": wanted})
        assert (answer.status_code, answer.json()["min_available"]) == (200, wanted)
        configuration = await seaway.store.applications.configuration(shown["uuid"])
        assert configuration.min_available == wanted


@pytest.mark.parametrize("wrong", [0, -1, 3, 51, "two", 1.5])
async def test_what_cannot_be_is_refused_at_once(client: httpx.AsyncClient, on_two: str, wrong: Any) -> None:
    answer = await client.patch(on_two, json={"min_available": wrong})
    assert answer.status_code == 422, answer.text
    assert "min_available" in answer.json()["errors"]
    assert (await client.get(on_two)).json()["min_available"] is None


async def test_servers_cannot_go_below_it(seaway: Seaway, client: httpx.AsyncClient, on_two: str) -> None:
    await client.patch(on_two, json={"min_available": 2})
    one = {"server_uuids": [seaway.mine.server.id]}
    refused = await client.patch(on_two, json=one)
    assert refused.status_code == 422, refused.text
    assert "has 1 server, so 2 of them cannot" in refused.json()["errors"]["min_available"][0]
    taken = await client.patch(on_two, json={**one, "min_available": None})
    assert taken.status_code == 200, taken.text


async def test_a_new_application_may_have_it(
    seaway: Seaway, client: httpx.AsyncClient, second: Server
) -> None:
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "https://git.example.com/a/b.git",
        "server_uuids": [seaway.mine.server.id, second.id],
        "min_available": 1,
    }
    created = await client.post("/applications/public", json=body)
    assert (created.status_code, created.json()["min_available"]) == (201, 1)
    refused = await client.post("/applications/public", json=body | {"min_available": 3})
    assert refused.status_code == 422, refused.text


async def test_a_swarm_has_no_such_thing(seaway: Seaway, client: httpx.AsyncClient, second: Server) -> None:
    await seaway.store.servers.set(second.id, is_swarm_manager=True)
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "https://git.example.com/a/b.git",
        "server_uuid": second.id,
        "min_available": 1,
    }
    refused = await client.post("/applications/public", json=body)
    assert refused.status_code == 422, refused.text
    assert "Remove min_available" in refused.json()["errors"]["min_available"][0]


async def test_each_server_is_shown_with_what_it_has(
    seaway: Seaway, client: httpx.AsyncClient, second: Server, on_two: str
) -> None:
    first, store = seaway.mine.server, seaway.store
    uuid = on_two.rpartition("/")[2]

    async def standing() -> list[tuple[str, str | None, bool]]:
        one = (await client.get(on_two)).json()["servers"]
        [listed] = [
            each["servers"] for each in (await client.get("/applications")).json() if each["uuid"] == uuid
        ]
        assert listed == one
        return [(each["name"], each["deployment_uuid"], each["is_behind"]) for each in one]

    assert await standing() == [(first.name, None, False), ("west", None, False)]
    for name in ("older", "newer"):
        await store.deployments.record(
            Deployment(id=name, application_id=uuid, note="Released without west.")
        )
    older, newer = HeldRelease("older", "older"), HeldRelease("newer", "newer")
    await store.releases.record(uuid, "older", {first.id: older, second.id: older})
    assert await standing() == [(first.name, "older", False), ("west", "older", False)]
    await store.releases.record(uuid, "newer", {first.id: newer, second.id: older})
    assert await standing() == [(first.name, "newer", False), ("west", "older", True)]
    await store.releases.record(uuid, "newer", {first.id: newer})
    assert await standing() == [(first.name, "newer", False), ("west", None, True)]
    await store.releases.record(uuid, None, {})
    assert await standing() == [(first.name, None, False), ("west", None, False)]


async def test_a_deployment_says_what_it_went_on_without(
    seaway: Seaway, client: httpx.AsyncClient, on_two: str
) -> None:
    note = "Released without west (It does not answer)."
    row = Deployment(application_id=on_two.rpartition("/")[2], status=DeploymentStatus.FINISHED, note=note)
    await seaway.store.deployments.record(row)
    shown = (await client.get(f"/deployments/{row.id}")).json()
    assert (shown["outcome"], shown["note"], shown["error"]) == ("finished", note, None)
