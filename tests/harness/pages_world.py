"""A store with applications and deployments, and stand-ins for what runs, for tests of the pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlmodel import select

from activities.messages import CancelReceipt, CommandReceipt, Progress
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
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.errors import SeawayError
from domain.host_keys import HostKey, host_key_of
from domain.identifiers import derived_identifier, new_identifier
from domain.servers import ServerStatus, ServerStepName
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
    PrivateKey,
    Project,
    Registry,
    Server,
    User,
    Variable,
)

PASSWORD = "correct horse battery"
EMAIL = "anna@example.com"
SERVER_NAME = "localhost"
CONTAINER_LOG = """invoices-1 | Traceback (most recent call last):
invoices-1 |   File "/app/main.py", line 12, in <module>
invoices-1 |     numbers = Sequence(os.environ["INVOICE_START"])
invoices-1 | KeyError: 'INVOICE_START'"""
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
class RecordedOperations:
    """Stands in for the workflows: writes the deployment's row, remembers what was asked, or refuses."""

    store: Store
    submitted: list[tuple[str, OperationKind, dict[str, Any]]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    refusal: SeawayError | None = None

    async def submit(
        self, application: Application, project: Project, kind: OperationKind, **given: Any
    ) -> tuple[Deployment, CommandReceipt]:
        if self.refusal is not None:
            raise self.refusal
        options = dict(given.get("options") or {})
        key = given.get("idempotency_key") or new_identifier()
        deployment_id = derived_identifier(application.id, key)
        known = await self.store.deployments.find(deployment_id)
        if known is not None:
            return known, CommandReceipt(deployment_id=deployment_id, position=0, repeated=True)
        self.submitted.append((application.id, kind, options))
        row = Deployment(
            id=deployment_id,
            application_id=application.id,
            kind=kind,
            requested_by=given["requested_by"],
            branch=options.get("branch", ""),
            replicas=options.get("replicas"),
            target_deployment_id=options.get("target_deployment_id"),
        )
        return await self.store.deployments.record(row), CommandReceipt(
            deployment_id=deployment_id, position=1
        )

    async def cancel(self, deployment: Deployment, *, requested_by: str) -> CancelReceipt:
        if self.refusal is not None:
            raise self.refusal
        self.cancelled.append(deployment.id)
        return CancelReceipt(deployment_id=deployment.id, was_running=True)

    async def progress(self, deployment_id: str) -> Progress:
        raise NotImplementedError


@dataclass
class StatedRuntime:
    """Stands in for the engines: says what it was told to say."""

    states: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    news: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def status(self, application_id: str) -> str:
        return self.states.get(application_id, "exited")

    async def statuses(self) -> dict[str, str]:
        return dict(self.states)

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        return "\n".join(self.lines.get(application_id, ())[-lines:])

    async def follow_logs(self, application_id: str, *, lines: int) -> AsyncIterator[str]:
        for line in self.lines.get(application_id, ())[-lines:]:
            yield line
        while True:
            yield await self.news.get()


@dataclass
class RecordedServers:
    """Stands in for the workflows of servers."""

    provisioned: list[str] = field(default_factory=list)
    removed: list[tuple[str, bool]] = field(default_factory=list)

    async def provision(self, server: Server, *, requested_by: str) -> None:
        self.provisioned.append(server.id)

    async def remove(
        self, server: Server, *, requested_by: str, with_resources: bool, forget: bool = False
    ) -> None:
        self.removed.append((server.id, with_resources))


@dataclass
class StatedHostKeys:
    """Stands in for the servers that show their host keys."""

    key: HostKey = field(default_factory=lambda: new_host_key())
    failure: SeawayError | None = None

    async def shown_by(self, server: Server) -> HostKey:
        if self.failure is not None:
            raise self.failure
        return self.key


def new_host_key() -> HostKey:
    """A key that no server has shown before."""
    return host_key_of(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())


@dataclass
class World:
    """Everything that the pages are given."""

    store: Store
    context: ApiContext
    operations: RecordedOperations
    runtime: StatedRuntime
    servers: RecordedServers
    host_keys: StatedHostKeys
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
    servers, host_keys = RecordedServers(), StatedHostKeys()
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
    )
    return World(store, context, operations, runtime, servers, host_keys, owner, server, project, environment)


