"""Applications on servers over SSH, by the whole of Seaway: provisioned, released to, and lost."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import docker
import pytest

from tests.e2e.applications import Application, brief, create
from tests.e2e.installation import Installation, installed
from tests.e2e.remote import add_key, add_server, load_images, until_usable, version_at
from tests.harness.images import PYTHON, BaseImages
from tests.harness.load import LoadGenerator
from tests.harness.private_registry import PrivateRegistry
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers
from tests.harness.waiting import eventually

# The first run on a machine makes the servers' images.
pytestmark = pytest.mark.timeout(1200)
COUNT = 3
LINES = 20
# The first build stands still until it is ended; what it keeps in a cache mount outlives it.
STANDS_STILL_ONCE = f"""\
FROM {PYTHON}
WORKDIR /app
CMD ["python3", "app.py"]
EXPOSE 3000
COPY app.py VERSION ./
RUN --mount=type=cache,id=NAME,target=/kept \\
    for number in $(seq -w 1 {LINES}); do \\
        echo "line $number"; \\
        [ $number != 05 ] || [ -e /kept/tried ] || {{ touch /kept/tried; sleep 60; }}; \\
    done
"""
# A server that is cut off is noticed, and passed over, within seconds.
IMPATIENT = {"SEAWAY_SERVER_CHECK_SECONDS": "3", "SEAWAY_LOST_SERVER_SECONDS": "5"}


@dataclass
class Fleet:
    """A Seaway, and machines with what it calls them."""

    seaway: Installation
    machines: list[SshServer]
    ids: list[str]
    private_key: str

    async def versions(self, host: str) -> list[str]:
        """What visitors get from each server."""
        return list(await asyncio.gather(*[version_at(one, host) for one in self.machines]))

    async def replicas(self, application: str) -> list[list[str]]:
        """The application's containers on each server, running or not."""
        look = ("docker", "ps", "-aq", "--filter", f"label=seaway.application={application}")
        answers = await asyncio.gather(*[asyncio.to_thread(one.run, *look) for one in self.machines])
        return [output.split() for _, output in answers]


@pytest.fixture(scope="module")
async def fleet(
    engine: docker.DockerClient, base_images: BaseImages, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """Three usable servers; the last one is used as a member of the group docker, not as root."""
    async with installed(tmp_path_factory.mktemp("seaway"), engine, **IMPATIENT) as seaway:
        with SshServers(engine, tmp_path_factory.mktemp("fleet")) as servers:
            await seaway.start()
            machines = [await asyncio.to_thread(servers.add) for _ in range(COUNT)]
            await load_images(machines, base_images.python)
            key = await add_key(seaway, servers.private_key)
            adding = [
                add_server(seaway, machine, key, user=user)
                for machine, user in zip(machines, ["root", "root", "deployer"], strict=True)
            ]
            yield Fleet(seaway, machines, list(await asyncio.gather(*adding)), servers.private_key)


@pytest.fixture
async def everywhere(fleet: Fleet, git_repository: GitRepository) -> Application:
    """An application whose `v1` serves on all servers."""
    application = await create(
        fleet.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=fleet.ids[0],
        server_uuids=fleet.ids,
        drain_seconds=20,
        health_check_interval=1,
        health_check_timeout=2,
    )
    await application.deploy()
    assert await fleet.versions(application.host) == ["v1"] * COUNT
    return application


async def test_a_release_on_three_servers_is_noticed_by_no_visitor(
    fleet: Fleet, everywhere: Application, git_repository: GitRepository
) -> None:
    loads = [
        LoadGenerator(f"http://{everywhere.host}", address=(one.host, 80), rate_per_second=10)
        for one in fleet.machines
    ]
    listed = await fleet.seaway.ask("GET", f"/deployments/applications/{everywhere.uuid}")
    [first] = listed["deployments"]
    git_repository.release("v2")
    async with AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load)
        shown = await everywhere.deploy()
        await eventually(seen_by(loads, "v2"), 20, describe="visitors of v2 on every server")
    for load in loads:
        load.report().assert_no_failures(20)
    assert await fleet.versions(everywhere.host) == ["v2"] * COUNT
    on = {name: [step["server"] for step in shown["steps"] if step["name"] == name] for name in STEPS}
    assert [len(on[name]) for name in STEPS] == [1, COUNT, COUNT, COUNT]
    assert [len(one) for one in await fleet.replicas(everywhere.uuid)] == [1] * COUNT

    await everywhere.operate("rollback", deployment_uuid=first["deployment_uuid"])
    assert await fleet.versions(everywhere.host) == ["v1"] * COUNT


