"""Deployments whose workflows are gone, on a real Temporal server and a real database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from temporalio.client import Client

from domain.configuration import ApplicationConfiguration, ImageSource
from domain.deployments import DeploymentStatus
from domain.identifiers import new_identifier
from seaway.reconciliation import LOST_CODE, close_lost_deployments
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Application, Deployment
from workflows.names import APPLICATION_WORKFLOW, application_workflow_id


@pytest.fixture
async def store(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


async def make_deployment(store: Store, *, age: timedelta, status: DeploymentStatus) -> Deployment:
    _, team = await store.access.create_user(
        email=f"{new_identifier()}@example.org", password=SecretStr("a password"), team_name="team"
    )
    project = await store.projects.create(team_id=team.id, name="project")
    environment = await store.projects.environment(project.id, "production")
    application = Application(
        team_id=team.id, environment_id=environment.id, name="app", configuration_sealed=""
    )
    configuration = ApplicationConfiguration(
        application_id=application.id,
        name="app",
        team_id=team.id,
        project_id=project.id,
        server_ids=(),
        source=ImageSource(reference="a:1"),
    )
    await store.applications.create(application, configuration)
    return await store.deployments.record(
        Deployment(application_id=application.id, status=status, requested_at=now() - age)
    )


async def test_an_open_deployment_without_any_workflow_is_closed_as_lost(
    store: Store, temporal_client: Client
) -> None:
    old = await make_deployment(store, age=timedelta(hours=1), status=DeploymentStatus.IN_PROGRESS)

    assert await close_lost_deployments(store, temporal_client) == [old.id]

    closed = await store.deployments.get(old.id)
    assert (closed.status, closed.error_code) == (DeploymentStatus.FAILED, LOST_CODE)
    assert await close_lost_deployments(store, temporal_client) == []


async def test_what_waits_in_a_running_queue_or_was_asked_for_just_now_is_left_alone(
    store: Store, temporal_client: Client
) -> None:
    waiting = await make_deployment(store, age=timedelta(hours=1), status=DeploymentStatus.QUEUED)
    young = await make_deployment(store, age=timedelta(seconds=1), status=DeploymentStatus.QUEUED)
    queue = await temporal_client.start_workflow(
        APPLICATION_WORKFLOW,
        id=application_workflow_id(waiting.application_id),
        task_queue="nobody-polls-this",
    )

    try:
        assert await close_lost_deployments(store, temporal_client) == []
    finally:
        await queue.terminate()
    for deployment in (waiting, young):
        assert (await store.deployments.get(deployment.id)).status == DeploymentStatus.QUEUED
