"""Which activities a deployment calls, in which order, and what it tells them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from activities import messages as m
from domain.configuration import Hooks
from domain.deployments import DeploymentStatus, OperationKind, StepName
from tests.workflow.bench import Bench, ending, running_worker
from tests.workflow.fake_activities import FakeActivities
from tests.workflow.plans import ALL_HOOKS, OLD, PUSHED, plan_of
from workflows import names

BEGIN = ["begin-deployment"]
IMAGE = ["resolve-source", "build-image"]
NEW = ["start-replicas", "check-health", "apply-routes"]
DRAIN = "drain-replicas"
END = ["record-release", "retire-replicas", "clean-up", "finish-deployment"]
COMMANDS_BEFORE = ["run-pre-deploy-command", "run-release-command"]
WITH_ALL_HOOKS = [*BEGIN, *IMAGE, *COMMANDS_BEFORE, *NEW, "run-post-deploy-command", DRAIN, *END]
SERVERS = ("east", "west")
COMMANDS = [*COMMANDS_BEFORE, "run-post-deploy-command"]
ONCE = [*BEGIN, *COMMANDS, "record-release", "finish-deployment"]
LONGEST_HISTORY = 100


@dataclass(frozen=True)
class Case:
    """An operation with the calls that it makes; `plan` is for the plan, `options` for the command."""

    kind: OperationKind
    calls: list[str]
    plan: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    reference: str = "feature/checkout"


DEPLOY, SCALE, DELETE = OperationKind.DEPLOY, OperationKind.SCALE, OperationKind.DELETE
CASES = {
    "deploy": Case(
        DEPLOY,
        WITH_ALL_HOOKS,
        {"hooks": ALL_HOOKS, "replicas": 2, "replicas_before": 3},
        {"force": True},
    ),
    "first deploy": Case(DEPLOY, [*BEGIN, *IMAGE, *NEW, *END], {"replaces": False}),
    "deploy with a release command only": Case(
        DEPLOY,
        [*BEGIN, *IMAGE, "run-release-command", *NEW, DRAIN, *END],
        {"hooks": Hooks(release="./migrate")},
    ),
    "deploy with host ports": Case(
        DEPLOY, [*BEGIN, *IMAGE, "pause-replicas", *NEW, *END], {"host_ports": True}
    ),
    "first deploy with host ports": Case(
        DEPLOY, [*BEGIN, *IMAGE, *NEW, *END], {"host_ports": True, "replaces": False}
    ),
    "deploy on two servers": Case(
        DEPLOY,
        [
            *BEGIN,
            *IMAGE,
            *[
                label
                for label in ["distribute-image", *WITH_ALL_HOOKS[3:]]
                for _ in (("once",) if label in ONCE else SERVERS)
            ],
        ],
        {"hooks": ALL_HOOKS, "servers": SERVERS},
    ),
    "deploy by a registry": Case(
        DEPLOY,
        [*BEGIN, *IMAGE, "push-image", *NEW, DRAIN, *END[:2], "publish-image", *END[2:]],
        {"push": PUSHED},
    ),
    "rollback": Case(OperationKind.ROLLBACK, WITH_ALL_HOOKS, {"hooks": ALL_HOOKS}, reference="x" * 1000),
    "restart": Case(OperationKind.RESTART, [*BEGIN, *IMAGE, *NEW, DRAIN, *END], {"hooks": ALL_HOOKS}),
    "start": Case(OperationKind.START, [*BEGIN, *IMAGE, *NEW, *END], {"replaces": False}),
    "scale up": Case(SCALE, [*BEGIN, *IMAGE, *NEW, DRAIN, *END], {"replicas": 5, "replicas_before": 2}),
    "scale down": Case(SCALE, [*BEGIN, *IMAGE, *NEW, DRAIN, *END], {"replicas": 1, "replicas_before": 4}),
    "stop": Case(OperationKind.STOP, [*BEGIN, "apply-routes", DRAIN, *END]),
    "delete": Case(DELETE, [*BEGIN, "apply-routes", DRAIN, *END, "forget-application"]),
    "delete with volumes": Case(
        DELETE,
        [*BEGIN, "apply-routes", DRAIN, *END, "forget-application"],
        options={"delete_volumes": True},
    ),
}


@dataclass(frozen=True)
class Ended:
    """A deployment that ended, with all that it asked for."""

    bench: Bench
    handle: WorkflowHandle[Any, m.DeploymentResult]
    result: m.DeploymentResult
    began: datetime
    ended: datetime

    def one(self, label: str) -> Any:
        """What was said to the one call of this activity."""
        [message] = self.bench.fakes.messages(label)
        return message

    @property
    def id(self) -> str:
        """The deployment's id."""
        return self.bench.id_of("new")


RunCase = Callable[[str], Awaitable[Ended]]


@pytest.fixture(scope="module")
async def run_case(temporal_client: Client) -> RunCase:
    """Runs a case's deployment, once for all tests that look at it."""
    known: dict[str, Ended] = {}

    async def run(name: str) -> Ended:
        if name not in known:
            known[name] = await _run(temporal_client, CASES[name])
        return known[name]

    return run


async def _run(client: Client, case: Case) -> Ended:
    bench = Bench(
        client,
        FakeActivities(lambda command: plan_of(command.kind, command.deployment_id, **case.plan)),
    )
    bench.fakes.reference = case.reference
    began = datetime.now(UTC)
    async with running_worker(bench):
        handle = await bench.deploy(case.kind, **case.options)
        result = await ending(handle)
    return Ended(bench, handle, result, began, datetime.now(UTC))


