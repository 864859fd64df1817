"""An application whose visitors come to one server that spreads them over all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError

from activities import messages as m
from domain.deployments import DeploymentStatus, OperationKind, StepName, StepStatus
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending
from tests.workflow.plans import ALL_HOOKS, OLD, plan_of
from tests.workflow.undo_cases import BEFORE_SWITCH, SWITCH_BACK
from workflows import compensation

SERVERS = ("east", "west")
FRONT = m.PlannedServer(id="id-of-front", name="front")
GATE = m.PlannedServer(id="id-of-gate", name="gate")


def plan_with(
    bench: Bench,
    *,
    edge: m.PlannedServer | None = None,
    left_edge: m.PlannedServer | None = None,
    had_edge: bool = True,
    served_on: tuple[str, ...] = (),
) -> None:
    names = [one.name for one in (edge, left_edge) if one is not None]

    def plan(command: m.Command) -> m.ReleasePlan:
        made = plan_of(command.kind, command.deployment_id, hooks=ALL_HOOKS, servers=SERVERS, edges=names)
        assert made.served is not None
        served = made.served.model_copy(update={"servers": served_on})
        more = {"edge": edge, "left_edge": left_edge, "had_edge": had_edge, "served": served}
        return made.model_copy(update=more)

    bench.fakes.plan = plan


def edge_steps(finish: m.FinishDeployment) -> dict[str, StepStatus]:
    return {step.server: step.status for step in finish.steps if step.name is StepName.EDGE}


async def test_the_edge_leads_to_the_servers_after_all_of_them_have_switched(bench: Bench) -> None:
    plan_with(bench, edge=FRONT)

    await ending(await bench.deploy())

    labels = bench.fakes.labels()
    last_switch = max(at for at, label in enumerate(labels) if label == "apply-routes")
    assert last_switch < labels.index("apply-edge") < labels.index("run-post-deploy-command")
    [spread] = bench.fakes.messages("apply-edge")
    assert (spread.server_id, spread.serve.release_id) == (FRONT.id, bench.id_of("new"))
    assert {one.lets_edge_in for one in bench.fakes.messages("apply-routes")} == {True}
    [finish] = bench.fakes.finishes().values()
    assert edge_steps(finish) == {"front": StepStatus.SUCCEEDED}


async def test_without_an_edge_nobody_is_let_in_as_one(bench: Bench) -> None:
    plan_with(bench)

    await ending(await bench.deploy())

    assert "apply-edge" not in bench.fakes.labels()
    assert {one.lets_edge_in for one in bench.fakes.messages("apply-routes")} == {False}


@pytest.mark.parametrize("label", ["apply-edge", "run-post-deploy-command", "drain-replicas"])
async def test_the_edge_goes_back_before_the_servers_do(bench: Bench, label: str) -> None:
    plan_with(bench, edge=FRONT, left_edge=GATE)
    bench.fakes.fail(label, "route_refused", "It cannot be.")

    with pytest.raises(WorkflowFailureError):
        await ending(await bench.deploy())

    assert bench.fakes.undos()[0] == "undo apply-edge"
    assert set(bench.fakes.undos()) == {"undo apply-edge", *SWITCH_BACK, *BEFORE_SWITCH}
    [back] = bench.fakes.messages("undo apply-edge")
    assert (back.server_id, back.serve.release_id) == (FRONT.id, OLD)
    assert {one.lets_edge_in for one in bench.fakes.messages("undo apply-routes")} == {True}
    [finish] = bench.fakes.finishes().values()
    failed = StepStatus.FAILED if label == "apply-edge" else StepStatus.COMPENSATED
    assert edge_steps(finish) == {"front": failed, "gate": StepStatus.PENDING}


async def test_an_edge_that_does_not_go_back_holds_up_the_servers_for_a_moment_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compensation, "HEAD_START", timedelta(milliseconds=100))
    plan_with(bench, edge=FRONT)
    bench.fakes.fail("run-post-deploy-command", "command_failed", "It cannot be.")
    front = bench.fakes.hold("undo apply-edge", stubborn=True)
    handle = await bench.deploy()

    async def servers_are_back() -> bool:
        return bench.fakes.labels().count("undo discard-image") == len(SERVERS)

    await front.has_begun()
    await eventually(servers_are_back)
    assert not bench.fakes.finishes()
    front.release()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    assert len(bench.fakes.finishes()) == 1


async def test_a_server_on_which_nothing_served_before_waits_until_no_edge_leads_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compensation, "HEAD_START", timedelta(milliseconds=100))
    plan_with(bench, edge=FRONT, served_on=("id-of-east",))
    bench.fakes.fail("run-post-deploy-command", "command_failed", "It cannot be.")
    front = bench.fakes.hold("undo apply-edge", stubborn=True)
    handle = await bench.deploy()

    async def east_is_back() -> bool:
        return "undo discard-image" in bench.fakes.labels()

    await front.has_begun()
    await eventually(east_is_back)
    undone = {call.server for call in bench.fakes.calls if call.label == "undo apply-routes"}
    assert undone == {"east"}
    front.release()
    with pytest.raises(WorkflowFailureError):
        await ending(handle)
    undone = {call.server for call in bench.fakes.calls if call.label == "undo apply-routes"}
    assert undone == set(SERVERS)


async def test_servers_go_back_to_letting_no_edge_in_where_there_was_none(bench: Bench) -> None:
    plan_with(bench, edge=FRONT, had_edge=False)
    bench.fakes.fail("run-post-deploy-command", "command_failed", "It cannot be.")

    with pytest.raises(WorkflowFailureError):
        await ending(await bench.deploy())

    assert {one.lets_edge_in for one in bench.fakes.messages("apply-routes")} == {True}
    assert {one.lets_edge_in for one in bench.fakes.messages("undo apply-routes")} == {False}


async def test_an_edge_that_is_left_lets_go_once_there_is_no_way_back(bench: Bench) -> None:
    plan_with(bench, edge=FRONT, left_edge=GATE)

    await ending(await bench.deploy())

    labels = bench.fakes.labels()
    assert labels.index("record-release") < len(labels) - 1 - labels[::-1].index("apply-edge")
    withdrawn = bench.fakes.messages("apply-edge")[-1]
    assert (withdrawn.server_id, withdrawn.serve) == (GATE.id, None)
    [finish] = bench.fakes.finishes().values()
    assert edge_steps(finish) == {"front": StepStatus.SUCCEEDED, "gate": StepStatus.SUCCEEDED}


@pytest.mark.parametrize("kind", [OperationKind.DEPLOY, OperationKind.DELETE])
async def test_a_lost_server_that_was_the_edge_holds_up_nothing(bench: Bench, kind: OperationKind) -> None:
    plan_with(bench, left_edge=GATE)
    bench.fakes.fail("apply-edge", "server_unreachable", "Gate does not answer.", server="gate")

    result = await ending(await bench.deploy(kind))

    assert result.status is DeploymentStatus.FINISHED
    [finish] = bench.fakes.finishes().values()
    assert edge_steps(finish) == {"gate": StepStatus.FAILED}
