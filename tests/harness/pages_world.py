"""A store with applications and deployments, as the pages are given them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlmodel import select

from api.context import ApiContext, ApiSettings
from domain.configuration import (
    ApplicationConfiguration,
    BuildOptions,
    BuildPack,
    Domain,
    GitSource,
    ImageSource,
    RoutingOptions,
    RuntimeOptions,
)
from domain.deployments import DeploymentStatus, Step, StepName, StepStatus
from domain.identifiers import new_identifier
from seaway.server_keys import SshKeyPairs
from store.access import Principal
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import (
    Application,
    Deployment,
    Environment,
    Project,
    Server,
    User,
)
from tests.harness.pages_stand_ins import (
    RecordedCleanUps,
    RecordedOperations,
    RecordedServers,
    StatedHostKeys,
    StatedRuntime,
)

PASSWORD = "correct horse battery"


EMAIL = "anna@example.com"
SERVER_NAME = "localhost"


KEY = SecretStr(Fernet.generate_key().decode())


STEPS = (
    StepName.RESOLVE_SOURCE,
    StepName.BUILD,
    StepName.START,
    StepName.HEALTH,
    StepName.SWITCH,
    StepName.DRAIN,
    StepName.STOP_OLD,
    StepName.CLEAN_UP,
)


@dataclass
class World:
    """Everything that the pages are given."""

    store: Store
    context: ApiContext
    operations: RecordedOperations
    runtime: StatedRuntime
    servers: RecordedServers
    host_keys: StatedHostKeys
    clean_ups: RecordedCleanUps
    owner: Principal
    server: Server
    project: Project
    environment: Environment

    async def application(self, name: str, **changes: Any) -> Application:
        """An application of the owner's team; `changes` are parts of its configuration."""
        application_id = new_identifier()
        source = changes.pop("source", None) or GitSource(
            repository=f"https://git.example.com/harbour/{name.lower()}.git"
        )
        is_image = isinstance(source, ImageSource)
        parts: dict[str, Any] = {
            "build": BuildOptions(pack=BuildPack.DOCKER_IMAGE if is_image else BuildPack.DOCKERFILE),
            "routing": RoutingOptions(domains=(Domain(host=f"{name.lower()}.example.com"),)),
            "runtime": RuntimeOptions(port=8080),
            **changes,
        }
        configuration = ApplicationConfiguration(
            application_id=application_id,
            name=name,
            team_id=self.owner.team_id,
            project_id=self.project.id,
            server_ids=(self.server.id,),
            source=source,
            **parts,
        )
        row = Application(
            id=application_id,
            team_id=self.owner.team_id,
            environment_id=self.environment.id,
            name=name,
            configuration_sealed="",
        )
        return await self.store.applications.create(row, configuration)

    async def deployment(self, application: Application, **values: Any) -> Deployment:
        """A deployment that is queued, unless the values say otherwise."""
        given = {"requested_by": EMAIL, **values}
        return await self.store.deployments.record(Deployment(application_id=application.id, **given))

    async def begin(self, deployment: Deployment, steps: tuple[StepName, ...] = STEPS) -> Deployment:
        """It runs now, and none of its steps has begun."""
        configuration = await self.store.applications.configuration(deployment.application_id)
        return await self.store.deployments.begin(
            deployment.id, configuration, [Step(name=step, server=SERVER_NAME) for step in steps]
        )

    async def step(
        self, deployment: Deployment, name: StepName, status: StepStatus, message: str = ""
    ) -> None:
        """One step moves on."""
        await self.store.deployments.set_step(
            deployment.id, name, SERVER_NAME, status, attempt=1, message=message
        )

    async def write(self, deployment: Deployment, step: StepName, *lines: str, attempt: int = 1) -> None:
        """Lines for the log."""
        await self.store.logs.append(
            deployment.id, step, SERVER_NAME, attempt, [(now(), line) for line in lines]
        )

    async def serve(self, application: Application, deployment: Deployment, image: str = "") -> Deployment:
        """The deployment is over and serves."""
        ended = await self.store.deployments.update(
            deployment.id,
            status=DeploymentStatus.FINISHED,
            image=image or f"seaway/{application.id}:{deployment.id[:12]}",
            serving_at=now(),
            finished_at=now(),
        )
        await self.store.applications.set_state(
            application.id, desired_state="running", current_deployment_id=deployment.id
        )
        self.runtime.states[application.id] = "running:healthy"
        return ended


async def make_database(path: Path) -> None:
    """A database with the first user, whose team has a project and the local server."""
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    store = Store(database, KeyRing([KEY]))
    _, team = await store.access.create_user(email=EMAIL, password=SecretStr(PASSWORD), team_name="Harbour")
    await store.servers.ensure_local(team_id=team.id, wildcard_domain="http://apps.example.com")
    await store.projects.create(team_id=team.id, name="Harbour")
    await database.close()


@asynccontextmanager
async def open_world(path: Path, **settings: Any) -> AsyncIterator[World]:
    """The world on a database that `make_database` made."""
    database = Database(f"sqlite:///{path}")
    try:
        yield await world_of(database, **settings)
    finally:
        await database.close()


async def world_of(database: Database, **settings: Any) -> World:
    """The same on a database that its caller opened and closes."""
    store = Store(database, KeyRing([KEY]))
    async with database.reading() as session:
        user_id = (await session.exec(select(User.id))).one()
    owner = await store.access.principal_of_user(user_id)
    assert owner is not None
    (server,) = await store.servers.list(team_id=owner.team_id)
    ((environment, project),) = (await store.projects.places(team_id=owner.team_id)).values()
    operations, runtime = RecordedOperations(store), StatedRuntime()
    servers, host_keys, clean_ups = RecordedServers(), StatedHostKeys(), RecordedCleanUps()
    given = {
        "temporal_ui_url": "http://127.0.0.1:8233",
        "session_secret": SecretStr("of-this-test"),
        "version": "0.1.0",
        **settings,
    }
    context = ApiContext(
        store=store,
        operations=operations,  # type: ignore[arg-type]
        runtime=runtime,
        settings=ApiSettings(**given),
        server_operations=servers,
        host_keys=host_keys,
        key_pairs=SshKeyPairs(),
        clean_ups=clean_ups,  # type: ignore[arg-type]
    )
    return World(
        store=store,
        context=context,
        operations=operations,
        runtime=runtime,
        servers=servers,
        host_keys=host_keys,
        clean_ups=clean_ups,
        owner=owner,
        server=server,
        project=project,
        environment=environment,
    )
