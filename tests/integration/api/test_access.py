"""Nobody reaches a route without a token, the right ability, and a resource of their own team."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from api.application import create_api
from api.context import ApiContext
from domain.deployments import OperationKind
from store.tables import Deployment, PrivateKey, Registry
from tests.integration.api.conftest import SETTINGS, Seaway
from tests.integration.api.routes_of import KnownRoute, routes_of

NO_ID = ""


@dataclass(frozen=True)
class Case:
    """What a route needs, and whose id its first path parameter is."""

    ability: str
    owner: str = NO_ID
    body: dict[str, object] | None = None
    parameters: dict[str, str] = field(default_factory=dict)


APPLICATION, PROJECT, SERVER, KEY = "application", "project", "server", "key"
DEPLOYMENT, TEAM, REGISTRY = "deployment", "team", "registry"
ENVIRONMENT = {"environment_name_or_uuid": "production"}
CASES: dict[str, Case] = {
    "GET /version": Case("read"),
    "GET /teams": Case("read"),
    "GET /team": Case("read"),
    "GET /teams/current": Case("read"),
    "GET /team/members": Case("read"),
    "GET /teams/current/members": Case("read"),
    "GET /teams/{uuid}": Case("read", TEAM),
    "GET /teams/{uuid}/members": Case("read", TEAM),
    "GET /audit": Case("read:sensitive"),
    "GET /projects": Case("read"),
    "POST /projects": Case("write", body={"name": "p"}),
    "GET /projects/{uuid}": Case("read", PROJECT),
    "PATCH /projects/{uuid}": Case("write", PROJECT, {"name": "p"}),
    "DELETE /projects/{uuid}": Case("write", PROJECT),
    "GET /projects/{uuid}/environments": Case("read", PROJECT),
    "POST /projects/{uuid}/environments": Case("write", PROJECT, {"name": "staging"}),
    "PATCH /projects/{uuid}/environments/{environment_name_or_uuid}": Case(
        "write", PROJECT, {"name": "e"}, ENVIRONMENT
    ),
    "DELETE /projects/{uuid}/environments/{environment_name_or_uuid}": Case(
        "write", PROJECT, None, ENVIRONMENT
    ),
    "GET /projects/{uuid}/{environment_name_or_uuid}": Case("read", PROJECT, None, ENVIRONMENT),
    "GET /servers": Case("read"),
    "POST /servers": Case("write", body={"ip": "192.0.2.1"}),
    "GET /servers/{uuid}": Case("read", SERVER),
    "GET /servers/{uuid}/resources": Case("read", SERVER),
    "GET /servers/{uuid}/domains": Case("read", SERVER),
    "GET /servers/{uuid}/metrics": Case("read", SERVER),
    "GET /servers/{uuid}/events": Case("read", SERVER),
    "GET /servers/{uuid}/replicas": Case("read", SERVER),
    "GET /servers/events": Case("read"),
    "GET /applications/{uuid}/metrics": Case("read", APPLICATION),
    "PATCH /servers/{uuid}": Case("write", SERVER, {"name": "s"}),
    "DELETE /servers/{uuid}": Case("write", SERVER),
    "POST /servers/{uuid}/validate": Case("write", SERVER),
    "POST /servers/{uuid}/docker-cleanup/run": Case("write", SERVER),
    "GET /servers/{uuid}/steps": Case("read", SERVER),
    "GET /servers/{uuid}/builds": Case("read", SERVER),
    "GET /servers/{uuid}/swarm": Case("read", SERVER),
    "GET /servers/{uuid}/host-key": Case("read", SERVER),
    "POST /servers/{uuid}/host-key/accept": Case("write", SERVER, {"fingerprint": "SHA256:x"}),
    "GET /resources": Case("read"),
    "GET /security/keys": Case("read"),
    "POST /security/keys": Case("write", body={"private_key": "x"}),
    "POST /security/keys/generate": Case("write"),
    "GET /security/keys/{uuid}": Case("read", KEY),
    "PATCH /security/keys/{uuid}": Case("write", KEY, {"name": "k"}),
    "DELETE /security/keys/{uuid}": Case("write", KEY),
    "GET /registries": Case("read"),
    "POST /registries": Case("write", body={"host": "x", "username": "x", "password": "x"}),
    "GET /registries/{uuid}": Case("read", REGISTRY),
    "PATCH /registries/{uuid}": Case("write", REGISTRY, {"name": "r"}),
    "DELETE /registries/{uuid}": Case("write", REGISTRY),
    "POST /registries/{uuid}/check": Case("write", REGISTRY),
    "POST /applications/public": Case("write", body={"project_uuid": "x", "git_repository": "file:///x.git"}),
    "POST /applications/private-deploy-key": Case(
        "write", body={"project_uuid": "x", "git_repository": "file:///x.git", "private_key_uuid": "x"}
    ),
    "POST /applications/dockerimage": Case(
        "write", body={"project_uuid": "x", "docker_registry_image_name": "nginx"}
    ),
    "POST /applications/dockerfile": Case("write", body={"dockerfile": "FROM scratch"}),
    "GET /applications": Case("read"),
    "GET /applications/{uuid}": Case("read", APPLICATION),
    "PATCH /applications/{uuid}": Case("write", APPLICATION, {"name": "a"}),
    "DELETE /applications/{uuid}": Case("write", APPLICATION),
    "GET /applications/{uuid}/logs": Case("read", APPLICATION),
    "GET /applications/{uuid}/logs/stream": Case("read", APPLICATION),
    "GET /applications/{uuid}/envs": Case("read", APPLICATION),
    "POST /applications/{uuid}/envs": Case("write", APPLICATION, {"key": "A", "value": "b"}),
    "PATCH /applications/{uuid}/envs": Case("write", APPLICATION, {"key": "A", "value": "b"}),
    "PATCH /applications/{uuid}/envs/bulk": Case("write", APPLICATION, {"data": [{"key": "A"}]}),
    "DELETE /applications/{uuid}/envs/{env_uuid}": Case("write", APPLICATION, None, {"env_uuid": "x"}),
    "GET /applications/{uuid}/storages": Case("read", APPLICATION),
    "POST /applications/{uuid}/storages": Case(
        "write", APPLICATION, {"type": "persistent", "name": "data", "mount_path": "/data"}
    ),
    "DELETE /applications/{uuid}/storages/{storage_uuid}": Case(
        "write", APPLICATION, None, {"storage_uuid": "x"}
    ),
    "POST /applications/{uuid}/start": Case("deploy", APPLICATION),
    "POST /applications/{uuid}/stop": Case("deploy", APPLICATION),
    "POST /applications/{uuid}/restart": Case("deploy", APPLICATION),
    "POST /applications/{uuid}/scale": Case("deploy", APPLICATION, {"replicas": 2}),
    "GET /applications/{uuid}/rollback-images": Case("read", APPLICATION),
    "POST /applications/{uuid}/rollback": Case("deploy", APPLICATION, {"commit": "a" * 40}),
    "GET /applications/{uuid}/operations": Case("read", APPLICATION),
    "POST /deploy": Case("deploy"),
    "GET /deployments": Case("read"),
    "GET /deployments/applications/{uuid}": Case("read", APPLICATION),
    "GET /deployments/{uuid}": Case("read", DEPLOYMENT),
    "GET /deployments/{uuid}/steps": Case("read", DEPLOYMENT),
    "GET /deployments/{uuid}/log": Case("read:sensitive", DEPLOYMENT),
    "GET /deployments/{uuid}/stream": Case("read", DEPLOYMENT),
    "POST /deployments/{uuid}/cancel": Case("deploy", DEPLOYMENT),
}
OPEN = {"GET /health"}
ABILITIES = ("read", "write", "deploy", "read:sensitive", "write:sensitive")

ROUTES = routes_of(create_api(ApiContext(None, None, None, SETTINGS)))  # type: ignore[arg-type]
GUARDED = [route for route in ROUTES if route.key not in OPEN]


def path_of(route: KnownRoute, uuid: str = "x") -> str:
    """The route's path with ids in it."""
    case = CASES[route.key]
    return route.path.format(**{"uuid": uuid, **case.parameters})


