"""The log of one step when several attempts write it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from domain.configuration import ApplicationConfiguration, ImageSource
from domain.deployments import Step, StepName, StepStatus
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Application, Deployment

SERVER = "localhost"
BUILD = StepName.BUILD


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


@pytest.fixture
async def deployment_id(store: Store) -> str:
    _, team = await store.access.create_user(
        email="owner@example.test", password=SecretStr("a long enough password"), team_name="Team"
    )
    project = await store.projects.create(team_id=team.id, name="Project")
    environment = (await store.projects.environments(project.id))[0]
    application = Application(
        team_id=team.id, environment_id=environment.id, name="application", configuration_sealed=""
    )
    configuration = ApplicationConfiguration(
        application_id=application.id,
        name="application",
        team_id=team.id,
        project_id=project.id,
        server_ids=(),
        source=ImageSource(reference="image"),
    )
    await store.applications.create(application, configuration)
    deployment = await store.deployments.record(Deployment(application_id=application.id))
    await store.deployments.begin(deployment.id, configuration, [Step(name=BUILD, server=SERVER)])
    return deployment.id


async def begin(store: Store, deployment_id: str, attempt: int) -> None:
    await store.deployments.set_step(deployment_id, BUILD, SERVER, StepStatus.RUNNING, attempt=attempt)
    await store.logs.open(deployment_id, BUILD, SERVER, attempt)


async def append(store: Store, deployment_id: str, attempt: int, text: str) -> None:
    await store.logs.append(deployment_id, BUILD, SERVER, attempt, [(now(), text)])


async def test_a_newer_attempt_replaces_what_the_older_one_wrote(store: Store, deployment_id: str) -> None:
    await begin(store, deployment_id, 1)
    await append(store, deployment_id, 1, "first")
    await begin(store, deployment_id, 2)
    await append(store, deployment_id, 2, "second")
    assert list(await store.logs.of_step(deployment_id, BUILD, SERVER)) == ["second"]


async def test_an_attempt_that_was_given_up_but_lives_writes_nothing_more(
    store: Store, deployment_id: str
) -> None:
    await begin(store, deployment_id, 1)
    await append(store, deployment_id, 1, "first")
    await begin(store, deployment_id, 2)
    await append(store, deployment_id, 1, "late line of the first")
    await append(store, deployment_id, 2, "second")
    assert list(await store.logs.of_step(deployment_id, BUILD, SERVER)) == ["second"]


async def test_the_lines_of_a_step_are_those_of_no_other_step_or_server(
    store: Store, deployment_id: str
) -> None:
    await append(store, deployment_id, 1, "of the build")
    for step, server in ((StepName.RELEASE_COMMAND, SERVER), (BUILD, "elsewhere")):
        await store.logs.append(deployment_id, step, server, 1, [(now(), "of another")])
    assert list(await store.logs.of_step(deployment_id, BUILD, SERVER)) == ["of the build"]
