"""The real API over a real engine, with one application that is deployed as far as its rows say so."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
import uvicorn
from cryptography.fernet import Fernet
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect

from activities.servers import Surroundings
from api.application import create_api
from api.context import ApiContext, ApiSettings
from domain.deployments import DeploymentStatus
from domain.replicas import ONE_OFF_COMMAND_ROLE, ROLE_LABEL
from domain.terminals import OutputStream, output_of
from seaway.runtime_view import ServersView
from seaway.servers import SeawayServers
from seaway.settings import Settings
from seaway.terminals import SeawayTerminals
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Deployment, Server
from store.tables.applications import DesiredState
from tests.harness.images import BaseImages

ROOT = Path(__file__).resolve().parents[3]
LIMIT_SECONDS = 30


@dataclass
class Talk:
    """What the API says in one conversation."""

    websocket: ClientConnection
    stdout: bytes = b""
    stderr: bytes = b""

    async def say(self, **event: Any) -> None:
        """Says something besides input."""
        await self.websocket.send(json.dumps(event))

    async def hear(self) -> dict[str, Any] | None:
        """The next message: an event, or None for output, which is kept."""
        message = await self.websocket.recv()
        if isinstance(message, str):
            event: dict[str, Any] = json.loads(message)
            return event
        stream, data = output_of(message)
        if stream is OutputStream.STDOUT:
            self.stdout += data
        else:
            self.stderr += data
        return None

    async def until_output(self, wanted: bytes) -> None:
        """The command has written this."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while wanted not in self.stdout:
                await self.hear()

    async def until_quiet(self, seconds: float) -> None:
        """Nothing has been said for so long."""
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(seconds):
                    await self.hear()

    async def rest(self) -> dict[str, Any]:
        """The last event, with all output in it."""
        event = None
        while event is None or event["event"] not in ("exit", "error"):
            before = len(self.stdout) + len(self.stderr)
            event = await self.hear()
            if taken := len(self.stdout) + len(self.stderr) - before:
                await self.say(event="taken", bytes=taken)
        return {**event, "stdout": self.stdout.decode(), "stderr": self.stderr.decode()}