async def ids_of_others(seaway: Seaway) -> dict[str, str]:
    """One of everything that belongs to the other team."""
    theirs = seaway.theirs
    async with seaway.client(theirs.token) as client:
        answer = await client.post(
            "/applications/public",
            json={"project_uuid": theirs.project.id, "git_repository": "https://git.example.com/a/b.git"},
        )
    application = answer.json()["uuid"]
    deployment = await seaway.store.deployments.record(
        Deployment(application_id=application, kind=OperationKind.DEPLOY)
    )
    key = PrivateKey(team_id=theirs.team.id, name="key", private_key_sealed="")
    registry = Registry(
        team_id=theirs.team.id, name="r", host="registry.example.com", username="u", password_sealed=""
    )
    async with seaway.store.database.writing() as session:
        session.add(key)
        session.add(registry)
    return {
        APPLICATION: application,
        PROJECT: theirs.project.id,
        SERVER: theirs.server.id,
        KEY: key.id,
        REGISTRY: registry.id,
        DEPLOYMENT: deployment.id,
        TEAM: theirs.team.id,
    }


def test_every_route_has_a_case_and_no_case_lacks_its_route() -> None:
    assert {route.key for route in GUARDED} == set(CASES)


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.key)
def test_a_route_asks_for_its_ability(route: KnownRoute) -> None:
    assert route.ability == CASES[route.key].ability