async def seed_harbour(world: World) -> dict[str, str]:
    """Applications and deployments in every state, and the addresses of their pages."""
    shop = await world.application(
        "Storefront",
        routing=RoutingOptions(
            domains=(Domain(host="shop.example.com"), Domain(host="shop.example.com", path="/api"))
        ),
    )
    await _history(world, shop)
    running = await _running(world, shop)
    failed = await _failing(world)
    docs = await world.application(
        "Handbook",
        source=GitSource(repository="https://git.example.com/harbour/handbook.git", branch="release/2026"),
    )
    served = await world.begin(
        await world.deployment(
            docs,
            commit="9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
            commit_message="Say what a mooring line is for",
        )
    )
    await world.serve(docs, served)
    queue = await world.application(
        "Metrics", source=ImageSource(reference="ghcr.io/harbour/metrics:2.4.1"), routing=RoutingOptions()
    )
    stopped = await world.begin(await world.deployment(queue, kind=OperationKind.DEPLOY))
    await world.serve(queue, stopped, "ghcr.io/harbour/metrics:2.4.1")
    await world.store.applications.set_state(queue.id, desired_state="stopped")
    world.runtime.states[queue.id] = "exited"
    await world.application("Newsletter")
    await _variables(world, shop)
    world.runtime.lines[shop.id] = [
        f"2026-11-23T12:{minute:02d}:07.112Z storefront-1 GET /basket/{minute * 37} 200 {minute % 9 + 3} ms"
        for minute in range(60)
    ]
    return {
        "application": f"/applications/{shop.id}",
        "empty_application": f"/applications/{(await _named(world, 'Newsletter')).id}",
        "running": f"/deployments/{running.id}",
        "failed": f"/deployments/{failed.id}",
        "finished": f"/deployments/{served.id}",
    }


async def seed_fleet(world: World) -> dict[str, str]:
    """Servers in every state, and the addresses of their pages."""
    pair = await world.context.key_pairs.generate()
    key = await world.store.servers.add_key(
        PrivateKey(
            team_id=world.owner.team_id,
            name="fleet",
            private_key_sealed="",
            public_key=pair.public_key,
            fingerprint=pair.fingerprint,
        ),
        pair.private_key,
    )
    known = {
        "private_key_id": key.id,
        "host_key": new_host_key().text,
        "system": "Debian GNU/Linux 12 (bookworm)",
        "architecture": "x86_64",
        "engine_version": "20.10.24",
        "processors": 4,
        "memory_bytes": 8 * 1024**3,
        "data_folder": "/var/lib/seaway/seaway",
    }
    await world.store.servers.set(world.server.id, engine_version="20.10.24", system="Debian GNU/Linux 12")
    added = {}
    for number, (name, status, values) in enumerate(
        (
            ("usable", ServerStatus.USABLE, {**known, "is_usable": True, "is_reachable": True}),
            (
                "setting-up",
                ServerStatus.PROVISIONING,
                {"private_key_id": key.id, "host_key": known["host_key"]},
            ),
            (
                "broken",
                ServerStatus.NOT_USABLE,
                {**known, "status_message": "Docker could not be installed."},
            ),
            ("changed", ServerStatus.HOST_KEY_CHANGED, {**known, "shown_host_key": new_host_key().text}),
            ("fresh", ServerStatus.NEW, {"private_key_id": key.id}),
        )
    ):
        server = Server(
            team_id=world.owner.team_id,
            name=name,
            address=f"192.0.2.{number + 10}",
            status=status,
            **values,  # type: ignore[arg-type]
        )
        added[name] = (await world.store.servers.create(server)).id
    await _steps(world, added)
    return {name: f"/servers/{server_id}" for name, server_id in added.items()}


async def _steps(world: World, added: Mapping[str, str]) -> None:
    names = list(ServerStepName)
    move = world.store.servers.move_step
    for server, done in (("usable", 7), ("setting-up", 3), ("broken", 3)):
        await world.store.servers.begin_steps(added[server])
        for step in names[:done]:
            await move(added[server], step, StepStatus.RUNNING, attempt=1)
            await move(added[server], step, StepStatus.SUCCEEDED, message=f"{step} is as it should be")
    await move(added["setting-up"], names[3], StepStatus.RUNNING, attempt=2)
    await move(added["broken"], names[3], StepStatus.RUNNING, attempt=1)
    await move(
        added["broken"],
        names[3],
        StepStatus.FAILED,
        message="apt-get could not install docker.io. Look at what it said.",
        detail="E: Unable to locate package docker.io\nE: Some packages could not be found",
    )


async def _named(world: World, name: str) -> Application:
    applications = await world.store.applications.list(team_id=world.owner.team_id)
    return next(one for one in applications if one.name == name)


