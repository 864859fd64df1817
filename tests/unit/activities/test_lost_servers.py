"""How long undoing waits for a server that lets nobody in."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import StepInput, StepReference
from activities.step_recording import StepRecording
from domain.deployments import StepName, StepStatus
from domain.errors import EngineUnavailable, SeawayError, ServerUnreachable

LONG_AGO, JUST_NOW = timedelta(0), timedelta(hours=1)


class Rows:
    """Stands for the deployments' table."""

    def __init__(self) -> None:
        self.moves: list[tuple[StepStatus, str | None]] = []

    async def set_step(
        self, _deployment: str, _name: str, _server: str, status: StepStatus, **values: Any
    ) -> None:
        self.moves.append((status, values["message"]))


async def undone(error: SeawayError, patience: timedelta) -> tuple[ApplicationError, Rows]:
    rows = Rows()
    store: Any = SimpleNamespace(deployments=rows)

    async def fail(_input: object) -> object:
        raise error

    following: Any = SimpleNamespace(execute_activity=fail)
    recorder = StepRecording(store, patience=patience).intercept_activity(following)
    step = StepReference(deployment_id="d" * 24, name=StepName.START, server="east", undo=True)
    given: Any = SimpleNamespace(args=[StepInput(step=step, application_id="a" * 24)])
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(recorder.execute_activity, given)
    return caught.value, rows


async def test_a_server_that_stays_away_is_given_up_at_once_when_the_patience_is_over() -> None:
    failure, rows = await undone(ServerUnreachable("East does not answer."), LONG_AGO)
    assert failure.non_retryable
    assert failure.type == "server_unreachable"
    assert rows.moves == [(StepStatus.FAILED, "East does not answer.")]


@pytest.mark.parametrize(
    ("error", "patience"),
    [
        (ServerUnreachable("East does not answer."), JUST_NOW + timedelta(days=36500)),
        (EngineUnavailable("Docker does not answer."), LONG_AGO),
    ],
)
async def test_whatever_else_is_undone_until_it_works(error: SeawayError, patience: timedelta) -> None:
    failure, rows = await undone(error, patience)
    assert not failure.non_retryable
    assert rows.moves == []
