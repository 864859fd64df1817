"""Logins for registries: whose they are, who sees them, and which of them a project gets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import httpx
import pytest

from domain.registries import RegistryCheck, RegistryLogin, RegistryState
from store.tables import Server
from tests.integration.api.conftest import Seaway

PASSWORD = "hunter2 of the registry"
LOGIN = {"host": "https://Registry.example.com:5000/", "username": "robot", "password": f"{PASSWORD}\n"}


@dataclass
class RecordingChecks:
    """Stands for the engines: keeps what it is asked to try."""

    state: RegistryState = RegistryState.FINE
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def check(self, server: Server, login: RegistryLogin) -> RegistryCheck:
        self.asked.append((server.id, login.host, login.password.get_secret_value()))
        return RegistryCheck(self.state, "said")


@pytest.fixture
def checks(seaway: Seaway) -> RecordingChecks:
    made = RecordingChecks()
    context = seaway.app.state.context
    seaway.app.state.context = dataclasses.replace(context, registry_checks=made)
    return made


async def logins_of(seaway: Seaway, project_id: str) -> dict[str, str]:
    logins = await seaway.store.registries.logins(team_id=seaway.mine.team.id, project_id=project_id)
    return {login.host: login.username for login in logins}


async def test_a_login_is_kept_sealed_changed_and_deleted(seaway: Seaway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/registries", json=LOGIN)
    assert answer.status_code == 201
    added = answer.json()
    host = "registry.example.com:5000"
    assert (added["name"], added["host"], added["password"]) == (host, host, PASSWORD)
    path = f"/registries/{added['uuid']}"
    assert (await client.get(path)).json() == added
    assert (await client.get("/registries")).json() == [added]
    row = await seaway.store.registries.get(added["uuid"], team_id=seaway.mine.team.id)
    assert PASSWORD not in str(row.model_dump())
    changed = (await client.patch(path, json={"username": "other", "name": "main"})).json()
    assert (changed["username"], changed["name"], changed["password"]) == ("other", "main", PASSWORD)
    assert (await client.patch(path, json={"password": "new"})).json()["password"] == "new"
    assert (await client.delete(path)).json() == {"message": "Registry deleted."}
    assert (await client.get(path)).status_code == 404
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    assert sorted(event.action for event in events) == [
        "registry.create",
        "registry.delete",
        "registry.update",
        "registry.update",
    ]
    assert not any(PASSWORD in event.summary for event in events)


async def test_a_password_shows_only_to_those_who_may_see_secrets(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    uuid = (await client.post("/registries", json=LOGIN)).json()["uuid"]
    for abilities, shown in ((["read", "write"], False), (["read", "read:sensitive"], True)):
        async with seaway.client(await seaway.token_with(*abilities)) as limited:
            for path in ("/registries", f"/registries/{uuid}"):
                assert (PASSWORD in (await limited.get(path)).text) is shown
    async with seaway.client(await seaway.token_with("read", "write")) as limited:
        assert PASSWORD not in (await limited.patch(f"/registries/{uuid}", json={"name": "x"})).text


async def test_a_kept_password_cannot_be_sent_to_another_registry(client: httpx.AsyncClient) -> None:
    path = f"/registries/{(await client.post('/registries', json=LOGIN)).json()['uuid']}"
    answer = await client.patch(path, json={"host": "evil.example"})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["password"])
    moved = await client.patch(path, json={"host": "ghcr.io", "password": "another"})
    assert (moved.json()["host"], moved.json()["password"]) == ("ghcr.io", "another")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"host": "ghcr.io/acme"}, "host"),
        ({"username": "a:b"}, "username"),
        ({"password": ""}, "password"),
        ({"project_uuid": "x" * 24}, "project_uuid"),
    ],
)
async def test_what_cannot_be_a_login_is_refused_by_its_field(
    client: httpx.AsyncClient, change: dict[str, str], part: str
) -> None:
    answer = await client.post("/registries", json={**LOGIN, **change})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [part])


async def test_a_project_of_another_team_gets_no_login(seaway: Seaway, client: httpx.AsyncClient) -> None:
    answer = await client.post("/registries", json={**LOGIN, "project_uuid": seaway.theirs.project.id})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["project_uuid"])


async def test_a_projects_login_wins_over_the_teams_and_only_there(
    seaway: Seaway, client: httpx.AsyncClient
) -> None:
    mine = seaway.mine.project.id
    other = (await client.post("/projects", json={"name": "other"})).json()["uuid"]
    host = "registry.example.com:5000"
    own = {**LOGIN, "username": "of the project", "project_uuid": mine}
    assert (await client.post("/registries", json=own)).status_code == 201
    assert await logins_of(seaway, other) == {}
    assert (await client.post("/registries", json=LOGIN)).status_code == 201
    assert await logins_of(seaway, mine) == {host: "of the project"}
    assert await logins_of(seaway, other) == {host: "robot"}
    for again in (LOGIN, own):
        assert (await client.post("/registries", json=again)).status_code == 409
    async with seaway.client(seaway.theirs.token) as theirs:
        assert (await theirs.get("/registries")).json() == []
        assert (await theirs.post("/registries", json=LOGIN)).status_code == 201
    assert (await client.delete(f"/projects/{mine}")).status_code == 200
    assert [one["username"] for one in (await client.get("/registries")).json()] == ["robot"]


async def test_a_changed_host_may_not_be_that_of_another_login(client: httpx.AsyncClient) -> None:
    await client.post("/registries", json=LOGIN)
    second = (await client.post("/registries", json={**LOGIN, "host": "ghcr.io"})).json()
    change = {"host": LOGIN["host"], "password": "p"}
    assert (await client.patch(f"/registries/{second['uuid']}", json=change)).status_code == 409
    assert (await client.get(f"/registries/{second['uuid']}")).json()["host"] == "ghcr.io"


async def test_a_check_shows_a_kept_password_to_a_server_only_for_those_who_may_deploy(
    seaway: Seaway, client: httpx.AsyncClient, checks: RecordingChecks
) -> None:
    path = f"/registries/{(await client.post('/registries', json=LOGIN)).json()['uuid']}/check"
    async with seaway.client(await seaway.token_with("read", "write")) as writer:
        assert (await writer.post(path)).status_code == 403
    assert checks.asked == []
    async with seaway.client(await seaway.token_with("read", "write", "deploy")) as deployer:
        assert (await deployer.post(path)).status_code == 200


async def test_a_check_logs_in_from_a_server_of_the_team(
    seaway: Seaway, client: httpx.AsyncClient, checks: RecordingChecks
) -> None:
    path = f"/registries/{(await client.post('/registries', json=LOGIN)).json()['uuid']}/check"
    checks.state = RegistryState.WRONG_CREDENTIALS
    answer = (await client.post(path)).json()
    server = seaway.mine.server.id
    assert answer == {"state": "wrong_credentials", "message": "said", "detail": None, "server_uuid": server}
    assert checks.asked == [(server, "registry.example.com:5000", PASSWORD)]
    assert (await client.post(path, json={"server_uuid": server})).json()["server_uuid"] == server
    refused = await client.post(path, json={"server_uuid": seaway.theirs.server.id})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["server_uuid"])
    await seaway.store.servers.set(server, is_usable=False)
    assert (await client.post(path)).status_code == 400
    assert len(checks.asked) == 2
