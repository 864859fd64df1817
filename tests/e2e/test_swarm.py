"""A Docker Swarm of two real machines as a destination: the same gates, progress, rollback and logs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import docker
import pytest

from tests.e2e.applications import Application, create, statuses
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable, version_at
from tests.harness.images import BaseImages
from tests.harness.load import LoadGenerator
from tests.harness.load_report import now
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

# Two machines with engines of their own, and their death: minutes, where the quick suite has seconds.
pytestmark = [pytest.mark.timeout(1200), pytest.mark.drill]
IMPATIENT = {
    "SEAWAY_SERVER_CHECK_SECONDS": "3",
    "SEAWAY_LOST_SERVER_SECONDS": "5",
    "SEAWAY_WATCH_SECONDS": "2",
}
REPLICAS = 4
SSH_PACKETS = (("INPUT", "-p", "tcp", "--dport", "22"), ("OUTPUT", "-p", "tcp", "--sport", "22"))
BESIDE = """
import urllib.request
print(open("/etc/shop/settings.toml").read().strip())
print(urllib.request.urlopen("http://{}:3000/", timeout=10).read().decode().strip())
"""


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

    async def placed(self, application: str) -> dict[str, int]:
        """How many of the tasks that shall run each node has."""
        (service,) = [name for name in await self.services() if name.startswith(application)]
        look = ("service", "ps", "-f", "desired-state=running", "--format", "{{.Node}}", service)
        return dict(Counter(await self._listed(*look)))

    async def services(self) -> list[str]:
        """The names of all services."""
        return await self._listed("service", "ls", "--format", "{{.Name}}")

    async def files(self) -> list[str]:
        """The names of all files that the Swarm keeps."""
        return await self._listed("secret", "ls", "--format", "{{.Name}}")

    async def tasks(self, application: str) -> set[str]:
        """The ids of the tasks that shall run."""
        (service,) = [name for name in await self.services() if name.startswith(application)]
        return set(await self._listed("service", "ps", "-q", "-f", "desired-state=running", service))

    async def _listed(self, *command: str) -> list[str]:
        return (await ask_of(self.manager, "docker", *command)).split()

    async def left_of(self, application: str) -> list[str]:
        """The images and the containers that either machine has of an application."""
        found = []
        for machine in (self.manager, self.worker):
            for look in (
                ("images", "-q", f"seaway/{application}"),
                ("ps", "-aq", "--filter", f"label=seaway.task-of={application}"),
                ("ps", "-aq", "--filter", f"label=seaway.application={application}"),
            ):
                found += (await ask_of(machine, "docker", *look)).split()
        return found


async def ask_of(machine: SshServer, *argv: str) -> str:
    """What a command says that must succeed."""
    code, output = await asyncio.to_thread(machine.run, *argv)
    assert code == 0, output
    return output.strip()


def visitors(swarm: Swarm, application: Application) -> LoadGenerator:
    """Requests to the manager, all the time."""
    return LoadGenerator(
        f"http://{application.host}",
        address=(swarm.manager.host, 80),
        rate_per_second=20,
        slow_every_seconds=2,
        slow_seconds=3,
        websockets=0,
    )


@contextlib.asynccontextmanager
async def resets(machine: SshServer) -> AsyncIterator[None]:
    """For as long as the block lasts, every SSH connection there dies soon after it was made; ten at most."""

    async def reset() -> None:
        for _ in range(10):
            await asyncio.to_thread(machine.reset_links)
            await asyncio.sleep(0.3)

    resetting = asyncio.create_task(reset())
    try:
        yield
        assert resetting.done(), "the release was over before the link was"
    finally:
        await asyncio.gather(resetting, return_exceptions=True)


@pytest.fixture(scope="module")
async def swarm(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Swarm]:
    """Both are servers of Seaway's, which makes a Swarm of them."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("swarm")) as servers:
            await seaway.start()
            manager, worker = [await asyncio.to_thread(servers.add, name) for name in ("manager", "worker")]
            await load_images([manager, worker], base_images.python)
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
    if (await swarm.seaway.api.get(f"/applications/{application.uuid}")).status_code != 404:
        await application.delete(limit_seconds=120)


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


