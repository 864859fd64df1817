"""A worker killed, and a link cut, while a release goes to a Docker Swarm under load.

Another worker carries on, or the same one once the link is back: there is one service with the tasks that it
shall have, none of them replaced, no file of another version, and no visitor notices. Each lane has a Swarm
of its own, of one manager.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import docker
import pytest

from domain.deployments import DeploymentStatus, StepName
from tests.faults.kill_cases import KillCase
from tests.faults.link_cases import LinkCase
from tests.faults.remote_release import RemoteServer, provisioned
from tests.faults.swarm_release import KILL_CASES, LINK_CASES, SwarmRelease, on_swarm
from tests.harness.images import PYTHON, BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.load_report import LoadReport
from tests.harness.side_by_side import SideBySide, selected
from tests.harness.ssh_servers import SshServers
from tests.harness.temporal import TemporalServer

LANES = 2
FEWEST_REQUESTS = 60
LIMIT_SECONDS = 240.0
KILLED = "Worker killed during a release on a Swarm: kill point, outcome"
CUT = "Link to the manager of a Swarm cut: what and when, outcome"

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Outcome:
    """How a case went. `seconds` are from the fault to the end."""

    status: str
    seconds: float
    requests: int
    failed: int
    retried: str


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
async def managers(
    distant: SeawayInstallation,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[RemoteServer]]:
    """The manager of each lane's Swarm."""
    with SshServers(engine, tmp_path_factory.mktemp("servers")) as servers:
        made = []
        for lane in range(LANES):
            worker = await distant.worker(f"lane-{lane}")
            machine = await asyncio.to_thread(servers.add, "manager")
            await asyncio.to_thread(machine.load, PYTHON)
            # Where it knows a manager already, Seaway leaves a Swarm of its own for another one to its owner.
            begin = ("docker", "swarm", "init", "--advertise-addr", machine.host)
            code, output = await asyncio.to_thread(machine.run, *begin)
            assert code == 0, output
            made.append(await provisioned(distant, machine, worker, is_swarm_manager=True))
        yield made


async def kill_once(case: KillCase, scenario: SwarmRelease) -> Outcome:
    """Releases v2, kills the worker, starts another one at once, and looks at everything afterwards."""
    worker = scenario.application.worker
    await scenario.seaway.set_variables(scenario.application, case.variables)
    [load] = scenario.loads()
    async with load:
        worker.plan(case.fault)
        await scenario.deploy_second(
            hooks=case.hooks, health=case.health, runtime=on_swarm(case.after, scenario.manager, "v2")
        )
        await worker.died()
        began = time.monotonic()
        worker.launch()
        deployment = await scenario.seaway.wait_final(scenario.second, LIMIT_SECONDS)
        seconds = time.monotonic() - began
    await assert_as_if_nothing_had_been(case, scenario, load.report())
    return await outcome_of(scenario, deployment.status, seconds, load.report())


async def cut_once(case: LinkCase, scenario: SwarmRelease) -> Outcome:
    """Releases v2, cuts the link to the manager at that point, and looks at everything afterwards."""
    worker = scenario.application.worker
    await scenario.seaway.set_variables(scenario.application, case.variables)
    [load] = scenario.loads()
    async with load:
        worker.plan(case.fault)
        await scenario.deploy_second(
            hooks=case.hooks, health=case.health, runtime=on_swarm(case.runtime, scenario.manager, "v2")
        )
        await worker.holds()
        began = time.monotonic()
        async with scenario.manager.cut(case.cut):
            worker.release()
        deployment = await scenario.seaway.wait_final(scenario.second, LIMIT_SECONDS)
        seconds = time.monotonic() - began
    await assert_as_if_nothing_had_been(case, scenario, load.report())
    return await outcome_of(scenario, deployment.status, seconds, load.report())


async def assert_as_if_nothing_had_been(
    case: KillCase | LinkCase, scenario: SwarmRelease, report: LoadReport
) -> None:
    """The end that the release would have had, every command of it once, and no visitor noticed."""
    report.assert_no_failures(FEWEST_REQUESTS)
    assert {seen.version for seen in report.versions} <= {"v1", "v2", "slow v1", "slow v2"}, report.summary()
    if case.ends is DeploymentStatus.FINISHED:
        await scenario.assert_finished()
        assert await scenario.read("/app/builds") == ["v1", "v2"]
        assert await scenario.read("/etc/note") == ["noted for v2"]
    else:
        await scenario.assert_undone(case.ends, case.error_code)
        assert await scenario.read("/etc/note") == ["noted for v1"]
    assert await scenario.read("/data/released") == ["v2"]
    await scenario.assert_build_log_whole()
    log = await scenario.seaway.log(scenario.second, StepName.RELEASE_COMMAND)
    assert len([line for line in log if re.search("release begins", line)]) == 1, log