async def test_what_is_unhealthy_on_one_server_leaves_the_old_version_on_all(
    fleet: Fleet, everywhere: Application, git_repository: GitRepository
) -> None:
    await everywhere.change(health_check_timeout=1, health_check_interval=1, health_check_retries=3)
    git_repository.release("v2")
    second = fleet.machines[1]
    before = await fleet.replicas(everywhere.uuid)
    with second.dropping("OUTPUT", "-p", "tcp", "--dport", "3000", "--syn"):
        failed = await everywhere.fail(120)
    assert failed["error"]["code"] == "release_unhealthy"
    assert await fleet.versions(everywhere.host) == ["v1"] * COUNT
    assert await fleet.replicas(everywhere.uuid) == before
    switched = {step["server"]: step["status"] for step in failed["steps"] if step["name"] == "switch"}
    assert set(switched.values()) == {"pending"}


async def test_an_application_that_moves_leaves_nothing_where_it_was(
    fleet: Fleet, everywhere: Application
) -> None:
    await everywhere.change(server_uuids=fleet.ids[1:2])
    await everywhere.operate("restart")
    assert [bool(one) for one in await fleet.replicas(everywhere.uuid)] == [False, True, False]
    assert await fleet.versions(everywhere.host) == ["status 404", "v1", "status 404"]


async def test_a_link_that_breaks_in_the_middle_of_a_build_costs_a_second_try_and_no_line(
    fleet: Fleet, git_repository: GitRepository
) -> None:
    git_repository.commit({"Dockerfile": STANDS_STILL_ONCE.replace("NAME", secrets.token_hex(8))})
    application = await create(
        fleet.seaway,
        git_repository=git_repository.url,
        git_branch="main",
        server_uuid=fleet.ids[0],
        health_check_interval=1,
    )
    deployment = await application.start_deploy()

    async def is_being_built() -> bool:
        return "line 05" in await application.log_of(deployment)

    await eventually(is_being_built, 60, describe="a line in the middle of the build")
    await asyncio.to_thread(fleet.machines[0].reset_links)
    shown = await application.ended(deployment, 120)
    assert shown["outcome"] == "finished", brief(shown)
    assert [step["attempt"] > 1 for step in shown["steps"] if step["name"] == "build"] == [True]
    lines = re.findall(r"line \d\d$", await application.log_of(deployment), re.MULTILINE)
    assert lines == [f"line {number:02}" for number in range(1, LINES + 1)]
    assert await version_at(fleet.machines[0], application.host) == "v1"


@pytest.fixture
async def registry(fleet: Fleet, tmp_path: Path) -> AsyncIterator[PrivateRegistry]:
    """A registry that every server reaches by one name: that of the loopback, from where it is led here."""
    async with (
        PrivateRegistry(tmp_path / "registry", "robot", secrets.token_hex(8)) as one,
        AsyncExitStack() as stack,
    ):
        port = int(one.host.rpartition(":")[2])
        key = asyncssh.import_private_key(fleet.private_key)
        for machine in fleet.machines:
            connection = await stack.enter_async_context(
                asyncssh.connect(
                    machine.host, username="root", client_keys=[key], known_hosts=None, config=None
                )
            )
            await connection.forward_remote_port("127.0.0.1", port, "127.0.0.1", port)
        yield one


@pytest.mark.drill
async def test_servers_pull_what_one_of_them_pushed(
    fleet: Fleet, everywhere: Application, git_repository: GitRepository, registry: PrivateRegistry
) -> None:
    login = {"host": registry.host, "username": registry.username, "password": "wrong"}
    uuid = (await fleet.seaway.ask("POST", "/registries", json=login))["uuid"]
    await everywhere.change(docker_registry_image_name=f"{registry.host}/team/shop")
    git_repository.release("v2")
    refused = await everywhere.fail(90)
    assert refused["error"]["code"] == "registry_refused"
    assert await fleet.versions(everywhere.host) == ["v1"] * COUNT
    await fleet.seaway.ask("PATCH", f"/registries/{uuid}", json={"password": registry.password})
    shown = await everywhere.ended(await everywhere.start_deploy(), 240)
    assert shown["outcome"] == "finished", shown["error"]
    messages = [step["message"] for step in shown["steps"] if step["name"] == "distribute"]
    assert sorted(messages) == [
        *["This server has the image."],
        *[f"from {registry.host}/team/shop"] * (COUNT - 1),
    ]
    assert await fleet.versions(everywhere.host) == ["v2"] * COUNT
    held = [await asyncio.to_thread(one.run, "docker", "images", "--digests") for one in fleet.machines]
    assert not [output for _, output in held if registry.host in output]


