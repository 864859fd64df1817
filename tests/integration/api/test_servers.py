"""Servers as the API takes, shows and checks them, and their host keys."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from domain.deployments import StepStatus
from domain.errors import ServerUnreachable, TransientError
from domain.servers import ServerStatus, ServerStepName
from store.tables import PrivateKey
from tests.integration.api.conftest import ADDRESS, Seaway, audited, new_host_key


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
