"""Creating, naming and deleting applications."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from domain.deployments import OperationKind
from domain.errors import TransientError
from tests.integration.api.conftest import Seaway

REPOSITORY = "https://git.example.com/team/My.Shop.git"


async def create(client: httpx.AsyncClient, project_uuid: str, **fields: object) -> httpx.Response:
    body = {"project_uuid": project_uuid, "git_repository": REPOSITORY, **fields}
    return await client.post("/applications/public", json=body)


async def test_a_new_application_is_answered_whole_and_read_as_it_was_answered(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    answer = await create(client, seaway.mine.project.id, name="shop", domains="https://shop.example.com")
    assert answer.status_code == 201
    created = answer.json()
    assert created["name"] == "shop"
    assert created["fqdn"] == created["domains"] == "https://shop.example.com"
    assert created["environment_name"] == "production"
    assert created["status"] == "exited"
    assert (await client.get(f"/applications/{created['uuid']}")).json() == created


async def test_without_name_and_domain_both_are_made(seaway: Seaway, client: httpx.AsyncClient) -> None:
    created = (await create(client, seaway.mine.project.id)).json()
    assert created["name"].startswith("my-shop-")
    assert created["domains"].startswith(f"http://{created['name']}")
    assert created["domains"].endswith(".apps.example.com")
    again = (await create(client, seaway.mine.project.id)).json()
    assert again["name"] != created["name"]


async def test_only_on_seaways_own_machine_its_proxys_ports_are_in_the_urls(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    path = "/applications"
    uuid = (await create(client, seaway.mine.project.id, domains="http://shop.example.com")).json()["uuid"]
    for is_local, url in ((False, "http://shop.example.com"), (True, "http://shop.example.com:8080")):
        await seaway.store.servers.set(seaway.mine.server.id, is_local=is_local)
        [listed] = (await client.get(path)).json()
        assert listed["urls"] == (await client.get(f"{path}/{uuid}")).json()["urls"] == [url]


async def test_no_domain_is_made_for_who_wants_none(seaway: Seaway, client: httpx.AsyncClient) -> None:
    created = (await create(client, seaway.mine.project.id, autogenerate_domain=False)).json()
    assert (created["domains"], created["fqdn"], created["urls"]) == ("", None, [])


async def test_two_applications_of_one_environment_have_two_names(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    await create(client, seaway.mine.project.id, name="shop")
    answer = await create(client, seaway.mine.project.id, name="shop")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_taken_domain_names_its_owner_within_the_team(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    owner = (await create(client, seaway.mine.project.id, name="shop", domains="shop.example.com")).json()
    answer = await create(client, seaway.mine.project.id, domains="https://SHOP.example.com,b.example.com")
    assert answer.status_code == 409
    body = answer.json()
    assert body["code"] == "domain_taken"
    assert body["warning"]
    assert body["conflicts"] == [
        {
            "domain": "shop.example.com",
            "resource_name": "shop",
            "resource_uuid": owner["uuid"],
            "resource_type": "application",
            "message": "shop.example.com is already in use by the application 'shop'.",
        }
    ]
    assert len((await client.get("/applications")).json()) == 1


async def test_a_domain_of_another_team_does_not_tell_whose_it_is(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    async with seaway.client(seaway.theirs.token) as theirs:
        created = await create(
            theirs, seaway.theirs.project.id, name="secret-project", domains="a.example.com"
        )
    mine = (await create(client, seaway.mine.project.id)).json()
    answer = await client.patch(f"/applications/{mine['uuid']}", json={"domains": "a.example.com"})
    assert answer.status_code == 409
    assert "secret-project" not in answer.text
    assert created.json()["uuid"] not in answer.text
    assert answer.json()["conflicts"][0]["resource_name"] is None


async def test_a_domain_that_is_let_go_of_can_be_taken(seaway: Seaway, client: httpx.AsyncClient) -> None:
    first = (await create(client, seaway.mine.project.id, domains="a.example.com")).json()
    await client.patch(f"/applications/{first['uuid']}", json={"domains": ""})
    assert (await create(client, seaway.mine.project.id, domains="a.example.com")).status_code == 201


async def test_changes_at_the_same_time_are_all_kept(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    changes: list[dict[str, object]] = [
        {"replicas": 4},
        {"limits_memory": "1g"},
        {"description": "d"},
        {"release_command": "migrate"},
        {"name": "renamed"},
    ]
    answers = await asyncio.gather(*(client.patch(path, json=change) for change in changes))
    assert [answer.status_code for answer in answers] == [200] * len(changes)
    read = (await client.get(path)).json()
    for change in changes:
        assert change.items() <= read.items()


@pytest.mark.parametrize("environment", [{"environment_name": "staging"}, {"environment_uuid": "?"}])
async def test_an_application_lands_in_the_environment_that_was_asked_for(
    seaway: Seaway, client: httpx.AsyncClient, environment: dict[str, str]
) -> None:
    project = seaway.mine.project.id
    staging = (await client.post(f"/projects/{project}/environments", json={"name": "staging"})).json()
    wanted = {name: staging["uuid"] if value == "?" else value for name, value in environment.items()}
    created = (await create(client, project, **wanted)).json()
    assert created["environment_uuid"] == staging["uuid"]
    shown = (await client.get(f"/projects/{project}/staging")).json()
    assert [one["uuid"] for one in shown["applications"]] == [created["uuid"]]
    missing = await create(client, project, environment_name="nowhere")
    assert missing.status_code == 404


async def test_with_instant_deploy_the_answer_tells_the_deployment(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    created = (await create(client, seaway.mine.project.id, instant_deploy=True)).json()
    (command,) = seaway.operations.submitted
    assert command.kind is OperationKind.DEPLOY
    assert command.application_id == created["uuid"]
    assert command.deployment_id == created["deployment_uuid"]


async def test_a_deploy_key_must_exist(seaway: Seaway, client: httpx.AsyncClient) -> None:
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "git@git.example.com:team/shop.git",
        "private_key_uuid": "x" * 24,
    }
    answer = await client.post("/applications/private-deploy-key", json=body)
    assert answer.status_code == 404
    missing = {name: value for name, value in body.items() if name != "private_key_uuid"}
    answer = await client.post("/applications/private-deploy-key", json=missing)
    assert answer.json()["errors"] == {"private_key_uuid": ["This field is required."]}


async def test_what_cannot_be_done_yet_says_what_can(seaway: Seaway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/applications/dockerfile", json={"dockerfile": "FROM scratch"})
    assert answer.status_code == 422
    assert "/applications/public" in answer.json()["errors"]["dockerfile"][0]


async def test_deleting_queues_the_deletion_and_leaves_the_rest_to_it(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    answer = await client.delete(path, params={"delete_volumes": False})
    (command,) = seaway.operations.submitted
    assert answer.json() == {
        "message": "Deletion of 'shop' queued.",
        "deployment_uuid": command.deployment_id,
    }
    assert (command.kind, command.delete_volumes) == (OperationKind.DELETE, False)
    assert (await client.get(path)).status_code == 200
    await client.delete(path)
    assert seaway.operations.submitted[1].delete_volumes is True


async def test_an_engine_that_does_not_answer_is_a_503_that_says_when_to_try_again(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    seaway.operations.refusal = TransientError("The workflow engine does not answer.")
    answer = await client.post("/deploy", params={"uuid": str(application["uuid"])})
    assert (answer.status_code, answer.json()["code"]) == (503, "transient")
    assert int(answer.headers["Retry-After"]) > 0


async def test_the_status_is_what_the_runtime_sees(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    seaway.runtime.known[uuid] = "running:healthy"
    assert (await client.get(f"/applications/{uuid}")).json()["status"] == "running:healthy"
    assert (await client.get("/applications")).json()[0]["status"] == "running:healthy"
    server = seaway.mine.server.id
    resources = (await client.get(f"/servers/{server}/resources")).json()
    assert [(one["uuid"], one["status"]) for one in resources] == [(uuid, "running:healthy")]
    assert (await client.get("/resources")).json() == resources
    assert set(seaway.runtime.teams_asked_for) == {seaway.mine.team.id}
    domains = (await client.get(f"/servers/{server}/domains")).json()
    host = str(application["domains"]).removeprefix("http://")
    assert domains == [{"ip": "127.0.0.1", "domains": [host]}]


async def test_runtime_logs_are_the_last_lines_that_were_asked_for(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    answer = await client.get(f"/applications/{uuid}/logs", params={"lines": 7, "show_timestamps": True})
    assert answer.json() == {"logs": "first\nsecond"}
    assert seaway.runtime.asked == [(uuid, 7, True)]
    assert (await client.get(f"/applications/{uuid}/logs", params={"lines": 0})).status_code == 422


async def test_the_same_key_twice_creates_and_deploys_one_application(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    client.headers["Idempotency-Key"] = "create-shop"
    first = await create(client, seaway.mine.project.id, instant_deploy=True)
    second = await create(client, seaway.mine.project.id, instant_deploy=True)
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert len((await client.get("/applications")).json()) == 1
    assert len(seaway.operations.submitted) == 1