@pytest.mark.drill
async def test_a_server_lost_during_a_release_is_passed_over_and_settled_when_it_is_back(
    fleet: Fleet, everywhere: Application, git_repository: GitRepository
) -> None:
    git_repository.release("v2")
    second = fleet.machines[1]
    deployment = await everywhere.start_deploy()
    await eventually(step_of(everywhere, deployment, "health"), 60, describe="the step health")
    second.cut()
    try:
        failed = await everywhere.ended(deployment, 240)
        assert failed["outcome"] == "failed", failed
        shown = await fleet.seaway.ask("GET", f"/applications/{everywhere.uuid}")
        assert shown["status"].startswith("unknown")
        others = [fleet.machines[0], fleet.machines[2]]
        assert [await version_at(one, everywhere.host) for one in others] == ["v1"] * 2
    finally:
        second.heal()

    async def one_replica_each() -> bool:
        return [len(one) for one in await fleet.replicas(everywhere.uuid)] == [1] * COUNT

    await eventually(one_replica_each, 90, describe="the end of what was left on the lost server")
    assert await fleet.versions(everywhere.host) == ["v1"] * COUNT


@pytest.mark.drill
async def test_a_release_goes_on_without_a_server_and_the_next_one_gets_there(
    fleet: Fleet, everywhere: Application, git_repository: GitRepository
) -> None:
    await everywhere.change(
        min_available=2, health_check_timeout=1, health_check_interval=1, health_check_retries=3
    )
    loads = [
        LoadGenerator(f"http://{everywhere.host}", address=(one.host, 80), rate_per_second=10)
        for one in fleet.machines
    ]
    second = fleet.machines[1]
    before = await fleet.replicas(everywhere.uuid)
    async with AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load)
        git_repository.release("v2")
        with second.dropping("OUTPUT", "-p", "tcp", "--dport", "3000", "--syn"):
            released = await everywhere.ended(await everywhere.start_deploy(), 180)
        assert released["outcome"] == "finished", brief(released)
        assert await fleet.versions(everywhere.host) == ["v2", "v1", "v2"]
        shown = await fleet.seaway.ask("GET", f"/applications/{everywhere.uuid}")
        git_repository.release("v3")
        await everywhere.deploy()
        await eventually(seen_by(loads, "v3"), 20, describe="visitors of v3 on every server")
    for load in loads:
        load.report().assert_no_failures(50)
    assert {one.version for one in loads[1].report().versions} == {"v1", "v3"}

    assert released["note"].startswith(f"Released without {second.name} (Replica ")
    health = {step["server"]: step["status"] for step in released["steps"] if step["name"] == "health"}
    assert [health[one.name] for one in fleet.machines] == ["succeeded", "failed", "succeeded"]
    assert [one["is_behind"] for one in shown["servers"]] == [False, True, False]
    assert (shown["status"].partition(":")[0], released["error"]) == ("running", None)
    assert await fleet.versions(everywhere.host) == ["v3"] * COUNT
    after = await fleet.replicas(everywhere.uuid)
    assert [len(one) for one in after] == [1] * COUNT
    assert after[1] != before[1]
    shown = await fleet.seaway.ask("GET", f"/applications/{everywhere.uuid}")
    assert [one["is_behind"] for one in shown["servers"]] == [False] * COUNT


@pytest.mark.drill
async def test_another_server_builds_while_the_first_one_is_away_and_it_comes_back_to_what_it_had(
    fleet: Fleet, everywhere: Application, git_repository: GitRepository
) -> None:
    await everywhere.change(min_available=2)
    git_repository.release("v2")
    first, *others = fleet.machines
    first.cut()
    try:
        released = await everywhere.ended(await everywhere.start_deploy(), 240)
        assert released["outcome"] == "finished", brief(released)
        assert [await version_at(one, everywhere.host) for one in others] == ["v2"] * 2
    finally:
        first.heal()
    built = [step["server"] for step in released["steps"] if step["name"] == "build"]
    assert built == [others[0].name]
    await until_usable(fleet.seaway, fleet.ids[0])
    assert await fleet.versions(everywhere.host) == ["v1", "v2", "v2"]

    await everywhere.operate("restart")
    assert await fleet.versions(everywhere.host) == ["v2"] * COUNT
    assert [len(one) for one in await fleet.replicas(everywhere.uuid)] == [1] * COUNT


STEPS = ("build", "distribute", "health", "switch")


def seen_by(loads: list[LoadGenerator], version: str) -> Callable[[], bool]:
    """Whether visitors of every server have seen the version."""
    return lambda: all(any(seen.version == version for seen in one.report().versions) for one in loads)


def step_of(application: Application, deployment: str, name: str) -> Callable[[], Any]:
    """Whether the step has begun anywhere."""

    async def look() -> bool:
        shown = await application.shown(deployment)
        return any(step["name"] == name and step["status"] == "running" for step in shown["steps"])

    return look
