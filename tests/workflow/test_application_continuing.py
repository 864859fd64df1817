"""An application's queue whose history grows continues as new, and loses and doubles nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from domain.deployments import DeploymentStatus, OperationKind
from tests.harness.temporal import TemporalServer
from tests.workflow.bench import Bench, ending, running_worker
from tests.workflow.fake_activities import FakeActivities
from tests.workflow.plans import short_plan
from workflows import names

DEPLOY, RESTART, DELETE = OperationKind.DEPLOY, OperationKind.RESTART, OperationKind.DELETE
SUGGESTED_AFTER_EVENTS = 20

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
async def impatient_client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of a server that suggests to continue as new after a few commands."""
    server = TemporalServer(
        tmp_path_factory.mktemp("impatient"),
        dynamic_configuration=[
            f"limit.historyCount.suggestContinueAsNew={SUGGESTED_AFTER_EVENTS}",
            # A run that lived for less than this (1 s) would wait before it continues.
            'history.workflowIdReuseMinimalInterval="0s"',
        ],
    )
    try:
        await server.start()
        yield await server.connect()
    finally:
        await server.stop()


@pytest.fixture
async def impatient_bench(impatient_client: Client, no_complaints: None) -> AsyncIterator[Bench]:
    bench = Bench(impatient_client, FakeActivities(short_plan))
    async with running_worker(bench):
        yield bench


async def runs_of_queue(bench: Bench) -> list[WorkflowExecutionStatus | None]:
    query = f"WorkflowId = '{names.application_workflow_id(bench.application_id)}'"
    return [run.status async for run in bench.client.list_workflows(query)]


async def test_continuing_as_new_under_load_loses_and_doubles_nothing(impatient_bench: Bench) -> None:
    bench = impatient_bench
    kinds = [RESTART, DEPLOY]
    commands = [bench.command(kinds[n % 2], f"command-{n}") for n in range(12)]

    async def one_caller(share: slice) -> list[str]:
        return [old for command in commands[share] for old in (await bench.submit(command)).superseded]

    shares = await asyncio.gather(*[one_caller(slice(n, None, 4)) for n in range(4)])
    await bench.until_recorded(*[f"command-{n}" for n in range(12)])

    superseded = [old for share in shares for old in share]
    ids = [command.deployment_id for command in commands]
    assert sorted([*bench.fakes.begun(), *superseded]) == sorted(ids)
    assert bench.fakes.most_at_once == 1
    outcomes = bench.fakes.outcomes()
    assert outcomes == {
        **dict.fromkeys(ids, DeploymentStatus.FINISHED),
        **dict.fromkeys(superseded, DeploymentStatus.SUPERSEDED),
    }

    again = await bench.submit(commands[0], "again")
    await bench.submit(bench.command(DELETE, "delete"))
    await ending(bench.queue)
    assert again.repeated
    assert bench.fakes.begun().count(commands[0].deployment_id) == 1
    assert (await runs_of_queue(bench)).count(WorkflowExecutionStatus.CONTINUED_AS_NEW) >= 2


async def test_a_queue_that_is_never_empty_continues_as_new_with_those_that_wait(
    impatient_bench: Bench,
) -> None:
    bench = impatient_bench
    held = bench.fakes.hold("apply-routes", deployment_id=bench.id_of("command-0"))
    for n in range(5):
        await bench.submit(bench.command(RESTART, f"command-{n}"))
    held.release()
    await bench.until_recorded(*[f"command-{n}" for n in range(5)])

    assert bench.fakes.begun() == [bench.id_of(f"command-{n}") for n in range(5)]
    assert (await bench.queue.describe()).typed_search_attributes[names.APPLICATION] == bench.application_id
    assert WorkflowExecutionStatus.CONTINUED_AS_NEW in await runs_of_queue(bench)
