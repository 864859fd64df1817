"""Much of what a worker does is waiting, for hours: that must not keep what is short from its turn."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity

from activities import messages as m
from activities import signatures as s
from domain.deployments import DeploymentStatus
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending
from tests.workflow.fake_activities import LIMIT_SECONDS

WAITS = 100


@pytest.mark.thorough
async def test_a_release_has_its_turn_while_a_hundred_activities_of_the_worker_wait(bench: Bench) -> None:
    may_end = asyncio.Event()
    waiting: set[str] = set()

    async def wait(task: m.ServerTask) -> m.StepOutcome:
        waiting.add(task.server_id)
        while not may_end.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.5)
        return m.StepOutcome()

    bench.fakes.real[s.CLEAN_UP_SERVER.name] = wait
    cleaning = await bench.clean(*[f"server-{number}" for number in range(WAITS)])
    await eventually(lambda: len(waiting) == WAITS, LIMIT_SECONDS, describe=lambda: f"{len(waiting)} waits")
    assert (await ending(await bench.deploy())).status is DeploymentStatus.FINISHED
    assert len(waiting) == WAITS
    may_end.set()
    await ending(cleaning)