async def test_seaway_forms_the_swarm_and_says_so(swarm: Swarm) -> None:
    told = await swarm.seaway.ask("GET", f"/servers/{swarm.manager_id}/swarm")
    assert [(node["role"], node["state"], node["server_uuid"]) for node in told["nodes"]] == [
        ("manager", "ready", swarm.manager_id),
        ("worker", "ready", swarm.worker_id),
    ]
    said = {
        server_id: [step["message"] for step in await swarm.seaway.ask("GET", f"/servers/{server_id}/steps")]
        for server_id in (swarm.manager_id, swarm.worker_id)
    }
    assert any("manager of a Swarm, which it has begun" in one for one in said[swarm.manager_id]), said
    joined = f"worker of a Swarm, that of {swarm.manager.name}, which it has joined"
    assert any(joined in one for one in said[swarm.worker_id]), said
    # A second look leaves what is.
    await swarm.seaway.ask("POST", f"/servers/{swarm.worker_id}/validate")
    await until_usable(swarm.seaway, swarm.worker_id)
    again = await swarm.seaway.ask("GET", f"/servers/{swarm.manager_id}/swarm")
    assert [node["id"] for node in again["nodes"]] == [node["id"] for node in told["nodes"]]


async def test_files_and_commands_reach_replicas_on_every_node(
    swarm: Swarm, service: Application, git_repository: GitRepository
) -> None:
    seaway = swarm.seaway
    await service.mount(type="file", mount_path="/etc/shop/settings.toml", content="colour = 'green'\n")
    await service.deploy(force=True)
    assert await swarm.nodes_of(service.uuid) == {swarm.manager.name, swarm.worker.name}
    look = ("sh", "-c", "hostname; cat /etc/shop/settings.toml")
    hosts = set()
    for number in range(1, REPLICAS + 1):
        shown = await seaway.command("exec", service.name, "--replica", str(number), "--", *look)
        assert shown.exit_code == 0, shown.errors
        host, colour = shown.output.splitlines()
        assert colour == "colour = 'green'"
        hosts.add(host)
    assert len(hosts) == REPLICAS, "each number is a replica of its own"
    there = await seaway.command("exec", service.name, "--server", swarm.worker.name, "--", *look)
    assert there.exit_code == 0, there.errors
    of_worker = await ask_of(swarm.worker, "docker", "ps", "--format", "{{.ID}}")
    assert there.output.split()[0] in of_worker.split()
    absent = await seaway.command("exec", service.name, "--replica", "9", "--", "true")
    assert absent.exit_code != 0
    assert "no running replica 9" in absent.errors

    beside = await seaway.command("run", service.name, "--", "python3", "-c", BESIDE.format(service.name))
    assert (beside.exit_code, beside.output.splitlines()) == (0, ["colour = 'green'", "v1"]), beside.errors

    first = await service.deploy(force=True)
    storages = (await seaway.ask("GET", f"/applications/{service.uuid}/storages"))["file_storages"]
    await seaway.ask("DELETE", f"/applications/{service.uuid}/storages/{storages[0]['uuid']}")
    await service.mount(type="file", mount_path="/etc/shop/settings.toml", content="colour = 'blue'\n")
    await service.deploy(force=True)
    shown = await seaway.command("exec", service.name, "--", *look)
    assert shown.output.splitlines()[1] == "colour = 'blue'", shown
    assert len(await swarm.files()) == 1, "no file of before is left"
    await service.operate("rollback", deployment_uuid=first["uuid"])
    shown = await seaway.command("exec", service.name, "--", *look)
    assert shown.output.splitlines()[1] == "colour = 'green'", shown


async def test_what_replicas_use_and_that_one_died_is_told_of_every_node(
    swarm: Swarm, service: Application
) -> None:
    async def measured() -> bool:
        shown = await swarm.seaway.ask("GET", f"/applications/{service.uuid}/metrics")
        with_points = [one for one in shown["replicas"] if one["points"]]
        places = {one["server_uuid"] for one in with_points}
        return len(with_points) == REPLICAS and places == {swarm.manager_id, swarm.worker_id}

    await eventually(measured, 60, 0.5, lambda: "measurements of all replicas on both nodes")
    look = ("docker", "ps", "-q", "--filter", f"label=seaway.task-of={service.uuid}")
    victim = (await ask_of(swarm.worker, *look)).split()[0]
    name = (await ask_of(swarm.worker, "docker", "inspect", "-f", "{{.Name}}", victim)).removeprefix("/")
    await ask_of(swarm.worker, "docker", "kill", victim)

    async def deaths() -> list[str]:
        events = await swarm.seaway.ask("GET", f"/servers/{swarm.worker_id}/events")
        return [event["message"] for event in events if event["kind"] == "container_died"]

    async def told() -> bool:
        return await deaths() == [f"The replica {name} died with exit code 137."]

    await eventually(told, 30, 0.5, lambda: "the death of a task, as that of a replica")

    async def healed() -> bool:
        shown = await swarm.seaway.ask("GET", f"/applications/{service.uuid}")
        return shown["status"].startswith("running")

    await eventually(healed, 60, 0.5, lambda: "a new task in its place")
    await service.deploy(force=True)
    assert len(await deaths()) == 1, "tasks that a release ends have not died"


