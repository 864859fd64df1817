"""A token with `write` and `deploy` leads nobody's approved folders, and no Swarm, to another machine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from domain.configuration import RuntimeOptions, Volume, VolumeKind
from store.tables import PrivateKey, Server
from tests.integration.api.conftest import Seaway, new_host_key

ELSEWHERE = [
    {"ip": "192.0.2.99"},
    {"port": 2222},
    {"user": "other"},
    {"jump_server_uuid": "JUMP"},
    {"host_key": "NEW"},
]


@pytest.fixture
async def limited(seaway: Seaway) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may change and deploy."""
    async with seaway.client(await seaway.token_with("read", "write", "deploy")) as client:
        yield client


async def add_server(seaway: Seaway, address: str, **values: object) -> Server:
    team = seaway.mine.team.id
    key = PrivateKey(team_id=team, name=address, private_key_sealed="")
    async with seaway.store.database.writing() as session:
        session.add(key)
    return await seaway.store.servers.create(
        Server(
            **{  # type: ignore[arg-type]
                "team_id": team,
                "name": address,
                "address": address,
                "private_key_id": key.id,
                "host_key": new_host_key().text,
                "is_usable": True,
                **values,
            }
        )
    )


async def add_application(seaway: Seaway, server: Server, *volumes: Volume) -> str:
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "https://git.example.com/a/b.git",
        "name": "shop",
        "server_uuid": server.id,
    }
    async with seaway.client(seaway.mine.token) as client:
        answer = await client.post("/applications/public", json=body)
    assert answer.status_code == 201, answer.text
    uuid = str(answer.json()["uuid"])
    configuration = await seaway.store.applications.configuration(uuid)
    runtime = RuntimeOptions(volumes=volumes)
    await seaway.store.applications.update(
        await seaway.store.applications.get(uuid), configuration.model_copy(update={"runtime": runtime})
    )
    return uuid


SOCKET = Volume(kind=VolumeKind.BIND, source="/var/run/docker.sock", target="/var/run/docker.sock")
DATA = Volume(kind=VolumeKind.NAMED, source="data", target="/data")


async def written(seaway: Seaway, change: dict[str, str]) -> dict[str, str]:
    jump = (await add_server(seaway, "192.0.2.50")).id if "jump_server_uuid" in change else ""
    places = {"JUMP": jump, "NEW": new_host_key().text}
    return {name: places.get(str(value), value) for name, value in change.items()}


@pytest.mark.parametrize("change", ELSEWHERE, ids=lambda change: next(iter(change)))
async def test_a_server_whose_folders_are_mounted_is_led_elsewhere_by_root_only(
    seaway: Seaway, client: httpx.AsyncClient, limited: httpx.AsyncClient, change: dict[str, str]
) -> None:
    server = await add_server(seaway, "192.0.2.7")
    await add_application(seaway, server, SOCKET)
    body = await written(seaway, change)
    before = await seaway.store.servers.get(server.id)
    refused = await limited.patch(f"/servers/{server.id}", json=body)
    assert refused.status_code == 403, refused.text
    assert "'root'" in refused.json()["message"]
    assert await seaway.store.servers.get(server.id) == before
    assert (await client.patch(f"/servers/{server.id}", json=body)).status_code == 201


async def test_a_server_that_mounts_no_folder_is_led_elsewhere_by_any_writer(
    seaway: Seaway, limited: httpx.AsyncClient
) -> None:
    server = await add_server(seaway, "192.0.2.7")
    await add_application(seaway, server, DATA)
    assert (await limited.patch(f"/servers/{server.id}", json={"ip": "192.0.2.8"})).status_code == 201
    assert (await limited.patch(f"/servers/{server.id}", json={"name": "harbour"})).status_code == 201