async def _history(world: World, shop: Application) -> None:
    messages = (
        ("3c1f0e9d8b7a6958473625140f9e8d7c6b5a4938", "Basket keeps its content when the session moves"),
        ("a81b2c3d4e5f60718293a4b5c6d7e8f901234567", "Prices come from the catalogue service"),
        ("e07d6c5b4a392817065f4e3d2c1b0a9988776655", "Answer 404 and not 500 for an unknown article"),
    )
    for index, (commit, message) in enumerate(messages):
        asked = now() - timedelta(hours=50 - 20 * index)
        deployment = await world.begin(
            await world.deployment(
                shop, commit=commit, commit_message=message, branch="main", requested_at=asked
            )
        )
        for step in STEPS:
            await world.step(deployment, step, StepStatus.SUCCEEDED)
        await world.serve(shop, deployment)
        await world.store.deployments.update(
            deployment.id,
            started_at=asked,
            serving_at=asked + timedelta(seconds=14),
            finished_at=asked + timedelta(seconds=18.4 + index),
        )
    scaled = await world.begin(
        await world.deployment(
            shop, kind=OperationKind.SCALE, replicas=3, requested_at=now() - timedelta(hours=3)
        )
    )
    await world.store.deployments.update(
        scaled.id, status=DeploymentStatus.FINISHED, finished_at=now() + timedelta(seconds=2)
    )
    await world.deployment(
        shop,
        commit="77aa66bb55cc44dd33ee22ff11a0b9c8d7e6f504",
        commit_message="Try the new search index",
        status=DeploymentStatus.SUPERSEDED,
        requested_at=now() - timedelta(minutes=9),
    )


async def _running(world: World, shop: Application) -> Deployment:
    running = await world.begin(
        await world.deployment(
            shop,
            commit="5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e",
            commit_message="Search finds articles by their colour",
            branch="main",
            trigger="api",
        )
    )
    await world.step(running, StepName.RESOLVE_SOURCE, StepStatus.RUNNING)
    await world.write(
        running,
        StepName.RESOLVE_SOURCE,
        "Fetching https://git.example.com/harbour/storefront.git",
        "main is 5d4e3f2",
    )
    await world.step(running, StepName.RESOLVE_SOURCE, StepStatus.SUCCEEDED, "main is 5d4e3f2")
    await world.step(running, StepName.BUILD, StepStatus.RUNNING)
    stages = ("base", "dependencies", "assets", "app")
    await world.write(
        running,
        StepName.BUILD,
        "#1 [internal] load build definition from Dockerfile",
        "#1 transferring dockerfile: 1.12kB done",
        "#1 DONE 0.0s",
        *(
            f"#{number + 2} [{stage} {part}/4] RUN ./build {stage} --part {part}"
            for number, (stage, part) in enumerate((stage, part) for stage in stages for part in range(1, 5))
        ),
        "#19 3.412 Compiled 1,204 modules; the largest is vendor/charts with 412 kB, "
        "which is loaded only where a chart is shown",
    )
    return running


async def _failing(world: World) -> Deployment:
    invoices = await world.application("Invoices")
    first = await world.begin(
        await world.deployment(
            invoices, commit_message="First", commit="b" * 40, requested_at=now() - timedelta(days=3)
        )
    )
    await world.serve(invoices, first)
    failed = await world.begin(
        await world.deployment(
            invoices,
            commit="c0ffee112233445566778899aabbccddeeff0011",
            commit_message="Number invoices by year",
            branch="main",
        )
    )
    for step in STEPS[:2]:
        await world.step(failed, step, StepStatus.SUCCEEDED)
    await world.step(failed, StepName.START, StepStatus.COMPENSATED)
    await world.step(failed, StepName.HEALTH, StepStatus.RUNNING)
    await world.step(failed, StepName.HEALTH, StepStatus.FAILED, "GET /health answered 500 in 60 tries")
    await world.write(failed, StepName.BUILD, "#7 [4/4] COPY . .", "#7 DONE 0.1s", "exporting to image")
    await world.write(failed, StepName.START, "Container invoices-1 started")
    await world.write(
        failed, StepName.HEALTH, "try 1: GET /health answered 500", "try 2: GET /health answered 500"
    )
    await world.store.deployments.update(
        failed.id,
        status=DeploymentStatus.FAILED,
        finished_at=now(),
        error_code="release_unhealthy",
        error_message="The new version never became healthy: "
        "GET http://localhost:8080/health answered 500 in 60 tries. "
        "Look at the last lines of its container below, or change the path of the health check.",
        error_detail=CONTAINER_LOG,
    )
    return failed


async def _variables(world: World, shop: Application) -> None:
    given = (
        ("DATABASE_URL", "postgres://shop:s3cret@db/shop", {"comment": "Read and write"}),
        ("SESSION_KEY", "b8a1d0", {"is_buildtime": False}),
        ("NPM_TOKEN", "npm_abc", {"is_runtime": False, "is_build_secret": True}),
    )
    await world.store.applications.set_variables(
        shop.id,
        [
            (Variable(application_id=shop.id, key=key, value_sealed="", **flags), SecretStr(value))
            for key, value, flags in given
        ],
    )


async def seed_registry(world: World) -> str:
    """A login of the team; the address of its page."""
    registry = Registry(
        team_id=world.owner.team_id,
        name="Harbour",
        host="registry.harbour.example:5000",
        username="robot",
        password_sealed="",
    )
    added = await world.store.registries.add(registry, SecretStr("hunter2 of the registry"))
    return f"/registries/{added.id}"
