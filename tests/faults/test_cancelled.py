"""A release cancelled in each of its steps, under load: the old version serves as if nothing had been."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest

from activities import signatures as s
from domain.configuration import GitSource, HealthCheck, Hooks, PortMapping, RuntimeOptions
from domain.deployments import DeploymentStatus, StepName, StepStatus
from domain.errors import NotPossibleNow
from tests.faults.kill_cases import DEAF
from tests.faults.release_scenario import ReleaseScenario
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Action, Fault, Moment
from tests.harness.processes import free_port
from tests.harness.remains import processes_with
from tests.harness.side_by_side import SideBySide, selected
from tests.harness.waiting import eventually

LANES = 4
FEWEST_REQUESTS = 60
AFTERWARDS = 15
TITLE = "Cancelled: step, seconds until all was undone"
# Each case waits by a number of its own, by which its processes are found.
SLEEP = "sleep 86400.{mark}"
SLOW_BUILD = """\
FROM {base}
WORKDIR /app
COPY app.py VERSION ./
RUN sh -c '{sleep}; true'
"""
MOST_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class CancelCase:
    """A release of v2 that is long in one step. `runs` tells that the step is at its work."""

    step: StepName | None
    mark: int
    hooks: Hooks = Hooks()  # noqa: RUF009 - immutable
    variables: Mapping[str, str] = field(default_factory=dict)
    hold: Fault | None = None
    slow_build: bool = False
    silent_repository: bool = False
    slow_seconds: float = 3.0

    def __str__(self) -> str:
        return self.step or "begin"

    @property
    def sleep(self) -> str:
        """What the step's process is called by."""
        return SLEEP.format(mark=self.mark)


def _held(signature: s.Signature, moment: Moment = Moment.DONE) -> Fault:
    return Fault(signature.name, moment, Action.HOLD)


CASES = (
    CancelCase(None, 101, hold=_held(s.BEGIN_DEPLOYMENT, Moment.BEGUN)),
    CancelCase(StepName.RESOLVE_SOURCE, 102, silent_repository=True),
    CancelCase(StepName.BUILD, 103, slow_build=True),
    CancelCase(StepName.PRE_DEPLOY, 104, hooks=Hooks(pre_deploy=SLEEP.format(mark=104))),
    CancelCase(StepName.RELEASE_COMMAND, 105, hooks=Hooks(release=SLEEP.format(mark=105))),
    CancelCase(StepName.START, 106, hold=_held(s.START_REPLICAS)),
    CancelCase(StepName.HEALTH, 107, variables={"START_DELAY_SECONDS": "600"}),
    CancelCase(StepName.SWITCH, 108, hold=_held(s.APPLY_ROUTES)),
    CancelCase(StepName.POST_DEPLOY, 109, hooks=Hooks(post_deploy=SLEEP.format(mark=109))),
    CancelCase(StepName.DRAIN, 110, slow_seconds=9.0),
)


