"""SIGKILL to the worker while a release reaches three servers, of which one may fail by itself.

All or nothing: the worker's death changes nothing about it. Where two servers are enough (`min_available`), a
release without the third one ends as it would have: two have v2, the third one keeps v1 and its visitors.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from activities import signatures as s
from domain.configuration import HealthCheck
from domain.deployments import DeploymentStatus, StepName, StepStatus
from domain.replicas import replica_name
from tests.faults.kill_cases import HOOKS, RUNTIME
from tests.faults.remote_release import RemoteRelease, RemoteRemains, RemoteServer, provisioned
from tests.harness.images import PYTHON, BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Fault, Moment
from tests.harness.ssh_servers import SshServers
from tests.harness.temporal import TemporalServer

COUNT = 3
ENOUGH = 2
FIRST, SECOND, THIRD = range(COUNT)
FEWEST_REQUESTS = 60
LIMIT_SECONDS = 240.0
TITLE = "Worker killed on three servers: kill point, outcome"
HEALTH = HealthCheck(path="/health", retries=3, interval_seconds=0.2, timeout_seconds=1)
NO_PROBE = ("OUTPUT", "-p", "tcp", "--dport", "3000", "--syn")
"""Seaway asks a new replica over SSH, and nothing comes of it; the proxy beside the replica can."""

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]


@dataclass(frozen=True, eq=False)
class ThreeCase:
    """A release of v2 over v1 by three servers; the worker dies in the step on the server of this number."""

    fault: Fault
    server: int
    third_fails: bool = False
    partial: bool = False

    def __str__(self) -> str:
        """For the names of tests and the table."""
        place = ("first", "second", "third")[self.server]
        fails = ", the third fails" if self.third_fails else ""
        return f"{self.fault.label} on the {place}{fails}{', two are enough' if self.partial else ''}"


def _partial(fault: Fault, server: int) -> ThreeCase:
    return ThreeCase(fault, server, third_fails=True, partial=True)


CASES = (
    ThreeCase(Fault(s.DISTRIBUTE_IMAGE.name, Moment.DONE), THIRD),
    ThreeCase(Fault(s.CHECK_HEALTH.name, Moment.BEGUN), SECOND),
    ThreeCase(Fault(s.APPLY_ROUTES.name, Moment.DONE), THIRD),
    ThreeCase(Fault(s.RETIRE_REPLICAS.name, Moment.BEGUN), SECOND),
    ThreeCase(Fault(s.RETIRE_REPLICAS.name, Moment.DONE, undo=True), FIRST, third_fails=True),
    _partial(Fault(s.CHECK_HEALTH.name, Moment.MIDDLE, seconds=0.3), THIRD),
    _partial(Fault(s.RETIRE_REPLICAS.name, Moment.BEGUN, undo=True), THIRD),
    _partial(Fault(s.RETIRE_REPLICAS.name, Moment.DONE, undo=True), THIRD),
    _partial(Fault(s.APPLY_ROUTES.name, Moment.DONE), FIRST),
    _partial(Fault(s.RETIRE_REPLICAS.name, Moment.DONE), SECOND),
)


@pytest.fixture(scope="module")
async def distant(
    tmp_path_factory: pytest.TempPathFactory,
    temporal_server: TemporalServer,
    engine: docker.DockerClient,
    base_images: BaseImages,
) -> AsyncIterator[SeawayInstallation]:
    """A Seaway of its own."""
    installation = SeawayInstallation(tmp_path_factory.mktemp("distant"), temporal_server, engine)
    try:
        await installation.open()
        yield installation
    finally:
        await installation.close()


@pytest.fixture(scope="module")
async def three(
    distant: SeawayInstallation, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[RemoteServer]]:
    """Usable servers."""
    with SshServers(engine, tmp_path_factory.mktemp("servers")) as servers:
        worker = await distant.worker("three")
        machines = [await asyncio.to_thread(servers.add) for _ in range(COUNT)]
        for machine in machines:
            await asyncio.to_thread(machine.load, PYTHON)
        yield [await provisioned(distant, machine, worker) for machine in machines]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_another_worker_carries_on_on_three_servers(
    case: ThreeCase,
    distant: SeawayInstallation,
    three: list[RemoteServer],
    tmp_path: Path,
    tables: dict[str, list[str]],
) -> None:
    scenario = await RemoteRelease.on(three, distant, tmp_path, worker="three", runtime=RUNTIME)
    worker = scenario.application.worker
    loads = scenario.loads()
    try:
        async with contextlib.AsyncExitStack() as stack:
            for load in loads:
                await stack.enter_async_context(load)
            if case.third_fails:
                await asyncio.to_thread(stack.enter_context, three[THIRD].machine.dropping(*NO_PROBE))
            worker.plan(dataclasses.replace(case.fault, server=three[case.server].row.name))
            await scenario.deploy_second(
                hooks=HOOKS, health=HEALTH, min_available=ENOUGH if case.partial else None
            )
            await worker.died()
            killed = time.monotonic()
            worker.launch()
            deployment = await distant.wait_final(scenario.second, LIMIT_SECONDS)
            seconds = time.monotonic() - killed
        reports = [load.report() for load in loads]
        if case.partial:
            await assert_released_without_the_third(scenario)
        elif case.third_fails:
            await scenario.assert_undone(DeploymentStatus.FAILED, "release_unhealthy")
        else:
            await scenario.assert_finished()
        assert await scenario.read("/data/released") == ["v2"]
        for report in reports:
            report.assert_no_failures(FEWEST_REQUESTS)
        tables.setdefault(TITLE, []).append(
            f"{case!s:75} {deployment.status:10} {seconds:5.1f} s after the kill, "
            f"{sum(report.succeeded for report in reports)} requests, 0 failed"
        )
    finally:
        worker.release()
        await scenario.remove()


async def assert_released_without_the_third(scenario: RemoteRelease) -> None:
    """Two servers have v2 alone, the third one has v1 alone, and the deployment says why."""
    store, application = scenario.seaway.store, scenario.application.id
    third = scenario.servers[THIRD]
    deployment = await store.deployments.get(scenario.second)
    assert deployment.status == DeploymentStatus.FINISHED, await scenario.describe()
    assert deployment.note.startswith(f"Released without {third.row.name} ("), deployment.note
    first = await store.deployments.get(scenario.first)
    for one in scenario.servers:
        serves = scenario.first if one is third else scenario.second
        name = replica_name(application, serves, 1)
        images = {first.image} if one is third else {first.image, deployment.image}
        expected = RemoteRemains({name: "running"}, images, {f"http://{name}:3000"})
        assert await asyncio.to_thread(one.remains, application) == expected, await scenario.describe()
    failed = {
        (step.name, step.server) for step in await scenario.all_steps() if step.status is StepStatus.FAILED
    }
    assert failed == {(StepName.HEALTH, third.row.name)}, await scenario.describe()
