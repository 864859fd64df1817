"""Operations: what is asked of the workflows, and what the requester is told."""

from __future__ import annotations

import httpx
import pytest

from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotPossibleNow
from store.columns import now
from store.tables import Deployment
from store.tables.applications import DesiredState
from tests.integration.api.conftest import Seaway

COMMIT = "c" * 40


async def release(seaway: Seaway, application_id: str, **values: object) -> Deployment:
    """A finished deployment that serves."""
    row = Deployment(
        application_id=application_id,
        status=DeploymentStatus.FINISHED,
        commit=COMMIT,
        image=f"seaway/{application_id}:1",
        finished_at=now(),
    )
    row.sqlmodel_update(values)
    deployment = await seaway.store.deployments.record(row)
    await seaway.store.applications.set_state(
        application_id, desired_state=DesiredState.RUNNING, current_deployment_id=deployment.id
    )
    return deployment


async def test_deploying_tells_the_deployment_of_each_application(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    other = (
        await client.post(
            "/applications/public",
            json={"project_uuid": seaway.mine.project.id, "git_repository": "file:///srv/other.git"},
        )
    ).json()
    uuids = [str(application["uuid"]), other["uuid"]]
    query = {"uuid": ",".join(uuids), "force": "true", "branch": "next", "commit": COMMIT}
    answer = await client.post("/deploy", params=query)
    assert answer.status_code == 200
    deployments = answer.json()["deployments"]
    assert [one["resource_uuid"] for one in deployments] == uuids
    commands = seaway.operations.submitted
    assert [one.deployment_id for one in commands] == [one["deployment_uuid"] for one in deployments]
    for command in commands:
        assert (command.kind, command.force) == (OperationKind.DEPLOY, True)
        assert (command.branch, command.commit) == ("next", COMMIT)
        assert command.requested_by == "mine@example.com"
        assert command.team_id == seaway.mine.team.id
    assert deployments[0]["message"] == "Deployment of 'shop' queued."


@pytest.mark.parametrize(
    ("receipt", "place"),
    [
        (
            {"position": 1, "after_deployment_id": "d1", "running_deployment_id": "d1"},
            "position 1 after d1, which is running",
        ),
        (
            {"position": 2, "after_deployment_id": "d3", "running_deployment_id": "d1"},
            "position 2 after d3, which waits too",
        ),
        ({"position": 1, "after_deployment_id": "d3"}, "position 1 after d3, which waits too"),
    ],
)
async def test_the_message_tells_what_is_before_it_and_what_is_replaced(
    seaway: Seaway,
    client: httpx.AsyncClient,
    application: dict[str, object],
    receipt: dict[str, object],
    place: str,
) -> None:
    seaway.operations.receipt = {**receipt, "superseded": ("d2",)}
    answer = await client.post("/deploy", params={"uuid": str(application["uuid"])})
    message = answer.json()["deployments"][0]["message"]
    assert message == f"Deployment of 'shop' queued at {place}. It replaces d2."


async def test_the_same_idempotency_key_is_one_operation(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    query, headers = {"uuid": str(application["uuid"])}, {"Idempotency-Key": "build-17"}
    first = await client.post("/deploy", params=query, headers=headers)
    second = await client.post("/deploy", params=query, headers=headers)
    ids = [one.json()["deployments"][0]["deployment_uuid"] for one in (first, second)]
    assert ids[0] == ids[1]
    assert len(seaway.operations.submitted) == 1
    assert "requested before" in second.json()["deployments"][0]["message"]
    stop = await client.post(f"/applications/{application['uuid']}/stop", headers=headers)
    assert (stop.status_code, stop.json()["code"]) == (409, "conflict")
    wrong = await client.post("/deploy", params=query, headers={"Idempotency-Key": "x" * 256})
    assert list(wrong.json()["errors"]) == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"uuid": ","}, 422),
        ({"uuid": "unknown"}, 404),
        ({"tag": "blue"}, 422),
        ({"pr": "1"}, 422),
        ({"docker_tag": "v2"}, 422),
        ({"branch": "a..b"}, 422),
        ({"commit": "--exec"}, 422),
    ],
)
async def test_a_wrong_request_deploys_nothing(
    seaway: Seaway,
    client: httpx.AsyncClient,
    application: dict[str, object],
    query: dict[str, str],
    status: int,
) -> None:
    if "branch" in query or "commit" in query:
        query = {"uuid": str(application["uuid"]), **query}
    answer = await client.post("/deploy", params=query)
    assert answer.status_code == status
    assert seaway.operations.submitted == []


