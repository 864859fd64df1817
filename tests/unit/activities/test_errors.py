"""Errors on their way to Temporal and to a server's steps."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities import server_step_recording
from activities.errors import LONGEST_MESSAGE
from activities.server_step_recording import LONGEST_EVIDENCE, ServerSteps, StepOutput
from domain.errors import NotPossibleNow
from domain.servers import ServerStepName


async def test_what_a_server_says_does_not_make_an_error_that_nobody_takes() -> None:
    written: list[dict[str, Any]] = []

    async def move_step(*_: object, **values: Any) -> None:
        written.append(values)

    async def fail(_output: StepOutput) -> m.StepOutcome:
        raise NotPossibleNow("No: " + "x" * 10**7, detail="y" * 10**7 + "its end")

    store: Any = SimpleNamespace(servers=SimpleNamespace(move_step=move_step))
    steps = ServerSteps(store, None)  # type: ignore[arg-type]
    with pytest.raises(ApplicationError) as raised:
        await ActivityEnvironment().run(steps.run, "far", ServerStepName.REACH, fail)
    assert len(raised.value.message) <= LONGEST_MESSAGE
    assert len(written[-1]["message"]) <= LONGEST_MESSAGE
    assert len(written[-1]["detail"]) <= LONGEST_EVIDENCE
    assert written[-1]["detail"].endswith("its end")


async def test_a_step_of_a_server_that_hangs_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_step_recording, "STEP_LIMIT", timedelta(seconds=0.05))
    written: list[dict[str, Any]] = []

    async def move_step(*_: object, **values: Any) -> None:
        written.append(values)

    async def hang(_output: StepOutput) -> m.StepOutcome:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    store: Any = SimpleNamespace(servers=SimpleNamespace(move_step=move_step))
    steps = ServerSteps(store, None)  # type: ignore[arg-type]
    with pytest.raises(ApplicationError, match="'Prerequisites' did not end within") as raised:
        await ActivityEnvironment().run(steps.run, "far", ServerStepName.PREREQUISITES, hang)
    assert raised.value.non_retryable
    assert written[-1]["message"] == raised.value.message