@pytest.mark.usefixtures("no_complaints")
@pytest.mark.parametrize("name", CASES)
async def test_the_steps_run_in_their_order_and_no_other_does(run_case: RunCase, name: str) -> None:
    ended = await run_case(name)

    calls = ended.bench.fakes.labels()
    assert calls == CASES[name].calls
    assert ended.result == m.DeploymentResult(deployment_id=ended.id, status=DeploymentStatus.FINISHED)


async def test_a_release_is_built_started_routed_and_recorded_as_one_and_the_same(run_case: RunCase) -> None:
    ended = await run_case("deploy")

    new = m.Served(configuration_of=ended.id, release_id=ended.id, replicas=2)
    build = ended.one("build-image")
    assert (build.commit, build.image, build.force) == ("c0ffee", f"seaway/application:{ended.id}", True)
    start = ended.one("start-replicas")
    assert (start.serve, start.first, start.server_id) == (new, 1, "id-of-local")
    assert ended.one("check-health") == start.model_copy(update={"step": _step(ended, StepName.HEALTH)})
    assert ended.one("apply-routes").serve == new
    assert ended.one("record-release").serve == new
    retired = ended.one("retire-replicas")
    assert (retired.keep, retired.step) == (new, _step(ended, StepName.STOP_OLD))
    cleaned = ended.one("clean-up")
    assert (cleaned.keep, cleaned.everything) == (new, False)


def _step(ended: Ended, name: StepName) -> m.StepReference:
    return m.StepReference(deployment_id=ended.id, name=name, server="local")


async def test_hooks_run_in_the_version_that_they_belong_to(run_case: RunCase) -> None:
    ended = await run_case("deploy")

    assert ended.one("run-pre-deploy-command").served.release_id == OLD
    assert ended.one("run-post-deploy-command").served.release_id == ended.id


async def test_the_old_version_is_drained_no_longer_than_planned(run_case: RunCase) -> None:
    ended = await run_case("deploy")

    planned = timedelta(seconds=30)
    assert ended.began + planned <= ended.one("drain-replicas").deadline <= ended.ended + planned


async def test_scaling_up_starts_only_the_replicas_that_are_missing(run_case: RunCase) -> None:
    ended = await run_case("scale up")

    start = ended.one("start-replicas")
    assert (start.first, start.serve.replicas, start.serve.release_id) == (3, 5, OLD)
    kept = ended.one("retire-replicas").keep
    assert (kept.release_id, kept.replicas) == (OLD, 5)


async def test_scaling_down_starts_none_and_keeps_the_lower_numbers(run_case: RunCase) -> None:
    ended = await run_case("scale down")

    start = ended.one("start-replicas")
    assert start.first > start.serve.replicas
    kept = ended.one("retire-replicas").keep
    assert (kept.release_id, kept.replicas) == (OLD, 1)


async def test_a_stop_leaves_no_route_and_no_replica(run_case: RunCase) -> None:
    ended = await run_case("stop")

    assert ended.one("apply-routes").serve is None
    assert ended.one("drain-replicas").keep is None
    assert ended.one("record-release").serve is None
    assert ended.one("retire-replicas").keep is None
    assert not ended.one("clean-up").everything


@pytest.mark.parametrize(("name", "volumes"), [("delete", False), ("delete with volumes", True)])
async def test_a_delete_removes_everything_and_volumes_only_if_asked(
    run_case: RunCase, name: str, volumes: bool
) -> None:
    ended = await run_case(name)

    cleaned = ended.one("clean-up")
    assert (cleaned.everything, cleaned.delete_volumes) == (True, volumes)
    assert ended.one("forget-application").application_id == ended.bench.application_id


async def test_what_was_paused_for_its_host_ports_is_removed_after_the_release(run_case: RunCase) -> None:
    ended = await run_case("deploy with host ports")

    assert ended.one("pause-replicas").served.release_id == OLD
    assert ended.one("retire-replicas").keep.release_id == ended.id


async def test_every_step_but_the_build_runs_on_every_server(run_case: RunCase) -> None:
    fakes = (await run_case("deploy on two servers")).bench.fakes

    steps = [call for call in fakes.calls if isinstance(call.message, m.StepInput)]
    labels = list(dict.fromkeys(call.label for call in steps))
    on = {label: {call.server for call in steps if call.label == label} for label in labels}
    once = [*IMAGE, *COMMANDS]
    assert on == {label: {"east"} if label in once else set(SERVERS) for label in labels}
    [finish] = fakes.finishes().values()
    assert {step.status for step in finish.steps} == {"succeeded"}


async def test_the_workflow_can_be_found_by_its_outcome_and_git_reference(run_case: RunCase) -> None:
    ended = await run_case("deploy")

    attributes = (await ended.handle.describe()).typed_search_attributes
    assert attributes[names.OUTCOME] == "finished"
    assert attributes[names.GIT_REFERENCE] == "feature/checkout"


async def test_a_git_reference_too_long_for_the_server_is_cut(run_case: RunCase) -> None:
    ended = await run_case("rollback")

    attributes = (await ended.handle.describe()).typed_search_attributes
    assert attributes[names.GIT_REFERENCE] == "x" * 255


async def test_the_history_of_a_deployment_stays_small(
    run_case: RunCase, record_property: Callable[[str, object], None]
) -> None:
    ended = await run_case("deploy")

    events = len([event async for event in ended.handle.fetch_history_events()])
    record_property("events", events)
    assert events < LONGEST_HISTORY