async def outcome_of(scenario: SwarmRelease, status: str, seconds: float, report: LoadReport) -> Outcome:
    """For the table."""
    retried = [f"{step.name}:{step.attempt}" for step in await scenario.all_steps() if step.attempt > 1]
    return Outcome(status, seconds, report.succeeded, report.failed, " ".join(retried))


@pytest.fixture(scope="module")
async def scenarios(
    distant: SeawayInstallation, managers: list[RemoteServer], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[KillCase | LinkCase, int], Awaitable[SwarmRelease]]:
    """v1 serves on the lane's Swarm as the case wants it."""

    async def start(case: KillCase | LinkCase, lane: int) -> SwarmRelease:
        runtime = case.before if isinstance(case, KillCase) else case.runtime
        worker = await distant.worker(f"lane-{lane}")
        scenario = await SwarmRelease.on(
            [managers[lane]],
            distant,
            tmp_path_factory.mktemp("swarm"),
            worker=worker.task_queue.removeprefix(f"{distant.instance}-"),
            runtime=on_swarm(runtime, managers[lane], "v1"),
        )
        assert isinstance(scenario, SwarmRelease)
        return scenario

    return start


@pytest.fixture(scope="module")
async def killed(
    request: pytest.FixtureRequest,
    scenarios: Callable[[KillCase, int], Awaitable[SwarmRelease]],
) -> AsyncIterator[SideBySide[KillCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: KillCase, lane: int) -> Outcome:
        scenario = await scenarios(case, lane)
        try:
            return await kill_once(case, scenario)
        finally:
            scenario.application.worker.release()
            await scenario.remove()

    cases = selected(request.session, test_another_worker_carries_on_on_a_swarm.__name__, KILL_CASES)
    runs = SideBySide(cases, run, lanes=LANES)
    yield runs
    await runs.end()


@pytest.fixture(scope="module")
async def cut_off(
    request: pytest.FixtureRequest,
    scenarios: Callable[[LinkCase, int], Awaitable[SwarmRelease]],
) -> AsyncIterator[SideBySide[LinkCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: LinkCase, lane: int) -> Outcome:
        scenario = await scenarios(case, lane)
        try:
            return await cut_once(case, scenario)
        finally:
            scenario.application.worker.release()
            await scenario.remove()

    name = test_a_release_outlives_a_cut_link_to_the_manager.__name__
    runs = SideBySide(selected(request.session, name, LINK_CASES), run, lanes=LANES)
    yield runs
    await runs.end()


async def told(outcome: Awaitable[Outcome], case: KillCase | LinkCase, lines: list[str]) -> Outcome:
    """The outcome, once it has a line in the table."""
    try:
        found = await outcome
    except BaseException as error:
        lines.append(f"{case!s:70} {type(error).__name__}")
        raise
    lines.append(
        f"{case!s:70} {found.status:9} {found.seconds:5.1f} s after the fault, {found.requests} requests, "
        f"{found.failed} failed; tries {found.retried or 'all 1'}"
    )
    return found


@pytest.mark.parametrize("case", KILL_CASES, ids=str)
async def test_another_worker_carries_on_on_a_swarm(
    case: KillCase, killed: SideBySide[KillCase, Outcome], tables: dict[str, list[str]]
) -> None:
    outcome = await told(killed.outcome(case), case, tables.setdefault(KILLED, []))
    assert outcome.status == case.ends
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)


@pytest.mark.parametrize("case", LINK_CASES, ids=str)
async def test_a_release_outlives_a_cut_link_to_the_manager(
    case: LinkCase, cut_off: SideBySide[LinkCase, Outcome], tables: dict[str, list[str]]
) -> None:
    outcome = await told(cut_off.outcome(case), case, tables.setdefault(CUT, []))
    assert outcome.status == case.ends
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)
