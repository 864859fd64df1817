"""The log of a step keeps every line, however slowly it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import cast

import pytest
from sqlalchemy.exc import OperationalError
from temporalio.testing import ActivityEnvironment

from activities import step_log as step_log_module
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


class LogsWithoutRoom:
    """A database that takes nothing for a while, and never a line that holds `poison`."""

    def __init__(self, refusals: int = 0) -> None:
        self.stored: list[str] = []
        self.refusals = refusals
        self.refused = asyncio.Event()

    async def open(self, *_: object) -> None:
        """Nothing was written before."""

    async def append(
        self, deployment_id: str, step: str, server: str, attempt: int, lines: Sequence[tuple[datetime, str]]
    ) -> None:
        taken = [text for _, text in lines]
        if taken and (self.refusals > 0 or "poison" in taken):
            self.refusals -= 1
            self.refused.set()
            raise OperationalError("INSERT", {}, OSError("database or disk is full"))
        self.stored += taken


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_log_module, "PAUSE_SECONDS", 0.01)


async def log_lines(logs: LogsWithoutRoom, *lines: str, fail: bool = False) -> None:
    async with step_log(cast(LogStore, logs), STEP, Redactor([])) as write:
        for line in lines:
            write(line)
        await logs.refused.wait()
        write("last")
        if fail:
            raise ValueError("the work failed")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("refusals", [1, 3])
async def test_lines_that_the_database_does_not_take_at_once_are_stored_later(refusals: int) -> None:
    logs = LogsWithoutRoom(refusals)
    await ActivityEnvironment().run(log_lines, logs, "first")
    assert logs.stored == ["first", "last"]


@pytest.mark.usefixtures("impatient")
async def test_no_step_fails_for_lines_that_cannot_be_stored_and_its_log_says_that_they_are_missing() -> None:
    logs = LogsWithoutRoom()
    await ActivityEnvironment().run(log_lines, logs, "poison")
    assert logs.stored == ["… 2 lines could not be stored …"]


@pytest.mark.usefixtures("impatient")
async def test_a_log_that_cannot_be_stored_hides_no_error_of_the_work() -> None:
    async def work() -> None:
        await log_lines(LogsWithoutRoom(99), "first", fail=True)

    with pytest.raises(ValueError, match="the work failed"):
        await ActivityEnvironment().run(work)