async def test_what_is_cancelled_restarted_and_deleted_leaves_nothing(
    swarm: Swarm, service: Application, git_repository: GitRepository
) -> None:
    (before,) = await swarm.services()
    ids = await swarm.tasks(service.uuid)
    load = LoadGenerator(
        f"http://{service.host}",
        address=(swarm.manager.host, 80),
        rate_per_second=10,
        slow_every_seconds=0.0,
        websockets=0,
    )
    async with load:
        await service.set_variables(HEALTH_HANG="1")
        git_repository.release("v2")
        deployment = await service.start_deploy()

        async def is_probed() -> bool:
            steps = statuses(await service.shown(deployment))
            return steps.get("health") == "running" and len(await swarm.services()) == 2

        await eventually(is_probed, 60, 0.2, lambda: "replicas that are being probed")
        await swarm.seaway.ask("POST", f"/deployments/{deployment}/cancel")
        ended = await service.ended(deployment, 60)
        assert ended["outcome"] == "cancelled-by-user"
        assert await swarm.services() == [before]
        assert await swarm.tasks(service.uuid) == ids
        await service.set_variables(HEALTH_HANG="")
        await service.operate("restart")
        assert await version_at(swarm.manager, service.host) == "v1"
        assert ids.isdisjoint(await swarm.tasks(service.uuid))
    load.report().assert_no_failures(5)
    await service.mount(type="file", mount_path="/etc/shop/note", content="x")
    await service.deploy(force=True)
    assert len(await swarm.files()) == 1
    await service.delete(limit_seconds=120)
    assert await swarm.services() == []
    assert await swarm.files() == []
    assert await swarm.left_of(service.uuid) == []


async def test_scaling_logs_and_commands_reach_all_nodes(swarm: Swarm, service: Application) -> None:
    await service.change(post_deployment_command="echo in a replica on $(hostname)")
    shown = await service.deploy(force=True)
    await service.operate("scale", replicas=2)
    running = await swarm.seaway.ask("GET", f"/applications/{service.uuid}")
    assert running["status"].startswith("running"), running["status"]
    assert running["swarm_replicas"] == 2
    logs = await swarm.seaway.ask("GET", f"/applications/{service.uuid}/logs", params={"lines": 100})
    assert logs["logs"].count("listens on") == 2, logs
    await service.operate("scale", replicas=REPLICAS)
    assert len(await swarm.tasks(service.uuid)) == REPLICAS
    assert "in a replica on" in await service.log_of(shown["uuid"])

    await service.operate("stop")
    assert await swarm.services() == []
    assert await version_at(swarm.manager, service.host) == "status 404"
    await service.operate("start")
    assert await version_at(swarm.manager, service.host) == "v1"


async def test_commands_around_a_release_and_for_its_health_run_on_a_swarm(
    swarm: Swarm, service: Application
) -> None:
    before = await swarm.services()
    await service.change(
        pre_deployment_command="echo before $((40 + 2))",
        release_command="echo once $((50 + 3))",
        health_check_type="cmd",
        health_check_command="test -e /tmp/absent",
        health_check_retries=2,
    )
    failed = await service.fail(120, force=True)
    assert failed["error"]["code"] == "release_unhealthy", failed
    assert await swarm.services() == before
    await service.change(health_check_command="test -e /tmp")
    shown = await service.deploy(force=True)
    log = await service.log_of(shown["uuid"])
    assert "before 42" in log
    assert "once 53" in log
    health = next(step for step in shown["steps"] if step["name"] == "health")
    assert health["message"] == "the health command ended with 0"
    assert await version_at(swarm.manager, service.host) == "v1"


async def test_replicas_run_where_the_constraints_say_and_move_when_a_release_changes_them(
    swarm: Swarm, service: Application, git_repository: GitRepository
) -> None:
    label = ("docker", "node", "update", "--label-add", "disk=ssd", swarm.manager.name)
    await ask_of(swarm.manager, *label)
    steady = visitors(swarm, service)
    async with steady:
        await service.change(swarm_placement_constraints="node.role==worker")
        git_repository.release("v2")
        on_worker = await service.deploy()
        assert await swarm.placed(service.uuid) == {swarm.worker.name: REPLICAS}
        await service.change(swarm_placement_constraints="node.labels.disk==ssd")
        git_repository.release("v3")
        await service.deploy()
        assert await swarm.placed(service.uuid) == {swarm.manager.name: REPLICAS}
        # A rollback takes the constraints of then, and one of nothing lifts them.
        await service.operate("rollback", deployment_uuid=on_worker["uuid"])
        assert await swarm.placed(service.uuid) == {swarm.worker.name: REPLICAS}
        await service.change(swarm_placement_constraints="")
        await service.deploy(force=True)
        assert set(await swarm.placed(service.uuid)) == {swarm.manager.name, swarm.worker.name}
    steady.report().assert_no_failures(50)