async def test_one_unknown_application_deploys_none_of_them(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    answer = await client.post("/deploy", params={"uuid": f"{application['uuid']},{'x' * 24}"})
    assert answer.status_code == 404
    assert seaway.operations.submitted == []


async def test_starting_deploys_unless_there_is_a_stopped_release(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    path = f"/applications/{uuid}/start"
    await client.post(path)
    await release(seaway, uuid)
    await seaway.store.applications.set_state(uuid, desired_state=DesiredState.STOPPED)
    await client.post(path)
    await client.post(path, params={"force": "true"})
    kinds = [(one.kind, one.force) for one in seaway.operations.submitted]
    assert kinds == [
        (OperationKind.DEPLOY, False),
        (OperationKind.START, False),
        (OperationKind.DEPLOY, True),
    ]


async def test_what_was_never_deployed_is_neither_restarted_nor_scaled(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    path = f"/applications/{application['uuid']}"
    for answer in (
        await client.post(f"{path}/restart"),
        await client.post(f"{path}/scale", json={"replicas": 2}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "not_possible_now")
        assert "Deploy it first" in answer.json()["message"]
    assert seaway.operations.submitted == []


async def test_stop_restart_and_scale_are_queued(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    await release(seaway, uuid)
    answers = [
        await client.post(f"/applications/{uuid}/restart"),
        await client.post(f"/applications/{uuid}/scale", json={"replicas": 3}),
        await client.post(f"/applications/{uuid}/stop"),
    ]
    commands = seaway.operations.submitted
    assert [one.kind for one in commands] == [OperationKind.RESTART, OperationKind.SCALE, OperationKind.STOP]
    assert commands[1].replicas == 3
    assert [one.json()["deployment_uuid"] for one in answers] == [one.deployment_id for one in commands]
    assert [one.json()["message"] for one in answers] == [
        "Restart of 'shop' queued.",
        "Scaling of 'shop' queued.",
        "Stop of 'shop' queued.",
    ]
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    recorded = {event.action for event in events if event.resource_id == uuid}
    assert recorded >= {"application.restart", "application.scale", "application.stop"}


async def test_an_application_with_a_port_of_the_host_has_one_replica(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    await release(seaway, uuid)
    await client.patch(f"/applications/{uuid}", json={"ports_mappings": "8080:80"})
    answer = await client.post(f"/applications/{uuid}/scale", json={"replicas": 2})
    assert list(answer.json()["errors"]) == ["replicas"]


async def test_rolling_back_names_a_finished_deployment(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    old = await release(seaway, uuid, commit="a" * 40, image="seaway/x:a")
    new = await release(seaway, uuid, commit="b" * 40, image="seaway/x:b")
    await release(seaway, uuid, status=DeploymentStatus.FAILED, image="")
    await seaway.store.applications.set_state(
        uuid, desired_state=DesiredState.RUNNING, current_deployment_id=new.id
    )
    images = (await client.get(f"/applications/{uuid}/rollback-images")).json()
    assert images["current"] == "b" * 40
    assert [(one["tag"], one["is_current"], one["deployment_uuid"]) for one in images["images"]] == [
        ("b" * 40, True, new.id),
        ("a" * 40, False, old.id),
    ]
    path = f"/applications/{uuid}/rollback"
    for body in ({"commit": "a" * 40}, {"commit": "a" * 7}, {"deployment_uuid": old.id}):
        answer = await client.post(path, json=body)
        assert answer.status_code == 200
        assert seaway.operations.submitted[-1].target_deployment_id == old.id
    for body, status in (
        ({"commit": "c" * 40}, 404),
        ({"commit": "a"}, 404),
        ({"deployment_uuid": "x" * 24}, 404),
        ({}, 422),
        ({"commit": "a" * 40, "deployment_uuid": old.id}, 422),
    ):
        assert (await client.post(path, json=body)).status_code == status
    assert len(seaway.operations.submitted) == 3


async def test_a_refusal_of_the_workflow_reaches_the_requester(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    seaway.operations.refusal = NotPossibleNow("'shop' is being deleted.")
    answer = await client.post(f"/applications/{application['uuid']}/stop")
    assert answer.status_code == 400
    assert answer.json() == {"message": "'shop' is being deleted.", "code": "not_possible_now"}
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    assert [event.action for event in events] == ["application.create"]
