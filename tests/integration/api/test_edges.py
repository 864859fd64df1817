"""The edge of an application as the API takes, refuses and shows it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.servers import ServerStatus
from store.tables import Server
from tests.integration.api.conftest import Seaway


@pytest.fixture
async def edge(seaway: Seaway) -> Server:
    """A usable server of mine over SSH, with a wildcard domain."""
    return await seaway.store.servers.create(
        Server(
            team_id=seaway.mine.team.id,
            name="front",
            address="192.0.2.7",
            wildcard_domain="192.0.2.7.sslip.io",
            is_usable=True,
            status=ServerStatus.USABLE,
        )
    )


async def created(seaway: Seaway, client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"project_uuid": seaway.mine.project.id, "git_repository": "https://git.example.com/a/b.git"}
    return await client.post("/applications/public", json=body | fields)


async def test_a_new_application_has_its_address_at_its_edge(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server
) -> None:
    answer = await created(seaway, client, edge_server_uuid=edge.id)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["edge_server_uuid"], shown["server_uuids"]) == (edge.id, [seaway.mine.server.id])
    assert shown["fqdn"].endswith(".192.0.2.7.sslip.io")
    configuration = await seaway.store.applications.configuration(shown["uuid"])
    assert configuration.routing.edge_server_id == edge.id


async def test_the_hosts_of_an_application_lead_to_its_edge(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server
) -> None:
    fields = {"domains": "http://shop.example.com", "edge_server_uuid": edge.id}
    assert (await created(seaway, client, **fields)).status_code == 201
    (at_edge,) = (await client.get(f"/servers/{edge.id}/domains")).json()
    assert at_edge["domains"] == ["shop.example.com"]
    (behind,) = (await client.get(f"/servers/{seaway.mine.server.id}/domains")).json()
    assert behind["domains"] == []


async def test_an_application_without_a_server_goes_to_none_that_serves_others(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server
) -> None:
    for flag in ("is_swarm_worker", "is_build_server"):
        await seaway.store.servers.set(seaway.mine.server.id, **{flag: True})
        answer = await created(seaway, client)
        assert (answer.status_code, answer.json()["server_uuids"]) == (201, [edge.id]), flag
        await seaway.store.servers.set(seaway.mine.server.id, **{flag: False})


async def test_an_edge_becomes_no_build_server(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server
) -> None:
    assert (await created(seaway, client, edge_server_uuid=edge.id)).status_code == 201
    refused = await client.patch(f"/servers/{edge.id}", json={"is_build_server": True})
    assert (refused.status_code, "build server runs none" in refused.text) == (400, True)


async def test_an_edge_is_given_and_taken_away(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server, application: dict[str, Any]
) -> None:
    path = f"/applications/{application['uuid']}"
    assert application["edge_server_uuid"] is None
    assert (await client.patch(path, json={"edge_server_uuid": edge.id})).json()[
        "edge_server_uuid"
    ] == edge.id
    await seaway.store.servers.set(edge.id, is_usable=False)
    kept = await client.patch(path, json={"edge_server_uuid": edge.id, "replicas": 2})
    assert (kept.status_code, kept.json()["edge_server_uuid"]) == (200, edge.id), "it may be out of order"
    for nothing in (None, ""):
        await seaway.store.servers.set(edge.id, is_usable=True)
        await client.patch(path, json={"edge_server_uuid": edge.id})
        gone = await client.patch(path, json={"edge_server_uuid": nothing})
        assert gone.status_code == 200, gone.text
        configuration = await seaway.store.applications.configuration(str(application["uuid"]))
        assert configuration.routing.edge_server_id is None


async def test_a_server_that_cannot_be_an_edge_is_refused(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server, application: dict[str, Any]
) -> None:
    path = f"/applications/{application['uuid']}"
    await seaway.store.servers.set(edge.id, is_usable=False)
    refusals = [("nothing", 404), (seaway.theirs.server.id, 404), (edge.id, 400)]
    for uuid, status in refusals:
        for answer in (
            await client.patch(path, json={"edge_server_uuid": uuid}),
            await created(seaway, client, edge_server_uuid=uuid),
        ):
            assert answer.status_code == status, answer.text
    assert "'front' is not usable" in (await client.patch(path, json={"edge_server_uuid": edge.id})).text
    await seaway.store.servers.set(edge.id, is_usable=True, status=ServerStatus.REMOVING)
    assert (await client.patch(path, json={"edge_server_uuid": edge.id})).status_code == 400
    assert (await client.get(path)).json()["edge_server_uuid"] is None


async def test_an_edge_elsewhere_does_not_reach_seaways_own_server(
    seaway: Seaway, client: httpx.AsyncClient, edge: Server, application: dict[str, Any]
) -> None:
    await seaway.store.servers.set(seaway.mine.server.id, is_local=True)
    path = f"/applications/{application['uuid']}"
    for change in (
        {"edge_server_uuid": edge.id},
        {"edge_server_uuid": edge.id, "server_uuids": [edge.id, seaway.mine.server.id]},
    ):
        refused = await client.patch(path, json=change)
        assert refused.status_code == 422, refused.text
        assert list(refused.json()["errors"]) == ["edge_server_uuid"]
    own = await client.patch(
        path,
        json={"edge_server_uuid": seaway.mine.server.id, "server_uuids": [edge.id, seaway.mine.server.id]},
    )
    assert own.status_code == 200, own.text
    moved = {"edge_server_uuid": edge.id, "server_uuids": [edge.id]}
    assert (await client.patch(path, json=moved)).status_code == 200
    back = await client.patch(path, json={"server_uuids": [seaway.mine.server.id]})
    assert back.status_code == 422, "its present edge would not reach the new server"
