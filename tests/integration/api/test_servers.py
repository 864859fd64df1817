"""Servers as the API takes, shows, checks and removes them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.deployments import StepStatus
from domain.errors import NotPossibleNow, SeawayError, ServerUnreachable, TransientError
from domain.servers import ServerStatus, ServerStepName
from store.tables import PrivateKey, Server
from tests.integration.api.conftest import Seaway, new_host_key

ADDRESS = "192.0.2.7"


@pytest.fixture
async def key(seaway: Seaway) -> PrivateKey:
    """A key of mine."""
    key = PrivateKey(team_id=seaway.mine.team.id, name="key", private_key_sealed="")
    async with seaway.store.database.writing() as session:
        session.add(key)
    return key


@pytest.fixture
async def server(client: httpx.AsyncClient, key: PrivateKey) -> dict[str, Any]:
    """A server of mine that nobody has reached yet."""
    answer = await client.post("/servers", json={"ip": ADDRESS, "private_key_uuid": key.id})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def audited(seaway: Seaway) -> list[tuple[str, str]]:
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    return [(event.action, event.summary) for event in reversed(events)]


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


async def test_a_server_is_added_with_what_is_usual(server: dict[str, Any], seaway: Seaway) -> None:
    assert (server["name"], server["ip"], server["port"], server["user"]) == (ADDRESS, ADDRESS, 22, "root")
    assert (server["status"], server["host_key_fingerprint"]) == ("new", None)
    assert server["settings"]["wildcard_domain"] == f"http://{ADDRESS}.sslip.io"
    assert server["settings"]["concurrent_builds"] == 2
    assert seaway.servers.provisioned == []
    assert seaway.host_keys.asked == []
    assert await audited(seaway) == [("server.create", f"{ADDRESS}: root@{ADDRESS} port 22")]


async def test_a_server_is_added_with_all_that_can_be_said(
    seaway: Seaway, client: httpx.AsyncClient, key: PrivateKey, server: dict[str, Any]
) -> None:
    pinned = new_host_key()
    body = {
        "ip": "[2001:db8::5]",
        "name": " Harbour ",
        "description": "in the cellar",
        "port": 2222,
        "user": "deploy",
        "private_key_uuid": key.id,
        "jump_server_uuid": server["uuid"],
        "host_key": f"{pinned.text} root@harbour",
        "is_build_server": False,
        "is_swarm_manager": True,
        "is_swarm_worker": False,
        "concurrent_builds": 4,
        "build_cpu_percent": 50,
        "build_memory_percent": 0,
        "wildcard_domain": "https://apps.example.com",
        "proxy_type": "traefik",
    }
    added = (await client.post("/servers", json=body)).json()
    assert (added["name"], added["ip"], added["port"], added["user"]) == (
        "Harbour",
        "2001:db8::5",
        2222,
        "deploy",
    )
    assert (added["jump_server_uuid"], added["host_key_fingerprint"]) == (server["uuid"], pinned.fingerprint)
    assert added["settings"] == {
        "is_reachable": False,
        "is_usable": False,
        "is_build_server": False,
        "is_swarm_manager": True,
        "is_swarm_worker": False,
        "concurrent_builds": 4,
        "build_cpu_percent": 50,
        "build_memory_percent": 0,
        "wildcard_domain": "https://apps.example.com",
    }
    assert (added["wildcard_domain"], added["data_folder"]) == ("https://apps.example.com", None)
    assert (await client.get(f"/servers/{added['uuid']}")).json() == added
    await seaway.store.servers.set(added["uuid"], data_folder="/data/seaway")
    assert (await client.get(f"/servers/{added['uuid']}")).json()["data_folder"] == "/data/seaway"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ip", None),
        ("ip", ""),
        ("ip", "root@host"),
        ("ip", "host:22"),
        ("ip", "a b"),
        ("ip", "x" * 300),
        ("port", 0),
        ("port", 65536),
        ("user", "Root!"),
        ("user", "-x"),
        ("private_key_uuid", None),
        ("host_key", "ssh-ed25519 nonsense"),
        ("concurrent_builds", 0),
        ("build_cpu_percent", 101),
        ("build_memory_percent", -1),
        ("wildcard_domain", "http://"),
        ("proxy_type", "nginx"),
        ("nonsense", 1),
    ],
)
async def test_what_no_server_can_have_is_refused_by_its_field(
    client: httpx.AsyncClient, key: PrivateKey, field: str, value: object
) -> None:
    answer = await client.post("/servers", json={"ip": ADDRESS, "private_key_uuid": key.id, field: value})
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["errors"]) == [field]


async def test_one_address_is_added_once(
    client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey
) -> None:
    body = {"ip": ADDRESS, "private_key_uuid": key.id}
    assert (await client.post("/servers", json=body)).status_code == 409
    another = {**body, "port": 2222, "name": "another"}
    assert (await client.post("/servers", json=another)).status_code == 201


async def test_first_contact_pins_the_host_key_and_starts_the_work(
    seaway: Seaway, client: httpx.AsyncClient, key: PrivateKey
) -> None:
    body = {"ip": ADDRESS, "private_key_uuid": key.id, "instant_validate": True}
    added = (await client.post("/servers", json=body)).json()
    assert added["host_key_fingerprint"] == seaway.host_keys.key.fingerprint
    assert seaway.servers.provisioned == [added["uuid"]]
    pin = ("server.host_key.pin", f"{ADDRESS}: {seaway.host_keys.key.fingerprint}")
    assert pin in await audited(seaway)


async def test_a_pinned_key_is_never_replaced_by_validating(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    path = f"/servers/{server['uuid']}"
    answer = await client.post(f"{path}/validate", json={"install": True})
    assert (answer.status_code, answer.json()) == (201, {"message": "Validation started."})
    first, seaway.host_keys.key = seaway.host_keys.key, new_host_key()
    assert (await client.post(f"{path}/validate")).status_code == 201
    assert (await client.get(path)).json()["host_key_fingerprint"] == first.fingerprint
    assert seaway.servers.provisioned == [server["uuid"]] * 2


async def test_a_validation_that_shall_install_nothing_is_refused_before_anything_happens(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    answer = await client.post(f"/servers/{server['uuid']}/validate", json={"install": False})
    refused = answer.json()
    assert (answer.status_code, refused["code"], list(refused["errors"])) == (
        422,
        "invalid_input",
        ["install"],
    )
    assert "not supported" in refused["errors"]["install"][0]
    assert seaway.servers.provisioned == []
    assert (await client.get(f"/servers/{server['uuid']}")).json()["host_key_fingerprint"] is None


async def test_a_first_contact_that_fails_is_told_by_status_steps_and_answer(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any], key: PrivateKey
) -> None:
    seaway.host_keys.failure = ServerUnreachable("Nothing listens at 192.0.2.7:22: connection refused.")
    path = f"/servers/{server['uuid']}"
    answer = await client.post(f"{path}/validate")
    assert (answer.status_code, answer.json()["code"]) == (503, "server_unreachable")
    shown = (await client.get(path)).json()
    assert (shown["status"], shown["is_usable"]) == ("unreachable", False)
    assert "connection refused" in shown["status_message"]
    steps = (await client.get(f"{path}/steps")).json()
    assert [step["status"] for step in steps] == ["failed"] + ["pending"] * (len(ServerStepName) - 1)
    assert "connection refused" in steps[0]["message"]
    assert steps[0]["title"] == "Reach it over SSH"
    assert seaway.servers.provisioned == []
    body = {"ip": "192.0.2.8", "private_key_uuid": key.id, "instant_validate": True}
    added = await client.post("/servers", json=body)
    assert (added.status_code, added.json()["status"]) == (201, "unreachable")


async def test_a_workflow_that_does_not_answer_is_told_by_the_server_that_was_added(
    seaway: Seaway, client: httpx.AsyncClient, key: PrivateKey
) -> None:
    seaway.servers.refusal = TransientError("The workflow engine has not answered yet.")
    body = {"ip": ADDRESS, "private_key_uuid": key.id, "instant_validate": True}
    added = await client.post("/servers", json=body)
    assert (added.status_code, added.json()["status"]) == (201, "new")
    assert added.json()["status_message"] == "The workflow engine has not answered yet."
    assert added.json()["host_key_fingerprint"] == seaway.host_keys.key.fingerprint


async def test_what_a_command_said_is_shown_to_those_who_may_see_secrets(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    await seaway.store.servers.begin_steps(server["uuid"])
    await seaway.store.servers.move_step(
        server["uuid"], ServerStepName.ENGINE, StepStatus.FAILED, attempt=2, message="m", detail="evidence"
    )
    path = f"/servers/{server['uuid']}/steps"
    assert (await client.get(path)).json()[3]["detail"] == "evidence"
    async with seaway.client(await seaway.token_with("read")) as limited:
        (step,) = [one for one in (await limited.get(path)).json() if one["name"] == "engine"]
        assert (step["detail"], step["message"], step["attempt"]) == (None, "m", 2)


async def test_a_changed_host_key_is_accepted_by_its_fingerprint_only(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    path = f"/servers/{server['uuid']}"
    await client.post(f"{path}/validate")
    pinned, shown = seaway.host_keys.key, new_host_key()
    seaway.host_keys.key = shown
    await seaway.store.servers.set(
        server["uuid"], status=ServerStatus.HOST_KEY_CHANGED, shown_host_key=shown.text
    )
    both = (await client.get(f"{path}/host-key")).json()
    assert (both["pinned_fingerprint"], both["shown_fingerprint"], both["is_pinned"]) == (
        pinned.fingerprint,
        shown.fingerprint,
        False,
    )
    alarm = (await client.get(path)).json()
    assert alarm["shown_host_key_fingerprint"] == shown.fingerprint
    refused = await client.post(f"{path}/host-key/accept", json={"fingerprint": pinned.fingerprint})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await client.get(path)).json()["host_key_fingerprint"] == pinned.fingerprint
    accepted = await client.post(f"{path}/host-key/accept", json={"fingerprint": shown.fingerprint})
    assert accepted.status_code == 200
    assert accepted.json()["host_key_fingerprint"] == shown.fingerprint
    assert accepted.json()["shown_host_key_fingerprint"] is None
    assert seaway.servers.provisioned == [server["uuid"]] * 2
    assert ("server.host_key.accept", f"{ADDRESS}: {shown.fingerprint}") in await audited(seaway)


async def test_a_key_that_is_not_the_one_shown_now_is_not_accepted(
    seaway: Seaway, client: httpx.AsyncClient, server: dict[str, Any]
) -> None:
    known = new_host_key()
    await seaway.store.servers.set(server["uuid"], shown_host_key=known.text)
    answer = await client.post(
        f"/servers/{server['uuid']}/host-key/accept", json={"fingerprint": known.fingerprint}
    )
    assert answer.status_code == 409
    assert seaway.host_keys.key.fingerprint in answer.json()["message"]


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
