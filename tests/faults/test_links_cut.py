"""The link to a server cut in each step of a release, under load on the server itself.

The release waits, tries again, and ends as it would have ended: nothing happens twice, nothing is left
behind, no visitor notices. Silence takes a minute, so cases run side by side, each with servers of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import docker
import pytest

from domain.deployments import DeploymentStatus, StepName
from tests.faults.link_cases import CASES, LinkCase
from tests.faults.remote_release import RemoteRelease, RemoteServer, provisioned
from tests.harness.images import PYTHON, BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.load_report import LoadReport
from tests.harness.side_by_side import SideBySide, selected
from tests.harness.ssh_servers import SshServers
from tests.harness.temporal import TemporalServer

LANES = 3
SERVERS_OF_A_LANE = 2
FEWEST_REQUESTS = 30
LIMIT_SECONDS = 240.0
TITLE = "Link cut: what and when, outcome"

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Outcome:
    """How a case went."""

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
    """A Seaway that looks at its servers every few seconds, so that looks meet releases."""
    installation = SeawayInstallation(tmp_path_factory.mktemp("distant"), temporal_server, engine)
    installation.settings = installation.settings.model_copy(update={"server_check_seconds": 5})
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
    """Usable servers for each lane, in the order in which an application has them."""
    cases = selected(request.session, test_the_release_ends_as_if_nothing_had_been.__name__, CASES)
    with SshServers(engine, tmp_path_factory.mktemp("servers")) as servers:
        made = []
        for lane in range(min(LANES, len(cases))):
            worker = await distant.worker(f"lane-{lane}")
            machines = [await asyncio.to_thread(servers.add) for _ in range(SERVERS_OF_A_LANE)]
            for machine in machines:
                await asyncio.to_thread(machine.load, PYTHON)
            made.append([await provisioned(distant, machine, worker) for machine in machines])
        yield made


async def cut_once(case: LinkCase, scenario: RemoteRelease) -> Outcome:
    """Releases v2, cuts the link to the last server at that point, and looks at everything afterwards."""
    seaway, worker, victim = scenario.seaway, scenario.application.worker, scenario.servers[-1]
    await seaway.set_variables(scenario.application, case.variables)
    loads = scenario.loads()
    async with contextlib.AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load)
        worker.plan(dataclasses.replace(case.fault, server=victim.row.name))
        began = time.monotonic()
        await scenario.deploy_second(hooks=case.hooks, health=case.health, runtime=case.runtime)
        await worker.holds()
        async with victim.cut(case.cut):
            worker.release()
        deployment = await seaway.wait_final(scenario.second, LIMIT_SECONDS)
        seconds = time.monotonic() - began
    await assert_as_if_nothing_had_been(case, scenario, [load.report() for load in loads])
    retried = [f"{step.name}:{step.attempt}" for step in await scenario.all_steps() if step.attempt > 1]
    reports = [load.report() for load in loads]
    return Outcome(
        deployment.status,
        seconds,
        sum(report.succeeded for report in reports),
        sum(report.failed for report in reports),
        " ".join(retried),
    )


async def assert_as_if_nothing_had_been(
    case: LinkCase, scenario: RemoteRelease, reports: list[LoadReport]
) -> None:
    """The end that the release would have had, every line and command of it once, and no visitor noticed."""
    if case.ends is DeploymentStatus.FINISHED:
        await scenario.assert_finished()
        builds = await scenario.read("/app/builds")
        once = ["v1", "v2"]
        assert builds in ([once, [*once, "v2"]] if case.breaks_build else [once])
    else:
        await scenario.assert_undone(case.ends, case.error_code)
    assert await scenario.read("/data/released") == ["v2"]
    await scenario.assert_build_log_whole()
    log = await scenario.seaway.log(scenario.second, StepName.RELEASE_COMMAND)
    assert len([line for line in log if re.search("release begins", line)]) == 1, log
    for report in reports:
        report.assert_no_failures(FEWEST_REQUESTS)


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest,
    distant: SeawayInstallation,
    lanes: list[list[RemoteServer]],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SideBySide[LinkCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: LinkCase, lane: int) -> Outcome:
        scenario = await RemoteRelease.on(
            lanes[lane][: case.servers],
            distant,
            tmp_path_factory.mktemp("cut"),
            worker=f"lane-{lane}",
            runtime=case.runtime,
        )
        try:
            return await cut_once(case, scenario)
        finally:
            scenario.application.worker.release()
            await scenario.remove()

    cases = selected(request.session, test_the_release_ends_as_if_nothing_had_been.__name__, CASES)
    runs = SideBySide(cases, run, lanes=len(lanes))
    yield runs
    await runs.end()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_release_ends_as_if_nothing_had_been(
    case: LinkCase, outcomes: SideBySide[LinkCase, Outcome], tables: dict[str, list[str]]
) -> None:
    lines = tables.setdefault(TITLE, [])
    try:
        outcome = await outcomes.outcome(case)
    except BaseException as error:
        lines.append(f"{case!s:75} {type(error).__name__}")
        raise
    lines.append(
        f"{case!s:75} {outcome.status:10} {outcome.seconds:5.1f} s, {outcome.requests} requests, "
        f"{outcome.failed} failed; tries {outcome.retried or 'all 1'}"
    )
    assert outcome.status == case.ends
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)
