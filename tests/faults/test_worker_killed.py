"""SIGKILL to the worker at every step of a release, under load: another one carries on.

Nothing happens twice, nothing is left behind, no request fails. Most of a case is waiting for Temporal to
miss the dead worker (heartbeats, 10 s), so the cases run side by side, each with a worker and an application
of its own.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from activities import signatures as s
from domain.deployments import DeploymentStatus
from store.tables import Registry
from tests.faults.kill_cases import CASES, KillCase
from tests.faults.release_scenario import ReleaseScenario
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Moment
from tests.harness.private_registry import PrivateRegistry
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


@pytest.fixture(scope="module")
async def registry(
    seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrivateRegistry]:
    """Seaway knows how to log in there."""
    password = secrets.token_hex(12)
    async with PrivateRegistry(tmp_path_factory.mktemp("registry"), "robot", password) as one:
        [local] = [one for one in await seaway.store.servers.deployable() if one.is_local]
        row = Registry(
            team_id=local.team_id, name="tests", host=one.host, username=one.username, password_sealed=""
        )
        await seaway.store.registries.add(row, SecretStr(password))
        yield one


async def assert_pushed(scenario: ReleaseScenario, registry: PrivateRegistry, serving: str) -> None:
    """The registry has each version once, and its `latest` is what serves; here nothing is named for it."""
    seaway, name = scenario.seaway, repository_of(scenario)
    rows = [await seaway.store.deployments.get(one) for one in (scenario.first, scenario.second)]
    keys = {row.id: row.image.rpartition(":")[2] for row in rows}
    assert await registry.tags(name) == {*keys.values(), "latest"}
    assert await registry.digest(name, "latest") == await registry.digest(name, keys[serving])
    here = await asyncio.to_thread(seaway.docker.images.list, f"{registry.host}/{name}")
    assert [image.tags for image in here] == []
    usable = {row.id for row in rows if row.pushed_image}
    assert usable == {scenario.first, serving}


def repository_of(scenario: ReleaseScenario) -> str:
    """Where its images are in the registry."""
    return f"team/{scenario.application.row.name}"


async def kill_once(case: KillCase, scenario: ReleaseScenario, registry: PrivateRegistry) -> Outcome:
    """Releases v2, kills the worker, starts another one at once, and looks at everything afterwards."""
    seaway, worker = scenario.seaway, scenario.application.worker
    await seaway.set_variables(scenario.application, case.variables)
    if case.ballast_megabytes:
        await scenario.make_heavy(case.ballast_megabytes)
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
    if case.pushes:
        serving = scenario.second if case.ends is DeploymentStatus.FINISHED else scenario.first
        await assert_pushed(scenario, registry, serving)
    report.assert_no_failures(FEWEST_REQUESTS)
    events = await seaway.events(scenario.second)
    return Outcome(deployment.status, ended - killed, ended - began, events, report.succeeded, report.failed)


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest,
    seaway: SeawayInstallation,
    registry: PrivateRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SideBySide[KillCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: KillCase, lane: int) -> Outcome:
        folder = tmp_path_factory.mktemp("killed")
        scenario = await ReleaseScenario.start(
            seaway,
            folder,
            worker=f"lane-{lane}",
            runtime=case.before,
            registry=registry.host if case.pushes else "",
        )
        try:
            return await kill_once(case, scenario, registry)
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