@dataclass(frozen=True)
class Outcome:
    """How a case went."""

    seconds_after_cancel: float
    requests: int
    failed: int


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """The URL of a server that takes connections and never says a word."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/silent.git"


async def cancel_in_step(case: CancelCase, scenario: ReleaseScenario) -> Outcome:
    """Releases v2, cancels it while the step is at its work, and looks at everything afterwards."""
    seaway, application = scenario.seaway, scenario.application
    await seaway.set_variables(application, case.variables)
    changes: dict[str, object] = {"hooks": case.hooks}
    async with contextlib.AsyncExitStack() as stack:
        if case.silent_repository:
            changes["source"] = GitSource(repository=await stack.enter_async_context(silent_server()))
        if case.slow_build:
            await asyncio.to_thread(scenario.commit_dockerfile, SLOW_BUILD, sleep=case.sleep)
        if case.hold is not None:
            application.worker.plan(case.hold)
        load = await stack.enter_async_context(scenario.load(slow_seconds=case.slow_seconds))
        await scenario.deploy_second(**changes)
        await _until_at_work(case, scenario)
        began = time.monotonic()
        await seaway.cancel(application, scenario.second)
        await seaway.wait_final(scenario.second)
        seconds = time.monotonic() - began
        await eventually(lambda: not processes_with(case.sleep), 5, describe=f"the end of '{case.sleep}'")
        enough = max(load.succeeded + AFTERWARDS, FEWEST_REQUESTS)
        await eventually(lambda: load.succeeded >= enough, 30, describe="visitors of the old version")
    report = load.report()
    await scenario.assert_undone(DeploymentStatus.CANCELLED, "cancelled")
    report.assert_no_failures(FEWEST_REQUESTS)
    return Outcome(seconds, report.succeeded, report.failed)


async def _until_at_work(case: CancelCase, scenario: ReleaseScenario) -> None:
    if case.hold is not None:
        await scenario.application.worker.holds()
        return

    async def runs() -> bool:
        steps = await scenario.seaway.steps(scenario.second)
        return case.step in steps and steps[case.step].status is StepStatus.RUNNING

    await eventually(runs, 60, describe=f"the step {case}")
    if case.slow_build or case.sleep in case.hooks.model_dump().values():
        await eventually(lambda: processes_with(case.sleep), 60, describe=case.sleep)


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest, seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SideBySide[CancelCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: CancelCase, lane: int) -> Outcome:
        folder = tmp_path_factory.mktemp("cancelled")
        scenario = await ReleaseScenario.start(seaway, folder, worker=f"lane-{lane}")
        try:
            return await cancel_in_step(case, scenario)
        finally:
            scenario.application.worker.release()
            await seaway.remove(scenario.application)

    cases = selected(request.session, test_all_is_undone_and_the_old_version_serves.__name__, CASES)
    runs = SideBySide(cases, run, lanes=LANES)
    yield runs
    await runs.end()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_all_is_undone_and_the_old_version_serves(
    case: CancelCase, outcomes: SideBySide[CancelCase, Outcome], tables: dict[str, list[str]]
) -> None:
    lines = tables.setdefault(TITLE, [])
    try:
        outcome = await outcomes.outcome(case)
    except BaseException as error:
        lines.append(f"{case!s:20} {type(error).__name__}")
        raise
    lines.append(
        f"{case!s:20} {outcome.seconds_after_cancel:5.1f} s, "
        f"{outcome.requests} requests, {outcome.failed} failed"
    )
    assert outcome.seconds_after_cancel < MOST_SECONDS
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)


async def test_once_the_old_version_is_being_stopped_a_cancellation_is_refused(
    seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scenario = await ReleaseScenario.start(seaway, tmp_path_factory.mktemp("refused"), runtime=DEAF)
    async with scenario.load() as load:
        await scenario.deploy_second(runtime=RuntimeOptions())

        async def stops() -> bool:
            steps = await seaway.steps(scenario.second)
            return StepName.STOP_OLD in steps and steps[StepName.STOP_OLD].status is StepStatus.RUNNING

        await eventually(stops, 60)
        with pytest.raises(NotPossibleNow, match="Roll back instead"):
            await seaway.cancel(scenario.application, scenario.second)
        await seaway.wait_final(scenario.second)
    await scenario.assert_finished()
    load.report().assert_no_failures(FEWEST_REQUESTS)
    with pytest.raises(NotPossibleNow, match="finished"):
        await seaway.cancel(scenario.application, scenario.second)
    await seaway.remove(scenario.application)


async def test_a_release_that_stopped_the_old_version_first_can_be_cancelled_until_it_serves(
    seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runtime = RuntimeOptions(port_mappings=(PortMapping(host_port=free_port(), container_port=3000),))
    scenario = await ReleaseScenario.start(seaway, tmp_path_factory.mktemp("first"), runtime=runtime)
    await seaway.set_variables(scenario.application, {"START_DELAY_SECONDS": "600"})
    await scenario.deploy_second()

    async def proves_itself() -> bool:
        steps = await seaway.steps(scenario.second)
        return StepName.HEALTH in steps and steps[StepName.HEALTH].status is StepStatus.RUNNING

    await eventually(proves_itself, 60)
    await seaway.cancel(scenario.application, scenario.second)
    await seaway.wait_final(scenario.second)
    await scenario.assert_undone(DeploymentStatus.CANCELLED, "cancelled")
    await seaway.remove(scenario.application)


async def test_a_deployment_is_cancelled_although_its_worker_is_dead(
    seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scenario = await ReleaseScenario.start(seaway, tmp_path_factory.mktemp("dead"))
    worker = scenario.application.worker
    worker.plan(Fault(s.CHECK_HEALTH.name, Moment.MIDDLE, seconds=0.5))
    await seaway.set_variables(scenario.application, {"START_DELAY_SECONDS": "600"})
    async with scenario.load() as load:
        await scenario.deploy_second(health=HealthCheck(path="/health"))
        await worker.died()
        await worker.start()
        # The new worker answers before the engine has missed the old one's heartbeats.
        await seaway.cancel(scenario.application, scenario.second)
        await seaway.wait_final(scenario.second)
    await scenario.assert_undone(DeploymentStatus.CANCELLED, "cancelled")
    load.report().assert_no_failures(FEWEST_REQUESTS)
    await seaway.remove(scenario.application)
