"""What may be changed about a server, and what excludes what."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.servers import ServerStatus
from store.tables import PrivateKey, Server
from tests.integration.api.conftest import ADDRESS, Seaway


async def test_a_change_keeps_what_is_left_out_and_tries_a_new_way_in(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    path = f"/servers/{server['uuid']}"
    changed = await client.patch(path, json={"name": "Harbour", "description": "d", "concurrent_builds": 3})
    assert changed.status_code == 201
    assert {**changed.json(), "updated_at": ""} == {
        **server,
        "name": "Harbour",
        "description": "d",
        "concurrent_builds": 3,
        "settings": {**server["settings"], "concurrent_builds": 3},
        "updated_at": "",
    }
    limited = (await client.patch(path, json={"build_memory_percent": 40})).json()
    assert (limited["build_cpu_percent"], limited["build_memory_percent"]) == (None, 40)
    usual = (await client.patch(path, json={"build_memory_percent": None})).json()
    assert usual["build_memory_percent"] is None
    await client.patch(path, json={"port": 2222})
    assert seaway.servers.provisioned == [], "nobody has tried it yet, so a new way in waits as well"
    await client.post(f"{path}/validate")
    await seaway.store.servers.set(server["uuid"], status=ServerStatus.USABLE)
    moved = (await client.patch(path, json={"ip": "192.0.2.9", "user": "deploy"})).json()
    assert (moved["ip"], moved["user"]) == ("192.0.2.9", "deploy")
    assert moved["host_key_fingerprint"] == seaway.host_keys.key.fingerprint
    assert len(seaway.servers.provisioned) == 2
    await client.patch(path, json={"name": "Pier"})
    assert len(seaway.servers.provisioned) == 2
    await client.patch(path, json={"is_build_server": True})
    await client.patch(path, json={"is_build_server": False})
    assert len(seaway.servers.provisioned) == 4, "one that runs applications needs a proxy"


async def test_no_two_servers_of_a_team_have_one_name(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey
) -> None:
    # Behind another jump host the same address is another machine.
    twin = {"ip": ADDRESS, "private_key_uuid": key.id, "jump_server_uuid": server["uuid"]}
    refused = await client.post("/servers", json=twin)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert f"'{ADDRESS}' already" in refused.json()["message"]
    other = await client.post("/servers", json={**twin, "name": "inner"})
    assert other.status_code == 201
    path = f"/servers/{other.json()['uuid']}"
    assert (await client.patch(path, json={"name": ADDRESS})).status_code == 409
    assert (await client.patch(path, json={"name": "inner", "description": "the same"})).status_code == 201
    # What others call theirs is their own business.
    assert (await client.patch(path, json={"name": seaway.theirs.server.name})).status_code == 201


async def test_the_way_never_leads_over_the_server_itself(
    client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey, seaway: Seaway
) -> None:
    gate = {"ip": "192.0.2.10", "private_key_uuid": key.id, "jump_server_uuid": server["uuid"]}
    behind = (await client.post("/servers", json=gate)).json()
    for jump in (server["uuid"], behind["uuid"], seaway.theirs.server.id):
        answer = await client.patch(f"/servers/{server['uuid']}", json={"jump_server_uuid": jump})
        assert answer.status_code == 422
        assert list(answer.json()["errors"]) == ["jump_server_uuid"]
    straight = await client.patch(f"/servers/{behind['uuid']}", json={"jump_server_uuid": None})
    assert straight.json()["jump_server_uuid"] is None


async def test_a_new_way_is_not_too_long_for_those_behind_either(
    client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey
) -> None:
    async def behind(address: str, jump: str | None) -> httpx.Response:
        body = {"ip": address, "private_key_uuid": key.id, "jump_server_uuid": jump}
        return await client.post("/servers", json=body)

    async def lead(uuid: str, jump: str) -> httpx.Response:
        return await client.patch(f"/servers/{uuid}", json={"jump_server_uuid": jump})

    first = (await behind("192.0.2.10", server["uuid"])).json()
    second = (await behind("192.0.2.11", first["uuid"])).json()
    gate, outer = [(await behind(f"192.0.2.{number}", None)).json() for number in (20, 21)]
    assert (await lead(gate["uuid"], outer["uuid"])).status_code == 201
    refused = await lead(server["uuid"], gate["uuid"])
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["jump_server_uuid"])
    assert "a server behind this one" in refused.text
    assert (await lead(server["uuid"], outer["uuid"])).status_code == 201, "three jumps are allowed"
    assert (await behind("192.0.2.12", second["uuid"])).status_code == 422
    assert (await lead(outer["uuid"], gate["uuid"])).status_code == 422, "over itself"
    again = {"name": "Pier", "jump_server_uuid": outer["uuid"]}
    assert (await client.patch(f"/servers/{server['uuid']}", json=again)).status_code == 201


@pytest.mark.parametrize("field", ["private_key_uuid", "jump_server_uuid"])
async def test_what_does_not_exist_and_what_is_of_others_is_refused_in_the_same_words(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey, field: str
) -> None:
    foreign = PrivateKey(team_id=seaway.theirs.team.id, name="key", private_key_sealed="")
    async with seaway.store.database.writing() as session:
        session.add(foreign)
    theirs = foreign.id if field == "private_key_uuid" else seaway.theirs.server.id
    added = {"ip": "192.0.2.10", "private_key_uuid": key.id}
    answers = [
        answer
        for uuid in (theirs, "x" * 24)
        for answer in (
            await client.post("/servers", json={**added, field: uuid}),
            await client.patch(f"/servers/{server['uuid']}", json={field: uuid}),
        )
    ]
    assert [answer.status_code for answer in answers] == [422] * 4
    assert {tuple(answer.json()["errors"]) for answer in answers} == {(field,)}
    assert len({answer.text for answer in answers}) == 1
    assert len((await client.get("/servers")).json()) == 2, "mine, and Seaway's own"


ROLES = ("is_build_server", "is_swarm_manager", "is_swarm_worker")


@pytest.mark.parametrize("pair", [ROLES[:2], ROLES[::2], ROLES[1:]])
async def test_a_server_is_not_two_things_of_which_one_excludes_the_other(
    client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey, pair: tuple[str, str]
) -> None:
    one, other = pair
    path = f"/servers/{server['uuid']}"
    both = {one: True, other: True}
    new = {"ip": "192.0.2.10", "private_key_uuid": key.id, **both}
    answers = [await client.post("/servers", json=new), await client.patch(path, json=both)]
    for stored, said in (pair, pair[::-1]):
        assert (await client.patch(path, json={stored: True})).status_code == 201
        answers.append(await client.patch(path, json={said: True}))
        assert list(answers[-1].json()["errors"]) == [said]
        assert (await client.patch(path, json={stored: False})).status_code == 201
    assert [answer.status_code for answer in answers] == [422] * 4
    assert all("say one of the two" in answer.text for answer in answers)
    await client.patch(path, json={one: True})
    assert (await client.patch(path, json={one: False, other: True})).status_code == 201


async def test_a_server_that_is_two_such_things_already_can_be_changed(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    await seaway.store.servers.set(server["uuid"], is_build_server=True, is_swarm_manager=True)
    path = f"/servers/{server['uuid']}"
    same = {"name": "Pier", "is_build_server": True, "is_swarm_manager": True}
    assert (await client.patch(path, json=same)).status_code == 201
    assert (await client.patch(path, json={"is_build_server": False})).status_code == 201


async def test_the_server_of_seaway_itself_has_no_way_in_and_stays(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    local = Server(
        team_id=seaway.mine.team.id, name="localhost", is_local=True, is_reachable=True, is_usable=True
    )
    async with seaway.store.database.writing() as session:
        session.add(local)
    path = f"/servers/{local.id}"
    validated = await client.post(f"{path}/validate")
    assert validated.json()["message"].endswith("is reachable and usable.")
    await seaway.store.servers.set(local.id, is_usable=False, status_message="No Docker Engine.")
    validated = await client.post(f"{path}/validate")
    assert validated.json()["message"].endswith("is not usable now: No Docker Engine.")
    refused = await client.patch(path, json={"is_swarm_manager": True})
    assert (refused.status_code, refused.json()["code"]) == (400, "not_possible_now")
    assert refused.json()["message"].endswith("; then set this again.")
    for answer in (
        await client.patch(path, json={"ip": ADDRESS}),
        await client.get(f"{path}/host-key"),
        await client.post(f"{path}/host-key/accept", json={"fingerprint": "SHA256:x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "not_possible_now")
    renamed = await client.patch(path, json={"name": "Quay", "concurrent_builds": 1})
    assert (renamed.status_code, renamed.json()["name"]) == (201, "Quay")
    assert seaway.servers.provisioned == []