async def test_a_release_outlives_what_happens_to_the_link_of_a_worker(
    swarm: Swarm, service: Application, git_repository: GitRepository
) -> None:
    steady = visitors(swarm, service)
    async with steady:
        # Resets, again and again, while the image is sent there and everything else is done.
        git_repository.release("v2")
        deployment = await service.start_deploy()
        async with resets(swarm.worker):
            await service.finished(deployment)
        assert await version_at(swarm.manager, service.host) == "v2"
        assert await swarm.tasks(service.uuid)

        # Silence: the node takes no image, so its replicas run where there is one, and the step says so.
        git_repository.release("v3")
        with contextlib.ExitStack() as silence:
            for rule in SSH_PACKETS:
                await asyncio.to_thread(silence.enter_context, swarm.worker.dropping(*rule))
            shown = await service.deploy()
            assert await version_at(swarm.manager, service.host) == "v3"
            assert await swarm.placed(service.uuid) == {swarm.manager.name: REPLICAS}
            [sent] = [step for step in shown["steps"] if step["name"] == "distribute"]
            assert f"without {swarm.worker.name}" in sent["message"], sent
        await until_usable(swarm.seaway, swarm.worker_id)
        await service.deploy(force=True)
        assert set(await swarm.placed(service.uuid)) == {swarm.manager.name, swarm.worker.name}
    steady.report().assert_no_failures(50)


async def test_what_a_swarm_cannot_do_is_refused_in_words(swarm: Swarm, service: Application) -> None:
    seaway = swarm.seaway
    answer = await seaway.api.patch(f"/applications/{service.uuid}", json={"limits_cpuset": "0"})
    assert answer.status_code == 422, answer.text
    assert "limits_cpuset" in answer.json()["errors"]
    answer = await seaway.api.patch(f"/applications/{service.uuid}", json={"server_uuids": [swarm.worker_id]})
    assert "Choose the manager" in answer.text
    await service.change(swarm_placement_constraints="node.labels.disk==tape")
    failed = await service.fail(60)
    assert "node.labels.disk==tape" in failed["error"]["message"]
    assert await version_at(swarm.manager, service.host) == "v1"


async def test_a_node_that_dies_is_told_of_and_its_replicas_move(
    swarm: Swarm, service: Application, record_property: Callable[[str, object], None]
) -> None:
    told = await swarm.seaway.ask("GET", f"/servers/{swarm.manager_id}/swarm")
    assert [(node["role"], node["state"]) for node in told["nodes"]] == [
        ("manager", "ready"),
        ("worker", "ready"),
    ]
    assert {node["server_uuid"] for node in told["nodes"]} == {swarm.manager_id, swarm.worker_id}
    seen: set[str] = set()

    async def moved() -> bool:
        shown = await swarm.seaway.ask("GET", f"/applications/{service.uuid}")
        seen.add(shown["status"])
        nodes = (await swarm.seaway.ask("GET", f"/servers/{swarm.manager_id}/swarm"))["nodes"]
        return [node["state"] for node in nodes] == ["ready", "down"] and len(await tasks()) == REPLICAS

    async def tasks() -> list[str]:
        look = ("docker", "ps", "-q", "--filter", f"label=seaway.task-of={service.uuid}")
        return (await ask_of(swarm.manager, *look)).split()

    load = LoadGenerator(
        f"http://{service.host}",
        address=(swarm.manager.host, 80),
        rate_per_second=20,
        slow_every_seconds=0,
        websockets=0,
    )
    async with load:
        await eventually(lambda: load.succeeded >= 40, 60, describe="a load that runs")
        await asyncio.to_thread(swarm.worker.kill)
        await eventually(moved, 120, 0.5, lambda: f"all replicas on the manager; the status was {seen}")
        moved_at, before = now(), load.succeeded
        await eventually(lambda: load.succeeded >= before + 100, 60, describe="visitors who go on")
    report = load.report()
    record_property("report", report.summary())
    # Until the Swarm itself knows that the node is gone, it sends visitors there too.
    assert [one for one in report.failures if one.started_at > moved_at] == [], report.summary()
    assert await version_at(swarm.manager, service.host) == "v1"
    await asyncio.to_thread(swarm.worker.start)
