"""Which activities a deployment calls, in which order, and what it tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities import messages as m
from domain.configuration import Hooks
from domain.deployments import DeploymentStatus, OperationKind, StepName
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import ALL_HOOKS, NO_HOOKS, OLD, plan_of
from workflows import names

BEGIN = ["begin-deployment"]
IMAGE = ["resolve-source", "build-image"]
NEW = ["start-replicas", "check-health", "apply-routes"]
END = ["record-release", "retire-replicas", "clean-up", "finish-deployment"]


@dataclass(frozen=True)
class Case:
    kind: OperationKind
    calls: list[str]
    plan: dict[str, Any] = field(default_factory=dict)


CASES = {
    "deploy with all hooks": Case(
        OperationKind.DEPLOY,
        [
            *BEGIN,
            *IMAGE,
            "run-pre-deploy-command",
            "run-release-command",
            *NEW,
            "run-post-deploy-command",
            "drain-replicas",
            *END,
        ],
        {"hooks": ALL_HOOKS},
    ),
    "rollback with all hooks": Case(
        OperationKind.ROLLBACK,
        [
            *BEGIN,
            *IMAGE,
            "run-pre-deploy-command",
            "run-release-command",
            *NEW,
            "run-post-deploy-command",
            "drain-replicas",
            *END,
        ],
        {"hooks": ALL_HOOKS},
    ),
    "first deploy": Case(OperationKind.DEPLOY, [*BEGIN, *IMAGE, *NEW, *END], {"replaces": False}),
    "deploy with a release command only": Case(
        OperationKind.DEPLOY,
        [*BEGIN, *IMAGE, "run-release-command", *NEW, "drain-replicas", *END],
        {"hooks": Hooks(release="./migrate")},
    ),
    "restart": Case(
        OperationKind.RESTART, [*BEGIN, *IMAGE, *NEW, "drain-replicas", *END], {"hooks": ALL_HOOKS}
    ),
    "start": Case(OperationKind.START, [*BEGIN, *IMAGE, *NEW, *END], {"replaces": False}),
    "scale up": Case(OperationKind.SCALE, [*BEGIN, *IMAGE, *NEW, "drain-replicas", *END], {"replicas": 3}),
    "scale down": Case(
        OperationKind.SCALE, [*BEGIN, *IMAGE, *NEW, "drain-replicas", *END], {"replicas_before": 3}
    ),
    "stop": Case(OperationKind.STOP, [*BEGIN, "apply-routes", "drain-replicas", *END]),
    "delete": Case(
        OperationKind.DELETE, [*BEGIN, "apply-routes", "drain-replicas", *END, "forget-application"]
    ),
    "host ports": Case(
        OperationKind.DEPLOY, [*BEGIN, *IMAGE, "pause-replicas", *NEW, *END], {"host_ports": True}
    ),
    "host ports, first deploy": Case(
        OperationKind.DEPLOY, [*BEGIN, *IMAGE, *NEW, *END], {"host_ports": True, "replaces": False}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_steps_run_in_their_order_and_no_other_does(bench: Bench, case: Case) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, **case.plan)

    result = await ending(await bench.deploy(case.kind))

    assert bench.fakes.labels() == case.calls
    assert result == m.DeploymentResult(deployment_id=bench.id_of("new"), status=DeploymentStatus.FINISHED)


async def test_a_release_is_built_started_routed_and_recorded_as_one_and_the_same(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, replicas=2, replicas_before=3
    )
    await ending(await bench.deploy(force=True))

    new = m.Served(configuration_of=bench.id_of("new"), release_id=bench.id_of("new"), replicas=2)
    [build] = bench.fakes.messages("build-image")
    assert (build.commit, build.image, build.force) == (
        "c0ffee",
        f"seaway/application:{bench.id_of('new')}",
        True,
    )
    [start] = bench.fakes.messages("start-replicas")
    assert (start.serve, start.first, start.server_id) == (new, 1, "id-of-local")
    assert bench.fakes.messages("check-health") == [start.model_copy(update={"step": _step(bench, "health")})]
    [routes] = bench.fakes.messages("apply-routes")
    assert routes.serve == new
    [recorded] = bench.fakes.messages("record-release")
    assert recorded.serve == new
    [retired] = bench.fakes.messages("retire-replicas")
    assert (retired.keep, retired.step) == (new, _step(bench, "stop_old"))
    [cleaned] = bench.fakes.messages("clean-up")
    assert (cleaned.keep, cleaned.everything) == (new, False)


def _step(bench: Bench, name: str) -> m.StepReference:
    return m.StepReference(deployment_id=bench.id_of("new"), name=StepName(name), server="local")


async def test_hooks_run_in_the_version_that_they_belong_to(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, hooks=ALL_HOOKS)
    await ending(await bench.deploy())

    [before] = bench.fakes.messages("run-pre-deploy-command")
    [after] = bench.fakes.messages("run-post-deploy-command")
    assert before.served.release_id == OLD
    assert after.served.release_id == bench.id_of("new")


async def test_the_old_version_is_drained_no_longer_than_planned(bench: Bench) -> None:
    before = datetime.now(UTC)
    await ending(await bench.deploy())
    after = datetime.now(UTC)

    [drain] = bench.fakes.messages("drain-replicas")
    assert before + timedelta(seconds=30) <= drain.deadline <= after + timedelta(seconds=30)


async def test_scaling_starts_only_the_replicas_that_are_missing(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, replicas=5, replicas_before=2
    )
    await ending(await bench.deploy(OperationKind.SCALE))

    [start] = bench.fakes.messages("start-replicas")
    assert (start.first, start.serve.replicas, start.serve.release_id) == (3, 5, OLD)
    [retired] = bench.fakes.messages("retire-replicas")
    assert (retired.keep.release_id, retired.keep.replicas) == (OLD, 5)


async def test_scaling_down_starts_none_and_keeps_the_lower_numbers(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, replicas=1, replicas_before=4
    )
    await ending(await bench.deploy(OperationKind.SCALE))

    [start] = bench.fakes.messages("start-replicas")
    assert start.first > start.serve.replicas
    [retired] = bench.fakes.messages("retire-replicas")
    assert (retired.keep.release_id, retired.keep.replicas) == (OLD, 1)


async def test_a_stop_leaves_no_route_and_no_replica(bench: Bench) -> None:
    await ending(await bench.deploy(OperationKind.STOP))

    for label, part in [
        ("apply-routes", "serve"),
        ("drain-replicas", "keep"),
        ("record-release", "serve"),
        ("retire-replicas", "keep"),
    ]:
        [message] = bench.fakes.messages(label)
        assert getattr(message, part) is None, label
    [cleaned] = bench.fakes.messages("clean-up")
    assert not cleaned.everything


@pytest.mark.parametrize("delete_volumes", [False, True])
async def test_a_delete_removes_everything_and_volumes_only_if_asked(
    bench: Bench, delete_volumes: bool
) -> None:
    await ending(await bench.deploy(OperationKind.DELETE, delete_volumes=delete_volumes))

    [cleaned] = bench.fakes.messages("clean-up")
    assert (cleaned.everything, cleaned.delete_volumes) == (True, delete_volumes)
    [forgotten] = bench.fakes.messages("forget-application")
    assert forgotten.application_id == bench.application_id


async def test_what_was_paused_for_its_host_ports_is_removed_after_the_release(bench: Bench) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, host_ports=True)
    await ending(await bench.deploy())

    [paused] = bench.fakes.messages("pause-replicas")
    assert paused.served.release_id == OLD
    [retired] = bench.fakes.messages("retire-replicas")
    assert retired.keep.release_id == bench.id_of("new")


async def test_every_step_runs_on_every_server(bench: Bench) -> None:
    servers = ("east", "west")
    bench.fakes.plan = lambda command: plan_of(
        command.kind, command.deployment_id, hooks=ALL_HOOKS, servers=servers
    )
    await ending(await bench.deploy())

    steps = [call for call in bench.fakes.calls if isinstance(call.message, m.StepInput)]
    labels = list(dict.fromkeys(call.label for call in steps))
    assert {label: {call.server for call in steps if call.label == label} for label in labels} == {
        label: set(servers) for label in labels
    }
    # One step ends on all servers before the next one begins on any.
    assert [call.label for call in steps] == [label for label in labels for _ in servers]
    [finish] = bench.fakes.finishes().values()
    assert {step.status for step in finish.steps} == {"succeeded"}


async def test_the_workflow_can_be_found_by_its_outcome_and_git_reference(bench: Bench) -> None:
    bench.fakes.reference = "feature/checkout"
    handle = await bench.deploy()
    await ending(handle)

    attributes = (await handle.describe()).typed_search_attributes
    assert attributes[names.OUTCOME] == "finished"
    assert attributes[names.GIT_REFERENCE] == "feature/checkout"


async def test_a_git_reference_too_long_for_the_server_is_cut(bench: Bench) -> None:
    bench.fakes.reference = "x" * 1000
    handle = await bench.deploy()
    await ending(handle)

    attributes = (await handle.describe()).typed_search_attributes
    assert attributes[names.GIT_REFERENCE] == "x" * 255


@pytest.mark.parametrize(("hooks", "limit"), [(NO_HOOKS, 80), (ALL_HOOKS, 100)], ids=["plain", "all hooks"])
async def test_the_history_of_a_deployment_stays_small(
    bench: Bench, hooks: Hooks, limit: int, record_property: Callable[[str, object], None]
) -> None:
    bench.fakes.plan = lambda command: plan_of(command.kind, command.deployment_id, hooks=hooks)
    handle = await bench.deploy()
    await ending(handle)

    events = len([event async for event in handle.fetch_history_events()])
    record_property("events", events)
    assert events < limit
