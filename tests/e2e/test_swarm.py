"""A Docker Swarm of two real machines as a destination: the same gates, progress, rollback and logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import docker
import pytest

from tests.e2e.applications import Application, create, statuses
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, version_at
from tests.harness.images import BaseImages
from tests.harness.load import LoadGenerator
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

# Two machines with engines of their own, and their death: minutes, where the quick suite has seconds.
pytestmark = [pytest.mark.timeout(1200), pytest.mark.drill]
IMPATIENT = {"SEAWAY_SERVER_CHECK_SECONDS": "3", "SEAWAY_LOST_SERVER_SECONDS": "5"}
REPLICAS = 4


@dataclass
class Swarm:
    """A Seaway, and a manager and a worker with what it calls them."""

    seaway: Installation
    manager: SshServer
    worker: SshServer
    manager_id: str
    worker_id: str

    async def nodes_of(self, application: str) -> set[str]:
        """The machines on which replicas of the application run."""
        found = set()
        look = ("docker", "ps", "-q", "--filter", f"label=seaway.task-of={application}")
        for machine in (self.manager, self.worker):
            _, output = await asyncio.to_thread(machine.run, *look)
            if output.split():
                found.add(machine.name)
        return found

    async def services(self) -> list[str]:
        """The names of all services."""
        _, output = await asyncio.to_thread(
            self.manager.run, "docker", "service", "ls", "--format", "{{.Name}}"
        )
        return output.split()


async def ask_of(machine: SshServer, *argv: str) -> str:
    """What a command says that must succeed."""
    code, output = await asyncio.to_thread(machine.run, *argv)
    assert code == 0, output
    return output.strip()


@pytest.fixture(scope="module")
async def swarm(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Swarm]:
    """Both are servers of Seaway's, so that images reach both."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("swarm")) as servers:
            await seaway.start()
            manager, worker = [await asyncio.to_thread(servers.add, name) for name in ("manager", "worker")]
            await load_images([manager, worker], base_images.python)
            await ask_of(manager, "docker", "swarm", "init", "--advertise-addr", manager.host)
            token = await ask_of(manager, "docker", "swarm", "join-token", "-q", "worker")
            await ask_of(worker, "docker", "swarm", "join", "--token", token, f"{manager.host}:2377")
            key = await add_key(seaway, servers.private_key)
            manager_id = await add_server(seaway, manager, key, is_swarm_manager=True)
            worker_id = await add_server(seaway, worker, key, is_swarm_worker=True)
            yield Swarm(seaway, manager, worker, manager_id, worker_id)


@pytest.fixture
async def service(swarm: Swarm, git_repository: GitRepository) -> AsyncIterator[Application]:
    """An application whose `v1` serves from both machines."""
    application = await create(
        swarm.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=swarm.manager_id,
        swarm_replicas=REPLICAS,
        drain_seconds=20,
        health_check_interval=1,
        health_check_timeout=2,
    )
    await application.deploy()
    assert await version_at(swarm.manager, application.host) == "v1"
    yield application
    await application.delete()


async def test_releases_on_a_swarm_are_noticed_by_no_visitor(
    swarm: Swarm, service: Application, git_repository: GitRepository
) -> None:
    assert await swarm.nodes_of(service.uuid) == {swarm.manager.name, swarm.worker.name}
    listed = await swarm.seaway.ask("GET", f"/deployments/applications/{service.uuid}")
    first = listed["deployments"][0]["deployment_uuid"]
    load = LoadGenerator(
        f"http://{service.host}",
        address=(swarm.manager.host, 80),
        rate_per_second=20,
        slow_every_seconds=2,
        slow_seconds=3,
        websockets=1,
        websocket_seconds=5,
        accept_going_away=True,
    )
    async with load:
        git_repository.release("v2")
        shown = await service.deploy()
        assert statuses(shown)["distribute"] == "succeeded", shown
        assert await version_at(swarm.manager, service.host) == "v2"
        assert await swarm.services() == [f"{service.uuid}-{shown['uuid']}"]

        await service.change(health_check_interval=0.5, health_check_retries=4)
        await service.set_variables(HEALTH_STATUS="500")
        git_repository.release("ill")
        failed = await service.fail(120)
        assert failed["error"]["code"] == "release_unhealthy", failed
        assert await version_at(swarm.manager, service.host) == "v2"
        assert await swarm.services() == [f"{service.uuid}-{shown['uuid']}"]

        await service.operate("rollback", deployment_uuid=first)
        assert await version_at(swarm.manager, service.host) == "v1"
    load.report().assert_no_failures(20)


async def test_scaling_logs_and_commands_reach_all_nodes(swarm: Swarm, service: Application) -> None:
    await service.change(post_deployment_command="echo in a replica on $(hostname)")
    shown = await service.deploy(force=True)
    await service.operate("scale", replicas=2)
    running = await swarm.seaway.ask("GET", f"/applications/{service.uuid}")
    assert running["status"].startswith("running"), running["status"]
    assert running["swarm_replicas"] == 2
    logs = await swarm.seaway.ask("GET", f"/applications/{service.uuid}/logs", params={"lines": 100})
    assert logs["logs"].count("listens on") == 2, logs
    assert "in a replica on" in await service.log_of(shown["uuid"])

    await service.operate("stop")
    assert await swarm.services() == []
    assert await version_at(swarm.manager, service.host) == "status 404"
    await service.operate("start")
    assert await version_at(swarm.manager, service.host) == "v1"


async def test_what_a_swarm_cannot_do_is_refused_in_words(swarm: Swarm, service: Application) -> None:
    seaway = swarm.seaway
    answer = await seaway.api.patch(f"/applications/{service.uuid}", json={"limits_cpuset": "0"})
    assert answer.status_code == 422, answer.text
    assert "limits_cpuset" in answer.json()["errors"]
    answer = await seaway.api.patch(f"/applications/{service.uuid}", json={"server_uuids": [swarm.worker_id]})
    assert "Choose the manager" in answer.text
    await service.change(swarm_placement_constraints="node.labels.disk==ssd")
    failed = await service.fail(60)
    assert "node.labels.disk==ssd" in failed["error"]["message"]
    assert await version_at(swarm.manager, service.host) == "v1"


async def test_a_node_that_dies_is_told_of_and_its_replicas_move(swarm: Swarm, service: Application) -> None:
    told = await swarm.seaway.ask("GET", f"/servers/{swarm.manager_id}/swarm")
    assert [(node["role"], node["state"]) for node in told["nodes"]] == [
        ("manager", "ready"),
        ("worker", "ready"),
    ]
    assert {node["server_uuid"] for node in told["nodes"]} == {swarm.manager_id, swarm.worker_id}
    await asyncio.to_thread(swarm.worker.kill)
    seen: set[str] = set()

    async def moved() -> bool:
        shown = await swarm.seaway.ask("GET", f"/applications/{service.uuid}")
        seen.add(shown["status"])
        nodes = (await swarm.seaway.ask("GET", f"/servers/{swarm.manager_id}/swarm"))["nodes"]
        return [node["state"] for node in nodes] == ["ready", "down"] and len(await tasks()) == REPLICAS

    async def tasks() -> list[str]:
        look = ("docker", "ps", "-q", "--filter", f"label=seaway.task-of={service.uuid}")
        return (await ask_of(swarm.manager, *look)).split()

    await eventually(moved, 120, 0.5, lambda: f"all replicas on the manager; the status was {seen}")
    assert await version_at(swarm.manager, service.host) == "v1"
    await asyncio.to_thread(swarm.worker.start)