async def test_no_route_answers_somebody_without_a_valid_token(seaway: Seaway) -> None:
    wrong = [None, "", "x", f"{seaway.mine.token}x", seaway.mine.token.partition("|")[0] + "|"]
    for token in wrong:
        async with seaway.client(token) as client:
            for route in GUARDED:
                answer = await client.request(route.method, path_of(route), json=CASES[route.key].body)
                assert (route.key, token, answer.status_code) == (route.key, token, 401)
                assert answer.json() == {"message": "Unauthenticated.", "code": "unauthenticated"}
                assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_no_route_answers_a_token_that_has_every_ability_but_the_one(seaway: Seaway) -> None:
    for ability in ABILITIES:
        token = await seaway.token_with(*(one for one in ABILITIES if one != ability))
        async with seaway.client(token) as client:
            for route in (one for one in GUARDED if CASES[one.key].ability == ability):
                answer = await client.request(route.method, path_of(route), json=CASES[route.key].body)
                assert (route.key, answer.status_code) == (route.key, 403)
                assert answer.json() == {
                    "message": f"Missing required permissions: {ability}",
                    "code": "forbidden",
                }


async def test_what_belongs_to_another_team_is_not_found(seaway: Seaway) -> None:
    ids = await ids_of_others(seaway)
    async with seaway.client(seaway.mine.token) as client:
        for route in (one for one in GUARDED if CASES[one.key].owner):
            case = CASES[route.key]
            answer = await client.request(route.method, path_of(route, ids[case.owner]), json=case.body)
            assert (route.key, answer.status_code, answer.json()["code"]) == (route.key, 404, "not_found")
        answer = await client.post("/deploy", params={"uuid": ids[APPLICATION]})
        assert answer.status_code == 404
    assert seaway.operations.submitted == []
    assert seaway.operations.cancelled == []
    assert seaway.servers.provisioned == []
    assert seaway.servers.removed == []
    assert seaway.host_keys.asked == []


async def test_lists_hold_nothing_of_another_team(seaway: Seaway) -> None:
    ids = await ids_of_others(seaway)
    async with seaway.client(seaway.mine.token) as client:
        for path in (
            "/applications",
            "/projects",
            "/servers",
            "/resources",
            "/security/keys",
            "/deployments",
        ):
            text = (await client.get(path)).text
            assert not [one for one in ids.values() if one in text], path


@pytest.mark.parametrize("kind", ["project_uuid", "server_uuid", "private_key_uuid"])
async def test_an_application_is_not_created_with_another_teams_things(seaway: Seaway, kind: str) -> None:
    ids = await ids_of_others(seaway)
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "git@git.example.com:a/b.git",
        "private_key_uuid": ids[KEY],
    }
    body |= {"project_uuid": {"project_uuid": ids[PROJECT]}, "server_uuid": {"server_uuid": ids[SERVER]}}.get(
        kind, {}
    )
    async with seaway.client(seaway.mine.token) as client:
        answer = await client.post("/applications/private-deploy-key", json=body)
        assert answer.status_code == 404
        assert (await client.get("/applications")).json() == []


async def test_health_needs_no_token(seaway: Seaway) -> None:
    async with seaway.client() as client:
        for path in ("/health", "http://seaway.test/api/health"):
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (200, "OK")
            assert answer.headers["Content-Type"].startswith("text/plain")


async def test_deploying_at_once_needs_the_ability_to_deploy(seaway: Seaway) -> None:
    token = await seaway.token_with("write")
    body = {
        "project_uuid": seaway.mine.project.id,
        "git_repository": "https://git.example.com/a/b.git",
        "instant_deploy": True,
    }
    async with seaway.client(token) as client:
        answer = await client.post("/applications/public", json=body)
    assert answer.status_code == 403
    assert list(await seaway.store.applications.list(team_id=seaway.mine.team.id)) == []
