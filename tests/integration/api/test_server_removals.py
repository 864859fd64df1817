"""Servers that go, and what lives on them, as the API says and takes it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.errors import NotPossibleNow, SeawayError, TransientError
from domain.servers import ServerStatus
from tests.integration.api.conftest import ADDRESS, Seaway, audited


async def place(seaway: Seaway, *names: str, on: str) -> None:
    """Applications of mine on a server."""
    await seaway.store.servers.set(on, is_usable=True)
    async with seaway.client(seaway.mine.token) as client:
        for name in names:
            body = {
                "project_uuid": seaway.mine.project.id,
                "git_repository": "https://git.example.com/a/b.git",
                "name": name,
                "server_uuid": on,
            }
            answer = await client.post("/applications/public", json=body)
            assert answer.status_code == 201, answer.text


async def test_a_removal_names_what_goes_with_the_server(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    await place(seaway, "shop", "docs", on=server["uuid"])
    path = f"/servers/{server['uuid']}"
    asked = await client.delete(path, params={"delete_resources": True})
    assert (asked.status_code, asked.json()) == (200, {"message": "Server deletion started."})
    assert seaway.servers.removed == [(server["uuid"], True)]
    assert (await audited(seaway))[-1][0] == "server.delete"
    assert (await audited(seaway))[-1][1].endswith("with shop, docs")


async def test_what_stays_on_a_server_that_is_forgotten_is_named(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    await place(seaway, "shop", on=server["uuid"])
    await seaway.store.servers.set(server["uuid"], data_folder="/var/lib/seaway/here")
    query = {"delete_resources": True, "forget": True}
    answer = await client.delete(f"/servers/{server['uuid']}", params=query)
    assert answer.status_code == 200
    for left in ("containers, images and volumes of shop", "/var/lib/seaway/here", server["ip"]):
        assert left in answer.json()["message"]
        assert left in (await audited(seaway))[-1][1]
    assert seaway.servers.forgotten == [server["uuid"]]


async def test_a_server_that_is_being_removed_is_left_alone(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    await seaway.store.servers.set(server["uuid"], status=ServerStatus.REMOVING)
    path = f"/servers/{server['uuid']}"
    assert (await client.post(f"{path}/validate")).status_code == 400
    assert (await client.patch(path, json={"name": "x"})).status_code == 400
    assert seaway.servers.provisioned == []


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (NotPossibleNow("Applications live on the server."), 400),
        (TransientError("Temporal does not answer."), 503),
    ],
)
async def test_a_server_that_stays_is_not_said_to_be_removed(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any], refusal: SeawayError, status: int
) -> None:
    seaway.servers.refusal = refusal
    refused = await client.delete(f"/servers/{server['uuid']}")
    assert (refused.status_code, refused.json()["message"]) == (status, refusal.message)
    assert [action for action, _ in await audited(seaway)] == ["server.create"]


async def test_an_application_lives_on_the_servers_that_are_named(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    mine, second = seaway.mine.server.id, server["uuid"]
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "https://git.example.com/a/b.git",
        "server_uuids": [second, mine, second],
    }
    refused = await client.post("/applications/public", json=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "not_possible_now")
    assert f"'{ADDRESS}' is not usable" in refused.json()["message"]
    await seaway.store.servers.set(second, is_usable=True)
    created = (await client.post("/applications/public", json=body)).json()
    assert (created["server_uuid"], created["server_uuids"]) == (second, [second, mine])
    assert created["fqdn"].endswith(f".{ADDRESS}.sslip.io")
    path = f"/applications/{created['uuid']}"
    nowhere = await client.patch(path, json={"server_uuids": None})
    assert (nowhere.status_code, list(nowhere.json()["errors"])) == (422, ["server_uuids"])
    as_it_is = await client.patch(path, json={"server_uuid": None})
    assert as_it_is.json()["server_uuids"] == [second, mine]
    kept = (await client.patch(path, json={"server_uuid": second, "replicas": 2})).json()
    assert kept["server_uuids"] == [second, mine]
    await seaway.store.servers.set(second, is_usable=False)
    swapped = (await client.patch(path, json={"server_uuids": [mine, second]})).json()
    assert swapped["server_uuids"] == [mine, second], "where it lives already, it may stay"
    alone = (await client.patch(path, json={"server_uuids": [mine]})).json()
    assert alone["server_uuids"] == [mine]
    refusals: list[tuple[dict[str, Any], int]] = [
        ({"server_uuid": second}, 400),
        ({"server_uuids": []}, 422),
        ({"server_uuids": [seaway.theirs.server.id]}, 404),
        ({"server_uuids": ["nothing"]}, 404),
        ({"server_uuid": second, "server_uuids": [mine]}, 422),
    ]
    for change, status in refusals:
        assert (await client.patch(path, json=change)).status_code == status, change
    assert (await client.get(path)).json()["server_uuids"] == [mine]


async def test_nothing_new_is_put_on_a_server_that_is_being_removed(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    going = {"is_usable": True, "status": ServerStatus.REMOVING}
    for one in (server["uuid"], seaway.mine.server.id):
        await seaway.store.servers.set(one, **going)
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "https://git.example.com/a/b.git",
    }
    for named in ({}, {"server_uuid": server["uuid"]}):
        refused = await client.post("/applications/public", json=body | named)
        assert (refused.status_code, refused.json()["code"]) == (400, "not_possible_now")
