"""How long undoing waits for a server that lets nobody in."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.messages import StepInput, StepReference
from activities.step_recording import LEFT_FOR_LATER, StepRecording
from domain.deployments import StepName, StepStatus
from domain.errors import (
    DiskFull,
    EngineUnavailable,
    NotFound,
    NotPossibleNow,
    ProxyUnavailable,
    SeawayError,
    ServerUnreachable,
)
from domain.servers import ServerStatus

LONG_AGO, JUST_NOW = timedelta(0), timedelta(days=36500)


class Rows:
    """Stands for the deployments' table."""

    def __init__(self) -> None:
        self.moves: list[tuple[StepStatus, str | None]] = []

    async def set_step(
        self, _deployment: str, _name: str, _server: str, status: StepStatus, **values: Any
    ) -> None:
        self.moves.append((status, values["message"]))


class ServerRows:
    """Stands for the servers' table, which has one or none."""

    def __init__(self, **server: object) -> None:
        self.server = SimpleNamespace(id="east-id", name="east", **server) if server else None
        self.written: set[str] = set()

    async def get(self, _id: str) -> object:
        if self.server is None:
            raise NotFound("There is no such server.")
        return self.server

    async def set(self, _id: str, **values: object) -> None:
        self.written |= values.keys()


ANSWERS = ServerRows(status=ServerStatus.USABLE, is_reachable=True, is_usable=True)
AWAY = ServerRows(status=ServerStatus.UNREACHABLE, is_reachable=False, is_usable=False)
UNUSABLE = ServerRows(status=ServerStatus.NOT_USABLE, is_reachable=True, is_usable=False)
REMOVED_WHILE_IT_ANSWERS = ServerRows(status=ServerStatus.REMOVING, is_reachable=True, is_usable=True)
STOPPED = EngineUnavailable("Nothing listens there: Docker does not run.")


async def undone(
    error: SeawayError,
    patience: timedelta,
    servers: ServerRows = ANSWERS,
    *,
    is_lost: bool = False,
    undo: bool = True,
) -> tuple[ApplicationError, Rows]:
    rows = Rows()
    store: Any = SimpleNamespace(deployments=rows, servers=servers)

    async def fail(_input: object) -> object:
        raise error

    following: Any = SimpleNamespace(execute_activity=fail)
    recorder = StepRecording(store, patience=patience).intercept_activity(following)
    step = StepReference(
        deployment_id="d" * 24, name=StepName.START, server="east", undo=undo, is_lost=is_lost
    )
    given: Any = SimpleNamespace(args=[StepInput(step=step, application_id="a" * 24, server_id="e" * 24)])
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, schedule_to_close_timeout=None)
    with pytest.raises(ApplicationError) as caught:
        await environment.run(recorder.execute_activity, given)
    return caught.value, rows


async def test_a_server_that_was_away_before_anything_was_changed_there_is_not_waited_for() -> None:
    failure, _ = await undone(ServerUnreachable("East does not answer."), JUST_NOW, is_lost=True)
    assert failure.non_retryable
    failure, _ = await undone(EngineUnavailable("East's engine is busy."), LONG_AGO, is_lost=True)
    assert not failure.non_retryable


async def test_a_step_past_the_point_of_no_return_does_not_wait_either_for_what_was_waited_for() -> None:
    failure, rows = await undone(ServerUnreachable("East is off."), JUST_NOW, is_lost=True, undo=False)
    assert failure.non_retryable
    assert rows.moves[-1] == (StepStatus.FAILED, f"East is off. {LEFT_FOR_LATER}")
    failure, _ = await undone(ServerUnreachable("East is off."), JUST_NOW, undo=False)
    assert not failure.non_retryable


async def test_a_server_that_stays_away_is_given_up_at_once_when_the_patience_is_over() -> None:
    failure, rows = await undone(ServerUnreachable("East does not answer."), LONG_AGO)
    assert failure.non_retryable
    assert failure.type == "server_unreachable"
    assert rows.moves == [(StepStatus.FAILED, f"East does not answer. {LEFT_FOR_LATER}")]


@pytest.mark.parametrize(
    ("patience", "is_lost"), [(LONG_AGO, False), (JUST_NOW, True)], ids=["waited for", "away before"]
)
async def test_a_server_whose_engine_stays_away_is_given_up_like_one_that_lets_nobody_in(
    patience: timedelta, is_lost: bool
) -> None:
    failure, rows = await undone(STOPPED, patience, UNUSABLE, is_lost=is_lost)
    assert (failure.non_retryable, failure.type) == (True, "server_unreachable")
    assert rows.moves == [(StepStatus.FAILED, f"{STOPPED.message} {LEFT_FOR_LATER}")]


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (
            ServerRows(status=ServerStatus.REMOVING, is_reachable=False),
            "'east' does not answer, and is being",
        ),
        (ServerRows(), "has been removed"),
    ],
)
async def test_a_server_that_is_forgotten_is_not_asked_to_undo_anything(
    servers: ServerRows, said: str
) -> None:
    asked = AssertionError("It is not asked at all.")
    failure, rows = await undone(cast(SeawayError, asked), JUST_NOW, servers)
    assert (failure.non_retryable, failure.type) == (True, "server_unreachable")
    [(status, message)] = rows.moves
    assert (status, said in (message or "")) == (StepStatus.FAILED, True)


@pytest.mark.parametrize(
    ("error", "patience", "servers"),
    [
        (ServerUnreachable("East does not answer."), JUST_NOW, AWAY),
        (ServerUnreachable("East does not answer."), JUST_NOW, ANSWERS),
        (STOPPED, JUST_NOW, UNUSABLE),
        (ProxyUnavailable("The proxy is silent."), JUST_NOW, ANSWERS),
        (DiskFull("The disk is full."), JUST_NOW, ANSWERS),
        (EngineUnavailable("The network is in use."), LONG_AGO, ANSWERS),
        (EngineUnavailable("The network is in use."), LONG_AGO, REMOVED_WHILE_IT_ANSWERS),
    ],
)
async def test_whatever_else_is_undone_until_it_works(
    error: SeawayError, patience: timedelta, servers: ServerRows
) -> None:
    servers.written.clear()
    failure, rows = await undone(error, patience, servers)
    assert not failure.non_retryable
    assert rows.moves == []
    assert servers.written == set()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServerUnreachable("East does not answer."), "server_unreachable"),
        (ProxyUnavailable("The proxy is silent."), "server_unreachable"),
        (DiskFull("The disk is full."), "disk_full"),
        (NotPossibleNow("The file system is read-only."), "not_possible_now"),
    ],
    ids=lambda value: value.code if isinstance(value, SeawayError) else "",
)
async def test_what_nobody_may_ever_mend_is_given_up_and_settled_later_although_the_server_is_usable(
    error: SeawayError, code: str
) -> None:
    servers = ServerRows(status=ServerStatus.USABLE, is_reachable=True, is_usable=True)
    failure, rows = await undone(error, LONG_AGO, servers)
    assert (failure.non_retryable, failure.type) == (True, code)
    assert rows.moves == [(StepStatus.FAILED, f"{error.message} {LEFT_FOR_LATER}")]
    assert servers.written == {"unsettled_since"}