@dataclass
class Site:
    """One Seaway without workflows: its API on a port, and an application of it."""

    url: str
    token: str
    store: Store
    servers: SeawayServers
    settings: Settings
    application: str
    server: Server
    docker: docker.DockerClient
    image: str

    async def command(self, *arguments: str, input: bytes | None = None) -> tuple[int, str, str]:
        """Exit code, output and errors of the `seaway` command."""
        process = await self.start(*arguments)
        async with asyncio.timeout(LIMIT_SECONDS):
            output, errors = await process.communicate(input)
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def start(self, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
        """Starts the `seaway` command."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "seaway", *arguments,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SEAWAY_URL": self.url, "SEAWAY_TOKEN": self.token},
            **{
                "stdin": asyncio.subprocess.PIPE,
                "stdout": asyncio.subprocess.PIPE,
                "stderr": asyncio.subprocess.PIPE,
                **streams,
            },
        )  # fmt: skip

    async def in_terminal(self, *arguments: str) -> tuple[asyncio.subprocess.Process, int]:
        """Starts it in a terminal of its own; the descriptor is what a person types into and reads."""
        person, command = pty.openpty()
        process = await self.start(*arguments, stdin=command, stdout=command, stderr=command)
        os.close(command)
        return process, person

    @asynccontextmanager
    async def talk(self, path: str, *command: str, **start: Any) -> AsyncIterator[Talk]:
        """A conversation of our own, quicker than a command that has to start."""
        async with connect(
            f"ws{self.url.removeprefix('http')}/api/v1{path}",
            additional_headers={"Authorization": f"Bearer {self.token}"},
            proxy=None,
            max_queue=None,
        ) as websocket:
            await websocket.send(json.dumps({"event": "start", "command": command, **start}))
            yield Talk(websocket)

    async def told(self, path: str, *command: str, **start: Any) -> dict[str, Any]:
        """The last event of a conversation, with all output in it as `stdout` and `stderr`."""
        async with asyncio.timeout(LIMIT_SECONDS), self.talk(path, *command, **start) as talk:
            return await talk.rest()

    def one_off_containers(self) -> list[str]:
        """The ids of all containers of one-off commands of the application."""
        labels = [f"seaway.application={self.application}", f"{ROLE_LABEL}={ONE_OFF_COMMAND_ROLE}"]
        # Only listed: a busy engine may not let one be inspected while nobody takes its output.
        return [one["Id"] for one in self.docker.api.containers(all=True, filters={"label": labels})]

    async def audited(self) -> list[tuple[str, str]]:
        """Actions and what is said about them, oldest first."""
        events = await self.store.audit.list(team_id=self.server.team_id)
        return [(event.action, event.summary) for event in reversed(events)]


async def read_until(descriptor: int, wanted: bytes) -> bytes:
    """What is shown in a terminal, up to the wanted text."""
    shown = b""
    async with asyncio.timeout(LIMIT_SECONDS):
        while wanted not in shown:
            shown += await asyncio.to_thread(os.read, descriptor, 4096)
    return shown


@asynccontextmanager
async def site_in(folder: Path, engine: docker.DockerClient, image: str) -> AsyncIterator[Site]:
    """Everything put together as `seaway api` does, but for the workflows."""
    settings = Settings(data_dir=folder, instance=f"terminals-{os.getpid()}")
    database = Database(f"sqlite:///{folder / 'seaway.db'}")
    await database.migrate()
    store = Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    servers = SeawayServers(store, settings)
    terminals = SeawayTerminals(store, servers, Surroundings(folder), settings.commands_folder)
    user, team = await store.access.create_user(
        email="owner@example.com", password=SecretStr("correct horse"), team_name="team"
    )
    token = await store.access.create_token(team_id=team.id, user_id=user.id, name="all", abilities=["root"])
    server = await store.servers.ensure_local(team_id=team.id, wildcard_domain="")
    context = ApiContext(
        store,
        None,  # type: ignore[arg-type]  # nothing here starts a workflow
        ServersView(store, servers),
        ApiSettings(requests_per_minute=100_000),
        terminals=terminals,
    )
    api = uvicorn.Server(
        uvicorn.Config(create_api(context), port=0, log_level="warning", timeout_graceful_shutdown=5)
    )
    api.capture_signals = suppress  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(api.serve())
    while not api.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    port = api.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    try:
        application = await deployed(store, url, token.get_secret_value(), image)
        yield Site(
            url, token.get_secret_value(), store, servers, settings, application, server, engine, image
        )
        for network in engine.networks.list(names=[settings.instance]):
            network.remove()
    finally:
        api.should_exit = True
        await serving
        await terminals.close()
        await servers.close()
        await database.close()


async def deployed(store: Store, url: str, token: str, image: str) -> str:
    """The id of an application whose rows say that this image is released."""
    async with httpx.AsyncClient(
        base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as client:
        server = (await client.get("/servers")).json()[0]["uuid"]
        project = (await client.post("/projects", json={"name": "p"})).json()["uuid"]
        answer = await client.post(
            "/applications/dockerimage",
            json={
                "project_uuid": project,
                "server_uuid": server,
                "environment_name": "production",
                "docker_registry_image_name": image.partition(":")[0],
                "docker_registry_image_tag": image.partition(":")[2],
                "ports_exposes": "8000",
                "name": "shop",
            },
        )
        assert answer.status_code == 201, answer.text
        uuid: str = answer.json()["uuid"]
        secret = {"data": [{"key": "API_TOKEN", "value": "s3cret-of-the-shop"}]}
        assert (await client.patch(f"/applications/{uuid}/envs/bulk", json=secret)).is_success
    configuration = await store.applications.configuration(uuid)
    deployment = await store.deployments.record(Deployment(application_id=uuid))
    await store.deployments.begin(deployment.id, configuration, [])
    await store.deployments.update(
        deployment.id, image=image, status=DeploymentStatus.FINISHED, release_id=deployment.id
    )
    await store.applications.set_state(
        uuid, desired_state=DesiredState.RUNNING, current_deployment_id=deployment.id
    )
    return uuid


@pytest.fixture(scope="session")
async def site(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One for all tests here; each looks only at what it started itself."""
    async with site_in(tmp_path_factory.mktemp("terminals"), engine, base_images.python) as made:
        yield made