async def test_a_folder_that_only_a_rollback_would_mount_counts_too(
    seaway: Seaway, limited: httpx.AsyncClient
) -> None:
    server = await add_server(seaway, "192.0.2.7")
    uuid = await add_application(seaway, server, SOCKET)
    queued = await limited.post(f"/deploy?uuid={uuid}")
    deployment = queued.json()["deployments"][0]["deployment_uuid"]
    approved = await seaway.store.applications.configuration(uuid)
    await seaway.store.deployments.begin(deployment, approved, ())
    plain = approved.model_copy(update={"runtime": RuntimeOptions()})
    await seaway.store.applications.update(await seaway.store.applications.get(uuid), plain)
    assert (await limited.patch(f"/servers/{server.id}", json={"ip": "192.0.2.8"})).status_code == 403


async def test_another_host_key_is_accepted_by_root_only_where_folders_are_mounted(
    seaway: Seaway, client: httpx.AsyncClient, limited: httpx.AsyncClient
) -> None:
    server = await add_server(seaway, "192.0.2.7")
    await add_application(seaway, server, SOCKET)
    path, body = f"/servers/{server.id}/host-key/accept", {"fingerprint": seaway.host_keys.key.fingerprint}
    assert (await limited.post(path, json=body)).status_code == 403
    assert (await seaway.store.servers.get(server.id)).host_key == server.host_key
    assert (await client.post(path, json=body)).status_code == 200


@pytest.mark.parametrize("flag", ["is_swarm_manager", "is_swarm_worker"])
async def test_a_part_in_a_swarm_is_given_and_taken_by_root_only(
    seaway: Seaway, client: httpx.AsyncClient, limited: httpx.AsyncClient, flag: str
) -> None:
    server = await add_server(seaway, "192.0.2.7")
    path = f"/servers/{server.id}"
    added = {"ip": "192.0.2.66", "private_key_uuid": server.private_key_id, flag: True}
    assert (await limited.post("/servers", json=added)).status_code == 403
    assert [one["ip"] for one in (await limited.get("/servers")).json()].count("192.0.2.66") == 0
    assert (await limited.patch(path, json={flag: True})).status_code == 403
    assert (await client.patch(path, json={flag: True})).status_code == 201
    assert (await limited.patch(path, json={flag: False})).status_code == 403
    assert (await limited.patch(path, json={flag: True, "name": "harbour"})).status_code == 201
    assert (await limited.patch(path, json={"ip": "192.0.2.8"})).status_code == 403


async def test_a_manager_that_nobody_has_reached_yet_is_led_elsewhere_by_root_only(
    seaway: Seaway, client: httpx.AsyncClient, limited: httpx.AsyncClient
) -> None:
    server = await add_server(seaway, "192.0.2.7", is_swarm_manager=True, is_usable=False, host_key="")
    path = f"/servers/{server.id}"
    assert (await limited.patch(path, json={"ip": "192.0.2.8"})).status_code == 403
    assert (await client.patch(path, json={"ip": "192.0.2.8"})).status_code == 201


async def test_a_mounted_folder_moves_to_another_node_by_root_only(
    seaway: Seaway, client: httpx.AsyncClient, limited: httpx.AsyncClient
) -> None:
    server = await add_server(seaway, "192.0.2.7", is_swarm_manager=True)
    uuid = await add_application(seaway, server, SOCKET)
    path = f"/applications/{uuid}"
    first, second = ({"swarm_placement_constraints": f"node.hostname=={name}"} for name in ("one", "two"))
    assert (await client.patch(path, json=first)).status_code == 200
    assert (await limited.patch(path, json=second)).status_code == 403
    assert (await limited.patch(path, json={**first, "description": "the shop"})).status_code == 200
    assert (await client.patch(path, json=second)).status_code == 200


async def test_a_server_is_not_led_to_where_another_one_is(seaway: Seaway, client: httpx.AsyncClient) -> None:
    await add_server(seaway, "192.0.2.7")
    server = await add_server(seaway, "192.0.2.8")
    answer = await client.patch(f"/servers/{server.id}", json={"ip": "192.0.2.7"})
    assert answer.status_code == 409
    assert "is the server '192.0.2.7' already" in answer.json()["message"]
    assert (
        await client.patch(f"/servers/{server.id}", json={"ip": "192.0.2.7", "port": 23})
    ).status_code == 201
