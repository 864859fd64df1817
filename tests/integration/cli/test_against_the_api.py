"""The command on the real API: what one sends, the other takes, and the other way round."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from api.application import create_api
from api.context import ApiContext
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.identifiers import derived_identifier
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from seaway.cli import session
from seaway.cli.client import SeawayClient
from seaway.cli.commands import contexts
from seaway.cli.context import Connection
from seaway.cli.main import application
from seaway.cli.rest import RestClient
from seaway.server_keys import SshKeyPairs
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import ServerEvent
from tests.integration.api.conftest import SETTINGS, FixedRuntime, RecordingOperations, Tenant, make_tenant

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Say = Callable[..., Awaitable[Result]]


class LoopTransport(httpx.BaseTransport):
    """Takes requests of another thread to an ASGI application on the loop of the test."""

    def __init__(self, asgi: httpx.ASGITransport, loop: asyncio.AbstractEventLoop) -> None:
        self._asgi = asgi
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result(timeout=20)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


@dataclass
class Api:
    """The API, what it stands on, and who uses it."""

    app: FastAPI
    store: Store
    operations: RecordingOperations
    mine: Tenant


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    store = Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    operations = RecordingOperations(store)
    app = create_api(ApiContext(store, operations, FixedRuntime(), SETTINGS, key_pairs=SshKeyPairs()))  # type: ignore[arg-type]
    yield Api(app, store, operations, await make_tenant(store, "mine"))
    await database.close()


@pytest.fixture
async def say(api: Api, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs the command in a thread of its own, against the API in this one."""
    transport = LoopTransport(httpx.ASGITransport(api.app), asyncio.get_running_loop())

    def open_client(connection: Connection) -> SeawayClient:
        return SeawayClient(RestClient(connection, transport))

    monkeypatch.setattr(session, "open_client", open_client)
    monkeypatch.setattr(contexts, "open_client", open_client)
    monkeypatch.setenv("SEAWAY_URL", "http://seaway.test")
    monkeypatch.setenv("SEAWAY_TOKEN", api.mine.token)

    async def invoke(*arguments: str, stdin: str | None = None, code: int = 0) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, application, list(arguments), input=stdin)
        assert result.exit_code == code, result.output
        return result

    return invoke


async def document(say: Say, *arguments: str) -> Any:
    return json.loads((await say(*arguments, "--json")).stdout)


async def test_an_application_is_made_changed_looked_at_and_removed(api: Api, say: Say) -> None:
    created = await document(
        say, "app", "create", "demo", "--repo", "https://git.example.com/demo.git", "--branch", "main",
        "--domain", "http://demo.localhost", "--port", "8080", "--health-path", "/up", "--replicas", "2",
        "--memory", "256m", "--cpus", "0.5", "--release-command", "migrate", "--target-stage", "run",
        "--pre-deploy", "a", "--post-deploy", "b", "--env", "A=1", "--environment", "staging",
    )  # fmt: skip
    assert created["urls"] == ["http://demo.localhost"]
    assert (created["replicas"], created["release_command"]) == (2, "migrate")
    assert created["environment_name"] == "staging"

    await say("app", "set", "demo", "port=9000", "health_check_return_code=204", "spa=false", "memory=1g")
    shown = await document(say, "app", "show", "demo")
    assert (shown["ports_exposes"], shown["health_check_return_code"]) == ("9000", 204)

    await say("env", "set", "demo", "B=2")
    await say("env", "set", "demo", "TOKEN=hidden", "--secret")
    await say("env", "unset", "demo", "A")
    variables = await document(say, "env", "list", "demo", "--show")
    assert [(one["key"], one["value"], one["is_build_secret"]) for one in variables] == [
        ("B", "2", False),
        ("TOKEN", "hidden", True),
    ]
    await say("app", "create", "web", "--image", "example/web:1", "--domain", "http://demo.localhost", code=2)
    await say(
        "app", "create", "site", "--repo", "https://git.example.com/s.git", "--build-pack", "static", "--spa",
        "--build-server",
    )  # fmt: skip
    assert (await document(say, "app", "show", "site"))["use_build_server"] is True
    await say("app", "set", "site", "build-server=false")
    assert (await document(say, "app", "show", "site"))["use_build_server"] is False
    assert [one["name"] for one in await document(say, "app", "list")] == ["demo", "site"]
    await say("rm", "demo", "--yes", "--no-wait")
    assert api.operations.submitted[-1].kind is OperationKind.DELETE
    assert api.operations.submitted[-1].delete_volumes is False


async def test_a_clean_up_is_followed_to_its_end(api: Api, say: Say) -> None:
    server = api.mine.server

    @dataclass
    class CleanUps:
        kind = ServerEventKind.CLEANED_UP
        message = "Removed 3 images."
        begun: int = 0

        async def start(self, server_id: str) -> str:
            self.begun += 1
            other = ServerEvent(server_id=server_id, kind=self.kind, message="Of another clean-up.")
            own = ServerEvent(
                id=f"event{self.begun}", server_id=server_id, kind=self.kind, message=self.message
            )
            await api.store.watch.record(own)
            await api.store.watch.record(other)
            return own.id

    clean_ups = CleanUps()
    api.app.state.context = replace(api.app.state.context, clean_ups=clean_ups)
    await api.store.servers.set(server.id, status=ServerStatus.USABLE)
    assert (await say("server", "clean", server.name)).stdout == f"✓ {server.name}: Removed 3 images.\n"
    told = await document(say, "server", "clean", server.name)
    assert (told["event"]["kind"], told["event"]["message"]) == ("cleaned_up", "Removed 3 images.")
    begun = (await say("server", "clean", server.name, "--no-wait")).stdout
    assert begun == f"{server.name} is being cleaned.\n"
    clean_ups.kind, clean_ups.message = ServerEventKind.CLEAN_UP_FAILED, "Docker does not answer."
    failed = await say("server", "clean", server.name, code=1)
    assert failed.stdout == f"✗ {server.name} is not cleaned: Docker does not answer.\n"


