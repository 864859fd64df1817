"""The log of a step keeps every line, however slowly it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities.messages import StepReference
from activities.step_log import step_log
from domain.deployments import StepName
from domain.redaction import Redactor
from store.logs import LogStore

STEP = StepReference(deployment_id="deployment", name=StepName.BUILD, server="localhost")


class SlowLogs:
    """Stores lines only when it is let to."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.storing = asyncio.Event()
        self.may_store = asyncio.Event()

    async def open(self, *_: object) -> None:
        """Nothing was written before."""

    async def append(
        self, deployment_id: str, step: str, server: str, attempt: int, lines: Sequence[tuple[datetime, str]]
    ) -> None:
        taken = [text for _, text in lines]
        self.storing.set()
        await self.may_store.wait()
        self.stored += taken


async def run(logs: SlowLogs, *, fail: bool = False) -> None:
    async with step_log(cast(LogStore, logs), STEP, Redactor([])) as write:
        write("first")
        await logs.storing.wait()
        write("while the first is stored")
        asyncio.get_running_loop().call_soon(logs.may_store.set)
        if fail:
            raise ValueError("the work failed")


async def test_lines_that_come_while_others_are_stored_are_stored_at_the_end() -> None:
    logs = SlowLogs()
    await ActivityEnvironment().run(run, logs)
    assert logs.stored == ["first", "while the first is stored"]


async def test_all_lines_of_work_that_fails_are_stored() -> None:
    logs = SlowLogs()

    async def work() -> None:
        await run(logs, fail=True)

    with pytest.raises(ValueError, match="the work failed"):
        await ActivityEnvironment().run(work)
    assert logs.stored == ["first", "while the first is stored"]
