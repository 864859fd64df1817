"""Links that break while a server is provisioned, by the real workflow on a real Temporal server."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from activities.provisioning import ProvisioningActivities
from activities.server_checks import ServerCheckActivities
from activities.server_removal import ServerRemovalActivities
from activities.step_recording import StepRecording
from adapters.ssh.pool import SshPool
from api.server_operations import ServerOperations
from domain.deployments import StepStatus
from domain.servers import ServerStatus
from seaway import remote_servers
from seaway.servers import SeawayServers
from seaway.settings import Settings
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import PrivateKey, Server
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually
from tests.integration.ssh.conftest import QUICK
from tests.integration.ssh.provisioner import stop_engine
from workflows.names import server_workflow_id
from workflows.server import STEPS, ServerWorkflow

INSTANCE = "lighthouse"
INSTALL_LIMIT_SECONDS = 300.0
SSH_PACKETS = (("INPUT", "-p", "tcp", "--dport", "22"), ("OUTPUT", "-p", "tcp", "--sport", "22"))
ACTIVITIES = [signature.name for _, signature, _ in STEPS]


class Cutting(Interceptor):
    """Cuts the server's link for a while when a step begins, once."""

    def __init__(self, machine: SshServer, step: str, seconds: float) -> None:
        self.machine = machine
        self.step = step
        self.seconds = seconds
        self.runs: list[str] = []
        self.healing: asyncio.Task[None] | None = None

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Cutter(next, self)

    async def begin(self) -> asyncio.Task[None]:
        """Cuts it now, and says when it is as before."""
        await asyncio.to_thread(self.machine.cut)
        return asyncio.create_task(self.heal())

    async def heal(self) -> None:
        await asyncio.sleep(self.seconds)
        await asyncio.to_thread(self.machine.heal)


class CuttingInstallation(Cutting):
    """Cuts the link to a bare machine while the packages of its engine are unpacked; 0 s are a reset."""

    def __init__(self, machine: SshServer, seconds: float) -> None:
        super().__init__(machine, "ensure-engine", seconds)

    async def begin(self) -> asyncio.Task[None]:
        """Waits for the packages beside the step."""
        return asyncio.create_task(self._cut_while_unpacking())

    async def _cut_while_unpacking(self) -> None:
        await eventually(self._unpacks, INSTALL_LIMIT_SECONDS, describe="packages that are unpacked")
        if not self.seconds:
            await asyncio.to_thread(self.machine.reset_links)
            return
        # Of SSH alone: the packages go on coming.
        with contextlib.ExitStack() as stack:
            for rule in SSH_PACKETS:
                await asyncio.to_thread(stack.enter_context, self.machine.dropping(*rule))
            await asyncio.sleep(self.seconds)

    async def _unpacks(self) -> bool:
        code, _ = await asyncio.to_thread(self.machine.run, "pgrep", "-f", "^/usr/bin/dpkg .*--unpack")
        return code == 0


class _Cutter(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, cutting: Cutting) -> None:
        super().__init__(next)
        self._cutting = cutting

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        name = activity.info().activity_type
        self._cutting.runs.append(name)
        if name == self._cutting.step and self._cutting.healing is None:
            self._cutting.healing = await self._cutting.begin()
        return await super().execute_activity(input)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


async def add_server(store: Store, machine: SshServer) -> Server:
    _, team = await store.access.create_user(
        email="owner@example.test", password=SecretStr("a long enough password"), team_name="Team"
    )
    key = PrivateKey(team_id=team.id, name="key", private_key_sealed="")
    await store.servers.add_key(key, SecretStr(machine.private_key))
    return await store.servers.create(
        Server(
            team_id=team.id,
            name=machine.name,
            address=machine.host,
            host_key=machine.host_key,
            private_key_id=key.id,
        )
    )