async def test_a_deployment_is_followed_through_the_real_stream(api: Api, say: Say) -> None:
    await say("app", "create", "demo", "--repo", "https://git.example.com/demo.git")
    uuid = (await document(say, "deploy", "demo", "--no-wait", "--idempotency-key", "run-1"))[
        "deployment_uuid"
    ]
    assert uuid == derived_identifier((await document(say, "app", "show", "demo"))["uuid"], "run-1")
    await run_through(api.store, uuid)

    text = (await say("deploy", "demo", "--idempotency-key", "run-1")).stdout
    assert "✓ Build image: succeeded, attempt 2" in text
    assert "Build image | second try" in text
    assert "first try" not in text
    assert "✓ demo is deployed at 0123456789ab" in text
    assert [command.kind for command in api.operations.submitted] == [OperationKind.DEPLOY]

    lines = await document(say, "logs", "--build", uuid)
    assert [line["text"] for line in lines] == ["second try"]
    assert (await document(say, "status", "demo"))["deployment"]["outcome"] == "finished"
    assert len(await document(say, "deployments", "demo", "--all")) == 1

    error = {"error_code": "build_failed", "error_message": "It does not build.", "error_detail": "line 3"}
    await api.store.deployments.update(uuid, status=DeploymentStatus.FAILED, **error)
    failed = await say("deploy", "demo", "--idempotency-key", "run-1", code=1)
    assert "It does not build." in failed.stdout
    await api.store.deployments.update(uuid, status=DeploymentStatus.SUPERSEDED)
    await say("deploy", "demo", "--idempotency-key", "run-1", code=3)


async def run_through(store: Store, uuid: str) -> None:
    """What the workflows would write: a build that succeeds with its second try."""
    deployment = await store.deployments.get(uuid)
    configuration = await store.applications.configuration(deployment.application_id)
    await store.deployments.begin(uuid, configuration, [Step(name=StepName.BUILD, server="local")])
    for attempt, text in ((1, "first try"), (2, "second try")):
        await store.deployments.set_step(uuid, StepName.BUILD, "local", StepStatus.RUNNING, attempt=attempt)
        await store.logs.open(uuid, "build", "local", attempt)
        await store.logs.append(uuid, "build", "local", attempt, [(now(), text)])
    await store.deployments.set_step(uuid, StepName.BUILD, "local", StepStatus.SUCCEEDED)
    await store.deployments.update(
        uuid,
        status=DeploymentStatus.FINISHED,
        commit=COMMIT,
        image="demo:1",
        release_id=uuid,
        serving_at=now(),
        finished_at=now(),
    )
    await store.applications.set_state(
        deployment.application_id, desired_state="running", current_deployment_id=uuid
    )


async def test_every_operation_reaches_the_queue(api: Api, say: Say) -> None:
    await say("app", "create", "demo", "--image", "example/web:1")
    uuid = (await document(say, "deploy", "demo", "--no-wait"))["deployment_uuid"]
    await run_through(api.store, uuid)
    await say("restart", "demo", "--no-wait")
    await say("stop", "demo", "--no-wait")
    stopped = (await document(say, "app", "show", "demo"))["uuid"]
    await api.store.applications.set_state(stopped, desired_state="stopped")
    for arguments in (
        ("start", "demo"),
        ("scale", "demo", "3"),
        ("rollback", "demo", uuid),
        ("rollback", "demo", COMMIT[:10]),
    ):
        await say(*arguments, "--no-wait")
    assert [command.kind.value for command in api.operations.submitted[1:]] == [
        "restart", "stop", "start", "scale", "rollback", "rollback",
    ]  # fmt: skip
    waiting = api.operations.submitted[-1].deployment_id
    assert "cancel" in (await say("cancel", waiting)).stdout
    assert api.operations.cancelled == [waiting]
    await say("logs", "--build", waiting, "-f", code=3)
    await say("scale", "demo", "1000", "--no-wait", code=2)
    await say("cancel", "x" * 24, code=5)
    assert (await say("logs", "demo")).stdout == "first\nsecond\n"


async def test_other_resources_and_the_log_in(api: Api, say: Say, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "key").write_bytes(key)
    await say("key", "add", "deploy", str(tmp_path / "key"))
    assert [one["name"] for one in await document(say, "key", "list")] == ["deploy"]
    await say(
        "app", "create", "private", "--repo", "git@git.example.com:team/x.git", "--deploy-key", "deploy"
    )
    await say("key", "rm", "deploy", code=2)
    await say("key", "set", "deploy", "--name", "other", "--file", str(tmp_path / "key"))
    assert [one["name"] for one in await document(say, "key", "list")] == ["other"]
    await say("project", "create", "shop")
    assert {"shop", "default"} <= {one["name"] for one in await document(say, "project", "list")}
    assert [one["uuid"] for one in await document(say, "server", "list")] == [api.mine.server.id]
    assert (await document(say, "version"))["server"] == "0.0.1"
    await say("login", "http://seaway.test", "--token-stdin", stdin="1|wrong\n", code=4)
    await say("login", "http://seaway.test", "--token-stdin", stdin=f"{api.mine.token}\n")
