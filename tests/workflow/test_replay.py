"""Histories of workflows that may still run must be understood by the present code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from domain.errors import SeawayError
from tests.harness.waiting import eventually
from tests.workflow.bench import TASK_QUEUE_PREFIX, WORKFLOWS, Bench, ending
from tests.workflow.changed_workflows import DeploymentWithoutHealthCheck, QueueThatTellsNobody
from tests.workflow.record_histories import HISTORIES, KEPT, SCENARIOS

REPLAYED_AT_MOST = 25


def replayer(workflows: Sequence[type] = WORKFLOWS) -> Replayer:
    return Replayer(
        workflows=workflows,
        data_converter=pydantic_data_converter,
        workflow_failure_exception_types=[SeawayError],
    )


def recorded(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())


def test_every_recorded_scenario_has_its_history() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == {*SCENARIOS, *KEPT}


@pytest.mark.parametrize("name", [*SCENARIOS, *KEPT])
async def test_a_recorded_history_replays(name: str) -> None:
    result = await replayer().replay_workflow(recorded(name))
    assert result.replay_failure is None


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
def test_a_recorded_history_tells_nothing_of_the_machine_that_recorded_it(path: Path) -> None:
    text = path.read_text()
    assert "stackTrace" not in text
    assert "@" not in text  # Temporal's usual identity is process@host
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (DeploymentWithoutHealthCheck, "deployment-finished"),
        (DeploymentWithoutHealthCheck, "deployment-failed"),
        (QueueThatTellsNobody, "application-queue"),
    ],
)
async def test_an_incompatible_change_is_caught(changed: type, name: str) -> None:
    with pytest.raises(NondeterminismError):
        await replayer([changed]).replay_workflow(recorded(name))


async def test_the_histories_of_this_run_replay(bench: Bench, temporal_client: Client) -> None:
    """Those that the tests before this one made, the newest first."""
    handle = await bench.deploy()
    await ending(handle)
    query = f"TaskQueue STARTS_WITH '{TASK_QUEUE_PREFIX}'"

    async def visible() -> bool:
        return handle.id in [run.id async for run in temporal_client.list_workflows(query)]

    await eventually(visible)
    runs = temporal_client.list_workflows(query, limit=REPLAYED_AT_MOST)

    results = await replayer().replay_workflows(runs.map_histories(), raise_on_replay_failure=False)
    assert results.replay_failures == {}