@contextlib.asynccontextmanager
async def running(
    client: Client, store: Store, folder: Path, cutting: Cutting
) -> AsyncIterator[ServerOperations]:
    servers = SeawayServers(store, Settings(data_dir=folder, instance=INSTANCE))
    task_queue = f"links-{uuid.uuid4().hex[:8]}"
    steps = ProvisioningActivities(store, servers, instance=INSTANCE)
    checks = ServerCheckActivities(store, servers)
    removal = ServerRemovalActivities(store, servers, instance=INSTANCE)
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=[ServerWorkflow],
        activities=[*steps.all(), *checks.all(), *removal.all()],
        interceptors=[cutting, StepRecording(store)],
        graceful_shutdown_timeout=timedelta(seconds=1),
    )
    async with worker:
        yield ServerOperations(client, store, task_queue)
    await servers.close()


async def provision_through(
    cutting: Cutting, client: Client, store: Store, folder: Path, limit_seconds: float
) -> tuple[ServerStatus, str]:
    """How the server stands after the cut, in spite of which every step happened once."""
    server = await add_server(store, cutting.machine)

    async def at_rest() -> Server | None:
        found = await store.servers.get(server.id)
        return found if found.status != ServerStatus.PROVISIONING else None

    async with running(client, store, folder, cutting) as operations:
        await operations.provision(server, requested_by="someone")
        found = await eventually(at_rest, limit_seconds)
        steps = await store.servers.steps(server.id)
        assert {step.status for step in steps} <= {StepStatus.SUCCEEDED, StepStatus.SKIPPED}
        tried = {name: cutting.runs.count(name) for name in ACTIVITIES}
        assert tried.pop(cutting.step) > 1
        assert set(tried.values()) == {1}
        _, proxies = cutting.machine.run("docker", "ps", "-aq", "--filter", "label=seaway.role=proxy")
        assert len(proxies.split()) == 1
        await operations.remove(found, requested_by="someone", with_resources=False)
        await client.get_workflow_handle(server_workflow_id(server.id)).result()
    assert cutting.machine.run("docker", "inspect", f"{INSTANCE}-proxy")[0] != 0
    return ServerStatus(found.status), found.status_message


async def test_a_link_that_breaks_in_a_step_delays_it(
    temporal_client: Client,
    store: Store,
    server: SshServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_servers, "SshPool", lambda: SshPool(QUICK))
    cutting = Cutting(server, "ensure-folders", 2)
    ended = await provision_through(cutting, temporal_client, store, tmp_path, 60)
    assert ended == (ServerStatus.USABLE, "")


@pytest.mark.drill
@pytest.mark.timeout(400)
@pytest.mark.parametrize("step", ACTIVITIES)
async def test_a_minute_without_packets_delays_any_step(
    step: str, temporal_client: Client, store: Store, server: SshServer, tmp_path: Path
) -> None:
    cutting = Cutting(server, step, 60)
    ended = await provision_through(cutting, temporal_client, store, tmp_path, 240)
    assert ended == (ServerStatus.USABLE, "")


@pytest.mark.drill
@pytest.mark.timeout(900)
@pytest.mark.parametrize("silent_seconds", [0, 60])
async def test_a_link_that_breaks_while_docker_is_installed_delays_it(
    silent_seconds: float, temporal_client: Client, store: Store, servers: SshServers, tmp_path: Path
) -> None:
    machine = await asyncio.to_thread(lambda: servers.add(docker=False))
    await asyncio.to_thread(stop_engine, machine)
    cutting = CuttingInstallation(machine, silent_seconds)
    ended = await provision_through(cutting, temporal_client, store, tmp_path, 600)
    assert ended == (ServerStatus.USABLE, "")
    assert cutting.healing is not None
    await cutting.healing
    # Every package is whole, and there is one engine.
    assert machine.run("dpkg", "--audit") == (0, "")
    assert len(machine.run("pgrep", "-x", "dockerd")[1].split()) == 1
    assert machine.run("sh", "-c", "dpkg -l docker.io | grep -c ^ii")[1].strip() == "1"
    await asyncio.to_thread(machine.remove)
