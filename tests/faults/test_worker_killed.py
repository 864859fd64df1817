"""SIGKILL to the worker at every step of a release, under load: another one carries on.

Nothing happens twice, nothing is left behind, no request fails. Most of a case is waiting for Temporal to
miss the dead worker (heartbeats, 10 s), so the cases run side by side, each with a worker and an application
of its own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from activities import signatures as s
from domain.deployments import DeploymentStatus
from tests.faults.kill_cases import CASES, KillCase
from tests.faults.release_scenario import ReleaseScenario
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Moment
from tests.harness.side_by_side import SideBySide, selected

LANES = 3
FEWEST_REQUESTS = 100
TITLE = "Worker killed: kill point, outcome"
# What runs with every `make test`; the whole matrix is a drill.
REPRESENTATIVE = {
    (s.BUILD_IMAGE.name, Moment.MIDDLE, False),
    (s.RUN_RELEASE_COMMAND.name, Moment.DONE, False),
    (s.APPLY_ROUTES.name, Moment.AFTER, False),
    (s.DRAIN_REPLICAS.name, Moment.MIDDLE, False),
    (s.RETIRE_REPLICAS.name, Moment.BEFORE, False),
    (s.APPLY_ROUTES.name, Moment.DONE, True),
}


@dataclass(frozen=True)
class Outcome:
    """How a case went."""

    status: str
    seconds_after_kill: float
    seconds: float
    events: int
    requests: int
    failed: int


async def kill_once(case: KillCase, scenario: ReleaseScenario) -> Outcome:
    """Releases v2, kills the worker, starts another one at once, and looks at everything afterwards."""
    seaway, worker = scenario.seaway, scenario.application.worker
    await seaway.set_variables(scenario.application, case.variables)
    async with scenario.load() as load:
        worker.plan(case.fault)
        began = time.monotonic()
        await scenario.deploy_second(hooks=case.hooks, health=case.health, runtime=case.after)
        await worker.died()
        killed = time.monotonic()
        worker.launch()
        deployment = await seaway.wait_final(scenario.second)
        ended = time.monotonic()
    report = load.report()
    if case.ends is DeploymentStatus.FINISHED:
        await scenario.assert_finished(case.after.replicas)
        builds = await scenario.read("/app/builds")
        assert builds == (["v1", "v2", "v2"] if case.kills_build else ["v1", "v2"])
    else:
        await scenario.assert_undone(case.ends, case.error_code)
    assert await scenario.read("/data/released") == ["v2"]
    await scenario.assert_build_log_whole()
    report.assert_no_failures(FEWEST_REQUESTS)
    events = await seaway.events(scenario.second)
    return Outcome(deployment.status, ended - killed, ended - began, events, report.succeeded, report.failed)


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest, seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SideBySide[KillCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: KillCase, lane: int) -> Outcome:
        folder = tmp_path_factory.mktemp("killed")
        scenario = await ReleaseScenario.start(seaway, folder, worker=f"lane-{lane}", runtime=case.before)
        try:
            return await kill_once(case, scenario)
        finally:
            scenario.application.worker.release()
            await seaway.remove(scenario.application)

    cases = selected(request.session, test_another_worker_carries_on.__name__, CASES)
    runs = SideBySide(cases, run, lanes=LANES)
    yield runs
    await runs.end()


def _parameter(case: KillCase) -> object:
    represents = (case.fault.activity, case.fault.moment, case.fault.undo) in REPRESENTATIVE
    return pytest.param(case, id=str(case), marks=() if represents else pytest.mark.drill)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
async def test_another_worker_carries_on(
    case: KillCase, outcomes: SideBySide[KillCase, Outcome], tables: dict[str, list[str]]
) -> None:
    lines = tables.setdefault(TITLE, [])
    try:
        outcome = await outcomes.outcome(case)
    except BaseException as error:
        lines.append(f"{case!s:62} {type(error).__name__}")
        raise
    lines.append(
        f"{case!s:62} {outcome.status:10} {outcome.seconds_after_kill:5.1f} s after the kill, "
        f"{outcome.seconds:5.1f} s in all, {outcome.events:3} events, "
        f"{outcome.requests} requests, {outcome.failed} failed"
    )
    assert outcome.status == case.ends
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)
