"""SIGKILL to the worker in the midst of operations other than a release: each ends as if nothing had been."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from activities import signatures as s
from domain.configuration import RuntimeOptions
from domain.deployments import DeploymentStatus, OperationKind
from domain.replicas import replica_name
from tests.faults.kill_cases import DATA
from tests.faults.release_scenario import ReleaseScenario
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Fault, Moment
from tests.harness.side_by_side import SideBySide, selected
from tests.harness.waiting import eventually
from workflows import names

LANES = 3
FEWEST_REQUESTS = 100
RUNTIME = RuntimeOptions(volumes=(DATA,), replicas=2)


@dataclass(frozen=True, eq=False)
class OperationCase:
    """An operation on an application of two replicas. `remaining` of them are there afterwards."""

    kind: OperationKind
    fault: Fault
    remaining: int
    options: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} to {self.remaining}, {self.fault.label}"


def _of(
    kind: OperationKind, remaining: int, *faults: tuple[s.Signature, Moment], **options: object
) -> list[OperationCase]:
    return [
        OperationCase(kind, Fault(signature.name, moment), remaining, options) for signature, moment in faults
    ]


GROWING = ((s.START_REPLICAS, Moment.DONE), (s.APPLY_ROUTES, Moment.AFTER), (s.RECORD_RELEASE, Moment.DONE))
SHRINKING = ((s.APPLY_ROUTES, Moment.DONE), (s.RETIRE_REPLICAS, Moment.DONE))
RESTARTING = ((s.APPLY_ROUTES, Moment.DONE), (s.RETIRE_REPLICAS, Moment.BEFORE))
STOPPING = ((s.APPLY_ROUTES, Moment.DONE), (s.RECORD_RELEASE, Moment.AFTER))
DELETING = (
    (s.RETIRE_REPLICAS, Moment.DONE),
    (s.CLEAN_UP, Moment.DONE),
    (s.FINISH_DEPLOYMENT, Moment.AFTER),
    (s.FORGET_APPLICATION, Moment.DONE),
    (s.FORGET_APPLICATION, Moment.AFTER),
)
CASES = (
    *_of(OperationKind.SCALE, 3, *GROWING, replicas=3),
    *_of(OperationKind.SCALE, 1, *SHRINKING, replicas=1),
    *_of(OperationKind.RESTART, 2, *RESTARTING),
    *_of(OperationKind.STOP, 0, *STOPPING),
    *_of(OperationKind.DELETE, 0, *DELETING, delete_volumes=True),
)


FORGOTTEN = "forgotten with its application"


async def operate_and_kill(case: OperationCase, scenario: ReleaseScenario) -> str:
    """Kills the worker once, starts another one at once, and looks at everything; how the operation ended."""
    seaway, application = scenario.seaway, scenario.application
    application.worker.plan(case.fault)
    scenario.second = await seaway.operate(application, case.kind, **case.options)
    await application.worker.died()
    application.worker.launch()
    if case.kind is OperationKind.DELETE:
        await _assert_forgotten(scenario)
        return FORGOTTEN
    deployment = await seaway.wait_final(scenario.second)
    release = deployment.release_id or scenario.first
    expected = {
        replica_name(application.id, release, number): "running" for number in range(1, case.remaining + 1)
    }
    remains = await seaway.remains(application)
    assert remains.containers == expected
    assert remains.upstreams == {f"http://{name}:3000" for name in expected}
    assert len(remains.images) == 1
    return deployment.status


async def _assert_forgotten(scenario: ReleaseScenario) -> None:
    seaway, application = scenario.seaway, scenario.application
    queue = seaway.client.get_workflow_handle(names.application_workflow_id(application.id))

    async def forgotten() -> bool:
        row = await seaway.store.deployments.find(scenario.second)
        return row is None and (await queue.describe()).close_time is not None

    await eventually(forgotten, 60, describe="the end of the application's queue")
    remains = await seaway.remains(application)
    assert (remains.containers, remains.images, remains.upstreams) == ({}, frozenset(), frozenset())
    label = {"label": f"seaway.application={application.id}"}
    assert seaway.docker.volumes.list(filters=label) == []
    assert not (seaway.settings.data_dir / "applications" / application.id).exists()


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest, seaway: SeawayInstallation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SideBySide[OperationCase, str]]:
    """The selected cases, under way."""

    async def run(case: OperationCase, lane: int) -> str:
        folder: Path = tmp_path_factory.mktemp("operation")
        scenario = await ReleaseScenario.start(seaway, folder, worker=f"lane-{lane}", runtime=RUNTIME)
        serves = case.kind in (OperationKind.SCALE, OperationKind.RESTART)
        try:
            if serves:
                async with scenario.load() as load:
                    ended = await operate_and_kill(case, scenario)
                load.report().assert_no_failures(FEWEST_REQUESTS)
                return ended
            return await operate_and_kill(case, scenario)
        finally:
            scenario.application.worker.release()
            await seaway.remove(scenario.application)

    cases = selected(request.session, test_the_operation_ends_as_if_nothing_had_been.__name__, CASES)
    runs = SideBySide(cases, run, lanes=LANES)
    yield runs
    await runs.end()


@pytest.mark.drill
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_operation_ends_as_if_nothing_had_been(
    case: OperationCase, outcomes: SideBySide[OperationCase, str]
) -> None:
    ended = await outcomes.outcome(case)
    assert ended == (FORGOTTEN if case.kind is OperationKind.DELETE else DeploymentStatus.FINISHED)
