"""Errors on their way to Temporal and to a server's steps."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import messages as m
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
