"""SIGKILL to the worker while a release reaches several servers over SSH and moves to another edge.

As in `test_worker_killed`: another worker carries on, nothing happens twice, nothing is left behind, and no
visitor of any server notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import docker
import pytest

from activities import signatures as s
from activities.edges import edge_name
from adapters.traefik.settings import EDGE_PORT_INSIDE
from domain.configuration import Hooks
from domain.deployments import DeploymentStatus
from tests.faults.kill_cases import HOOKS, MOMENTS, RUNTIME
from tests.faults.remote_release import RemoteRelease, RemoteServer, behind, provisioned
from tests.harness.images import PYTHON, BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Fault, Moment
from tests.harness.side_by_side import SideBySide, selected
from tests.harness.ssh_servers import SshServers
from tests.harness.temporal import TemporalServer

LANES = 2
SERVERS_OF_A_LANE = 2
FEWEST_REQUESTS = 60
LIMIT_SECONDS = 240.0
TITLE = "Worker killed on servers over SSH: kill point, outcome"
FAILING = HOOKS.model_copy(update={"post_deploy": "echo this fails; exit 7"})

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]


@dataclass(frozen=True, eq=False)
class ServerCase:
    """A release of v2 over v1 by two servers, of which the first was the edge and the second shall be.

    The worker dies in the step on the server of this number.
    """

    fault: Fault
    server: int = 1
    ends: DeploymentStatus = DeploymentStatus.FINISHED
    hooks: Hooks = HOOKS
    ballast_megabytes: int = 0

    def __str__(self) -> str:
        """For the names of tests and the table."""
        place = ("the old edge", "the second server, the new edge")[self.server]
        return f"{self.fault.label} on {place}"


def _undone(moment: Moment) -> ServerCase:
    fault = Fault(s.APPLY_EDGE.name, moment, undo=True)
    return ServerCase(fault, ends=DeploymentStatus.FAILED, hooks=FAILING)


CASES = (
    *(ServerCase(Fault(s.DISTRIBUTE_IMAGE.name, moment)) for moment in MOMENTS),
    ServerCase(Fault(s.DISTRIBUTE_IMAGE.name, Moment.MIDDLE, seconds=0.3), ballast_megabytes=120),
    *(ServerCase(Fault(s.APPLY_EDGE.name, moment)) for moment in MOMENTS),
    *(ServerCase(Fault(s.APPLY_EDGE.name, moment), server=0) for moment in MOMENTS),
    *(_undone(moment) for moment in MOMENTS),
)


@dataclass(frozen=True)
class Outcome:
    """How a case went."""

    status: str
    seconds_after_kill: float
    seconds: float
    events: int
    requests: int
    failed: int


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
async def lanes(
    request: pytest.FixtureRequest,
    distant: SeawayInstallation,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[list[RemoteServer]]]:
    """Usable servers for each lane."""
    cases = selected(request.session, test_another_worker_carries_on_on_servers.__name__, CASES)
    with SshServers(engine, tmp_path_factory.mktemp("servers")) as servers:
        made = []
        for lane in range(min(LANES, len(cases))):
            worker = await distant.worker(f"lane-{lane}")
            machines = [await asyncio.to_thread(servers.add) for _ in range(SERVERS_OF_A_LANE)]
            for machine in machines:
                await asyncio.to_thread(machine.load, PYTHON)
            made.append([await provisioned(distant, machine, worker) for machine in machines])
        yield made


async def kill_once(case: ServerCase, scenario: RemoteRelease) -> Outcome:
    """Releases v2, kills the worker, starts another one at once, and looks at everything afterwards."""
    seaway, worker = scenario.seaway, scenario.application.worker
    if case.ballast_megabytes:
        await scenario.make_heavy(case.ballast_megabytes)
    loads = scenario.loads()
    async with contextlib.AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load)
        worker.plan(dataclasses.replace(case.fault, server=scenario.servers[case.server].row.name))
        began = time.monotonic()
        await scenario.deploy_second(
            hooks=case.hooks,
            routing=behind(scenario.application, scenario.servers[1]),
        )
        await worker.died()
        killed = time.monotonic()
        worker.launch()
        deployment = await seaway.wait_final(scenario.second, LIMIT_SECONDS)
        ended = time.monotonic()
    reports = [load.report() for load in loads]
    if case.ends is DeploymentStatus.FINISHED:
        await scenario.assert_finished()
        assert await scenario.read("/app/builds") == ["v1", "v2"]
        assert_edge_is(scenario, 1)
    else:
        await scenario.assert_undone(case.ends, "command_failed")
        assert_edge_is(scenario, 0)
    assert await scenario.read("/data/released") == ["v2"]
    await scenario.assert_build_log_whole()
    for report in reports:
        report.assert_no_failures(FEWEST_REQUESTS)
    return Outcome(
        deployment.status,
        ended - killed,
        ended - began,
        await seaway.events(scenario.second),
        sum(report.succeeded for report in reports),
        sum(report.failed for report in reports),
    )


def assert_edge_is(scenario: RemoteRelease, number: int) -> None:
    """That server and no other spreads visitors, and over both."""
    application, edge = scenario.application.id, scenario.servers[number]
    other = scenario.servers[1 - number]
    own, spreading = f"{application}.yml", f"{edge_name(application)}.yml"
    assert edge.route_files(application) == {own, spreading}
    assert other.route_files(application) == {own}
    port = scenario.seaway.settings.edge_port
    assert edge.upstreams(edge_name(application)) == {
        f"http://127.0.0.1:{EDGE_PORT_INSIDE}",
        f"http://{other.machine.host}:{port}",
    }


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest,
    distant: SeawayInstallation,
    lanes: list[list[RemoteServer]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SideBySide[ServerCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: ServerCase, lane: int) -> Outcome:
        scenario = await RemoteRelease.on(
            lanes[lane],
            distant,
            tmp_path_factory.mktemp("killed"),
            worker=f"lane-{lane}",
            runtime=RUNTIME,
            edge=lanes[lane][0],
        )
        try:
            return await kill_once(case, scenario)
        finally:
            scenario.application.worker.release()
            await scenario.remove()

    cases = selected(request.session, test_another_worker_carries_on_on_servers.__name__, CASES)
    runs = SideBySide(cases, run, lanes=len(lanes))
    yield runs
    await runs.end()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_another_worker_carries_on_on_servers(
    case: ServerCase, outcomes: SideBySide[ServerCase, Outcome], tables: dict[str, list[str]]
) -> None:
    lines = tables.setdefault(TITLE, [])
    try:
        outcome = await outcomes.outcome(case)
    except BaseException as error:
        lines.append(f"{case!s:75} {type(error).__name__}")
        raise
    lines.append(
        f"{case!s:75} {outcome.status:10} {outcome.seconds_after_kill:5.1f} s after the kill, "
        f"{outcome.seconds:5.1f} s in all, {outcome.events:3} events, "
        f"{outcome.requests} requests, {outcome.failed} failed"
    )
    assert outcome.status == case.ends
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)
