"""The API on a real store, with stand-ins for the workflows and for what runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from pydantic import SecretStr

from activities.deployment_rows import row_of
from activities.messages import CancelReceipt, Command, CommandReceipt
from api.application import create_api
from api.context import ApiContext, ApiSettings, RuntimeLine
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import SeawayError
from domain.host_keys import HostKey, host_key_of
from domain.identifiers import derived_identifier, new_identifier
from seaway.server_keys import SshKeyPairs
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Application, Deployment, PrivateKey, Project, Server, Team, User
from tests.harness.refilled_database import RefilledDatabase

WRITTEN_AT = datetime(2026, 5, 4, 3, 2, 1, 123, tzinfo=UTC)
ADDRESS = "192.0.2.7"
"""Of the server of mine that tests add."""

SETTINGS = ApiSettings(
    public_url="http://seaway.test",
    temporal_ui_url="http://temporal.test",
    http_port=8080,
    session_secret=SecretStr("session secret of the tests"),
    version="0.0.1",
    requests_per_minute=100_000,
)


@dataclass
class RecordingOperations:
    """Stands for the workflows: keeps what it is asked, and writes the row as they do."""

    store: Store
    submitted: list[Command] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    receipt: dict[str, object] = field(default_factory=dict)
    refusal: SeawayError | None = None

    async def submit(
        self,
        application: Application,
        project: Project,
        kind: OperationKind,
        *,
        requested_by: str,
        trigger: str = "api",
        idempotency_key: str = "",
        options: dict[str, object] | None = None,
    ) -> tuple[Deployment, CommandReceipt]:
        if self.refusal:
            raise self.refusal
        key = idempotency_key
        deployment_id = derived_identifier(application.id, key) if key else new_identifier()
        known = await self.store.deployments.find(deployment_id)
        if known is not None:
            return known, CommandReceipt(deployment_id=deployment_id, position=0, repeated=True)
        command = Command(
            deployment_id=deployment_id,
            application_id=application.id,
            team_id=application.team_id,
            project_id=project.id,
            kind=kind,
            requested_by=requested_by,
            trigger=trigger,
            requested_at=now(),
        ).model_copy(update=options or {})
        self.submitted.append(Command.model_validate(command.model_dump()))
        receipt = CommandReceipt(deployment_id=deployment_id, position=0).model_copy(update=self.receipt)
        return await self.store.deployments.record(row_of(command)), receipt

    async def cancel(self, deployment: Deployment, *, requested_by: str) -> CancelReceipt:
        if self.refusal:
            raise self.refusal
        self.cancelled.append(deployment.id)
        await self.store.deployments.update(deployment.id, status=DeploymentStatus.CANCELLED)
        return CancelReceipt(deployment_id=deployment.id, was_queued=True)


@dataclass
class FixedRuntime:
    """Stands for what runs."""

    known: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    teams_asked_for: list[str] = field(default_factory=list)
    lines: Sequence[str] = ("first", "second")

    async def status(self, application_id: str) -> str:
        return self.known.get(application_id, "exited")

    async def statuses(self, *, team_id: str) -> dict[str, str]:
        self.teams_asked_for.append(team_id)
        return self.known

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        self.asked.append((application_id, lines, timestamps))
        return "\n".join(self.lines)

    async def follow_logs(
        self, application_id: str, *, lines: int, after: str = ""
    ) -> AsyncIterator[RuntimeLine]:
        self.asked.append((application_id, lines, after))
        for line in self.lines:
            yield RuntimeLine(line, WRITTEN_AT, f"after {line}")
        yield RuntimeLine("Some are missing.")


@dataclass
class RecordingServers:
    """Stands for the workflows of servers: keeps what it is asked."""

    provisioned: list[str] = field(default_factory=list)
    removed: list[tuple[str, bool]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    refusal: SeawayError | None = None

    async def provision(self, server: Server, *, requested_by: str) -> None:
        if self.refusal:
            raise self.refusal
        self.provisioned.append(server.id)

    async def remove(
        self, server: Server, *, requested_by: str, with_resources: bool, forget: bool = False
    ) -> None:
        if self.refusal:
            raise self.refusal
        self.removed.append((server.id, with_resources))
        self.forgotten += [server.id] if forget else []


@dataclass
class ShownHostKeys:
    """Stands for the servers: each shows the same key until told otherwise."""

    key: HostKey = field(default_factory=lambda: new_host_key())
    asked: list[str] = field(default_factory=list)
    failure: SeawayError | None = None

    async def shown_by(self, server: Server) -> HostKey:
        self.asked.append(server.address)
        if self.failure:
            raise self.failure
        return self.key


def new_host_key() -> HostKey:
    return host_key_of(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())


@dataclass
class Tenant:
    """A team with a server, a project and a token that may do everything."""

    user: User
    team: Team
    server: Server
    project: Project
    token: str


@dataclass
class Seaway:
    """The API under test with all that it stands on."""

    app: FastAPI
    store: Store
    operations: RecordingOperations
    runtime: FixedRuntime
    servers: RecordingServers
    host_keys: ShownHostKeys
    mine: Tenant
    theirs: Tenant

    @asynccontextmanager
    async def client(self, token: str | None = None, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://seaway.test/api/v1", headers=headers
        ) as client:
            yield client

    async def token_with(self, *abilities: str) -> str:
        token = await self.store.access.create_token(
            team_id=self.mine.team.id, user_id=self.mine.user.id, name="limited", abilities=abilities
        )
        return token.get_secret_value()


async def make_tenant(store: Store, name: str) -> Tenant:
    user, team = await store.access.create_user(
        email=f"{name}@example.com", password=SecretStr("correct horse"), team_name=name
    )
    token = await store.access.create_token(team_id=team.id, user_id=user.id, name="all", abilities=["root"])
    server = Server(
        team_id=team.id,
        name=f"server of {name}",
        is_reachable=True,
        is_usable=True,
        wildcard_domain="http://apps.example.com",
    )
    async with store.database.writing() as session:
        session.add(server)
    project = await store.projects.create(team_id=team.id, name=f"project of {name}")
    return Tenant(user, team, server, project, token.get_secret_value())


def make_seaway(app: FastAPI, store: Store, mine: Tenant, theirs: Tenant) -> Seaway:
    operations, runtime = RecordingOperations(store), FixedRuntime()
    servers, host_keys = RecordingServers(), ShownHostKeys()
    app.state.context = ApiContext(
        store,
        operations,  # type: ignore[arg-type]
        runtime,
        SETTINGS,
        server_operations=servers,
        host_keys=host_keys,
        key_pairs=SshKeyPairs(),
    )
    return Seaway(app, store, operations, runtime, servers, host_keys, mine, theirs)


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """One application for all tests, because building it takes longer than most of them."""
    return create_api(ApiContext(None, None, None, SETTINGS))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
async def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SecretStr, Tenant, Tenant]:
    """A migrated database with two tenants, to be copied: hashing passwords and migrating take time."""
    path = tmp_path_factory.mktemp("store") / "seaway.db"
    key = SecretStr(Fernet.generate_key().decode())
    database = Database(f"sqlite:///{path}")
    await database.migrate()
    store = Store(database, KeyRing([key]))
    mine, theirs = await make_tenant(store, "mine"), await make_tenant(store, "theirs")
    async with database.engine.connect() as connection:
        await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    await database.close()
    return path, key, mine, theirs


@pytest.fixture(scope="session")
async def refilled(
    prepared: tuple[Path, SecretStr, Tenant, Tenant], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RefilledDatabase]:
    """The database that every test gets fresh."""
    refilled = RefilledDatabase(prepared[0], tmp_path_factory.mktemp("refilled"))
    yield refilled
    await refilled.database.close()


@pytest.fixture
async def seaway(
    app: FastAPI, prepared: tuple[Path, SecretStr, Tenant, Tenant], refilled: RefilledDatabase
) -> Seaway:
    """The API on a fresh store."""
    _, key, mine, theirs = prepared
    return make_seaway(app, Store(await refilled.refill(), KeyRing([key])), mine, theirs)


@pytest.fixture
async def client(seaway: Seaway) -> AsyncIterator[httpx.AsyncClient]:
    """My client, with a token that may do everything."""
    async with seaway.client(seaway.mine.token) as client:
        yield client


@pytest.fixture
async def application(seaway: Seaway, client: httpx.AsyncClient) -> dict[str, object]:
    """An application of mine."""
    answer = await client.post(
        "/applications/public",
        json={
            "project_uuid": seaway.mine.project.id,
            "git_repository": "https://git.example.com/team/shop.git",
            "name": "shop",
        },
    )
    assert answer.status_code == 201, answer.text
    created: dict[str, object] = answer.json()
    return created


@pytest.fixture
async def key(seaway: Seaway) -> PrivateKey:
    """A key of mine."""
    key = PrivateKey(team_id=seaway.mine.team.id, name="key", private_key_sealed="")
    async with seaway.store.database.writing() as session:
        session.add(key)
    return key


@pytest.fixture
async def server(client: httpx.AsyncClient, key: PrivateKey) -> dict[str, Any]:
    """A server of mine that nobody has reached yet."""
    answer = await client.post("/servers", json={"ip": ADDRESS, "private_key_uuid": key.id})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def audited(seaway: Seaway) -> list[tuple[str, str]]:
    """The actions of my team with their summaries, oldest first."""
    events = await seaway.store.audit.list(team_id=seaway.mine.team.id)
    return [(event.action, event.summary) for event in reversed(events)]
