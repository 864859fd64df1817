"""What goes wrong in an activity reaches Temporal as a message, and its evidence only our database."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import text
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import StepInput, StepReference
from activities.step_recording import StepRecording
from domain.deployments import StepName
from domain.errors import BuildFailed, SeawayError
from store.database import Database

SECRET = "hunter2-of-the-database"


@dataclass
class Recorded:
    """Stands for the store: keeps what is written about the deployment."""

    values: dict[str, object] = field(default_factory=dict)

    async def set_step(self, *_: object, **__: object) -> None:
        return None

    async def update(self, _deployment_id: str, **values: object) -> None:
        self.values |= values


async def failing_with(error: Exception, recorded: Recorded) -> ApplicationError:
    """The error that Temporal would be given for an activity that raises this one."""

    async def execute_activity(_input: object) -> object:
        try:
            raise RuntimeError(f"connecting with {SECRET}")
        except RuntimeError as cause:
            raise error from cause

    store: Any = SimpleNamespace(deployments=recorded)
    following: Any = SimpleNamespace(execute_activity=execute_activity)
    recorder = StepRecording(store).intercept_activity(following)
    step = StepReference(deployment_id="d" * 24, name=StepName.BUILD, server="localhost")
    given: Any = SimpleNamespace(args=[StepInput(step=step, application_id="a" * 24)])

    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(recorder.execute_activity, given)
    return caught.value


def kept_by_temporal(error: BaseException) -> str:
    failure = Failure()
    DefaultFailureConverter().to_failure(error, DefaultPayloadConverter(), failure)
    return str(failure)


@pytest.mark.parametrize(
    "error",
    [BuildFailed("RUN make ended with exit code 1.", detail=SECRET), ValueError(SECRET)],
)
async def test_a_history_keeps_neither_the_evidence_of_a_failure_nor_what_caused_it(error: Exception) -> None:
    recorded = Recorded()
    kept = kept_by_temporal(await failing_with(error, recorded))
    assert SECRET not in kept
    if isinstance(error, SeawayError):
        assert error.message in kept
        assert recorded.values["error_detail"] == error.detail


async def test_a_statement_that_fails_does_not_say_with_which_values(tmp_path: Any) -> None:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    with pytest.raises(SQLAlchemyError) as caught:
        async with database.writing() as session:
            await session.exec(text("INSERT INTO nowhere VALUES (:value)"), params={"value": SECRET})  # type: ignore[call-overload]
    await database.close()
    assert SECRET not in str(caught.value)
