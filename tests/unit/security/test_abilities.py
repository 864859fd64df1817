"""A token does what its abilities say, and nothing that amounts to more."""

from __future__ import annotations

import pytest
from sqlmodel import select

from domain.deployments import DeploymentStatus, OperationKind
from store.tables import Deployment, Membership, Server
from tests.integration.api.conftest import Seaway

LOG_LINE = "connecting to postgres with hunter2"
ALL_BUT_ROOT = ("read", "write", "deploy", "read:sensitive", "write:sensitive")


@pytest.fixture
async def failed(seaway: Seaway, application: dict[str, str]) -> Deployment:
    """A deployment that failed and left lines of a log as evidence."""
    return await seaway.store.deployments.record(
        Deployment(
            application_id=application["uuid"],
            kind=OperationKind.DEPLOY,
            status=DeploymentStatus.FAILED,
            error_code="release_unhealthy",
            error_message="It did not become healthy.",
            error_detail=LOG_LINE,
        )
    )


@pytest.mark.parametrize("abilities", [["read"], ["read", "read:sensitive"]])
async def test_lines_of_logs_are_evidence_only_for_those_who_may_read_logs(
    seaway: Seaway, failed: Deployment, abilities: list[str]
) -> None:
    application = failed.application_id
    async with seaway.client(await seaway.token_with(*abilities)) as client:
        for path in (
            f"/deployments/{failed.id}",
            f"/deployments/applications/{application}",
            f"/applications/{application}/operations",
        ):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "It did not become healthy." in answer.text
            assert (LOG_LINE in answer.text) is ("read:sensitive" in abilities), path


@pytest.mark.parametrize(
    "storage",
    [
        {"type": "persistent", "host_path": "/var/run/docker.sock"},
        {"type": "persistent", "host_path": "/"},
        {"type": "file", "is_directory": True, "fs_path": "/etc"},
    ],
)
async def test_mounting_a_folder_of_the_server_needs_every_ability(
    seaway: Seaway, application: dict[str, str], storage: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}/storages"
    body = {"mount_path": "/mnt", **storage}
    async with seaway.client(await seaway.token_with(*ALL_BUT_ROOT)) as client:
        answer = await client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "'root'" in answer.json()["message"]
        named = {"type": "persistent", "name": "data", "mount_path": "/data"}
        assert (await client.post(path, json=named)).status_code == 201
    async with seaway.client(seaway.mine.token) as client:
        assert (await client.post(path, json=body)).status_code == 201


async def test_an_application_with_a_folder_of_its_server_goes_to_another_with_every_ability_only(
    seaway: Seaway, application: dict[str, str]
) -> None:
    path = f"/applications/{application['uuid']}"
    mine = seaway.mine.server
    await seaway.store.servers.set(mine.id, is_usable=True)
    other = await seaway.store.servers.create(
        Server(team_id=seaway.mine.team.id, name="other", address="10.0.0.7", is_usable=True)
    )
    move, back = {"server_uuids": [other.id]}, {"server_uuids": [mine.id]}
    mounted = {"type": "persistent", "host_path": "/srv/data", "mount_path": "/data"}
    async with seaway.client(await seaway.token_with(*ALL_BUT_ROOT)) as writer:
        assert (await writer.patch(path, json=move)).status_code == 200
        assert (await writer.patch(path, json=back)).status_code == 200
        async with seaway.client(seaway.mine.token) as owner:
            assert (await owner.post(f"{path}/storages", json=mounted)).status_code == 201
            refused = await writer.patch(path, json=move)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
            assert (await writer.patch(path, json={**back, "git_branch": "next"})).status_code == 200
            assert (await owner.patch(path, json=move)).status_code == 200


async def test_a_repository_on_seaways_own_machine_needs_every_ability(
    seaway: Seaway, application: dict[str, str]
) -> None:
    body = {"project_uuid": seaway.mine.project.id, "git_repository": "file:///srv/shop.git", "name": "local"}
    change = {"git_repository": "file:///srv/shop.git"}
    path = f"/applications/{application['uuid']}"
    async with seaway.client(await seaway.token_with(*ALL_BUT_ROOT)) as client:
        assert (await client.post("/applications/public", json=body)).status_code == 403
        assert (await client.patch(path, json=change)).status_code == 403
        assert (await client.get(path)).json()["git_repository"].startswith("https://")
    async with seaway.client(seaway.mine.token) as client:
        assert (await client.post("/applications/public", json=body)).status_code == 201
        assert (await client.patch(path, json=change)).status_code == 200
    async with seaway.client(await seaway.token_with(*ALL_BUT_ROOT)) as client:
        assert (await client.patch(path, json={"git_branch": "next"})).status_code == 200


@pytest.mark.parametrize(
    ("abilities", "role", "expected"),
    [
        (["deploy"], "member", set()),
        (["root"], "member", {"read"}),
        (["read", "write", "read:sensitive"], "member", {"read"}),
        (["deploy"], "admin", {"deploy"}),
    ],
)
async def test_a_token_has_neither_more_than_it_was_given_nor_more_than_its_users_role(
    seaway: Seaway, abilities: list[str], role: str, expected: set[str]
) -> None:
    token = await seaway.token_with(*abilities)
    async with seaway.store.database.writing() as session:
        mine = Membership.user_id == seaway.mine.user.id
        membership = (await session.exec(select(Membership).where(mine))).one()
        membership.role = role
        session.add(membership)
    principal = await seaway.store.access.check_token(token)
    assert principal is not None
    assert principal.abilities == expected
