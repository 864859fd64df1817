"""Around every activity: heartbeats, errors with types, and the step's line in the database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.errors import ActivityFailure, application_error, unexpected_error
from activities.messages import StepInput, StepOutcome, StepReference
from domain.deployments import StepStatus
from domain.errors import NotFound, SeawayError, ServerUnreachable
from domain.release_policies import CANNOT_WRITE, STAYS_SO
from domain.server_systems import lets_us_in
from domain.servers import ServerStatus
from store.columns import now
from store.store import Store
from store.tables import Server

HEARTBEAT_SECONDS = 1.0
LOST_SERVER_PATIENCE = timedelta(minutes=10)
LEFT_FOR_LATER = "What is left there is taken away when the server answers again."
logger = logging.getLogger("seaway.activities")


class _GivenUp(ServerUnreachable):
    """Nobody expects an answer of this server any more."""


class StepRecording(Interceptor):
    """Gives every activity of a worker what they have in common."""

    def __init__(self, store: Store, *, patience: timedelta = LOST_SERVER_PATIENCE) -> None:
        """`patience` is how long what must happen in the end waits for a server that cannot be used."""
        self._store = store
        self._patience = patience

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Puts itself in front of the activity."""
        return _Recorder(next, self._store, self._patience)


class _Recorder(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, store: Store, patience: timedelta) -> None:
        super().__init__(next)
        self._store = store
        self._patience = patience

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Runs the activity; its errors come out as ApplicationError with a code."""
        reference = getattr(input.args[0], "step", None) if input.args else None
        async with _heartbeats():
            if not isinstance(reference, StepReference):
                return await self._mapped(input, relentless=_has_no_limit())
            if reference.undo:
                return await self._back(reference, input)
            return await self._forward(reference, input)

    async def _back(self, reference: StepReference, input: ExecuteActivityInput) -> Any:
        try:
            answer = await self._mapped(input, relentless=True, at_once=reference.is_lost)
        except ApplicationError as error:
            if error.non_retryable:
                await self._move(reference, StepStatus.FAILED, message=error.message)
            raise
        await self._move(reference, StepStatus.COMPENSATED)
        return answer

    async def _forward(self, reference: StepReference, input: ExecuteActivityInput) -> Any:
        try:
            async with self._shown_running(reference):
                answer = await self._mapped(input, relentless=_has_no_limit(), at_once=reference.is_lost)
        except asyncio.CancelledError:
            # A worker that shuts down is no cancellation: another one goes on with this step.
            if not activity.is_worker_shutdown():
                await self._move(reference, StepStatus.FAILED, message="Cancelled.")
            raise
        except ApplicationError as error:
            if error.non_retryable and _has_no_limit():
                # The version serves already; what could not be done any more is no failure of it.
                await self._move(reference, StepStatus.FAILED, message=error.message)
            elif error.non_retryable:
                await self._fail(reference, error)
            else:
                retrying = f"{error.message} Trying again."
                await self._move(reference, StepStatus.RUNNING, message=retrying)
            raise
        outcome = answer if isinstance(answer, StepOutcome) else StepOutcome()
        status = StepStatus.SKIPPED if outcome.skipped else StepStatus.SUCCEEDED
        status = StepStatus.RUNNING if outcome.waits else status
        await self._move(reference, status, message=outcome.message)
        return answer

    @contextlib.asynccontextmanager
    async def _shown_running(self, reference: StepReference) -> AsyncIterator[None]:
        """Records the start beside the work, which need not wait for it; it is written before the end is."""
        started = asyncio.create_task(self._move(reference, StepStatus.RUNNING, message=""))
        try:
            yield
        finally:
            await asyncio.wait([started])
            failure = started.exception()
        if failure:
            raise failure

    async def _mapped(self, input: ExecuteActivityInput, *, relentless: bool, at_once: bool = False) -> Any:
        """`at_once`: the server was out of reach before, so there is no patience with it."""
        info = activity.info()
        try:
            if relentless:
                await self._refuse_given_up(input)
            return await self.next.execute_activity(input)
        except SeawayError as error:
            logger.warning(
                "%s of %s, attempt %d: %s", info.activity_type, info.workflow_id, info.attempt, error.message
            )
            is_late = at_once or datetime.now(UTC) - info.scheduled_time >= self._patience
            is_lost = isinstance(error, _GivenUp)
            if relentless and is_late and not is_lost and await self._is_away(error, input):
                error, is_lost = _given_up(error), True
            if is_lost:
                await self._expect_remains(input)
            raise application_error(
                error, attempt=info.attempt, relentless=relentless, is_lost=is_lost
            ) from None
        except (ApplicationError, asyncio.CancelledError):
            raise
        except Exception as error:
            logger.exception("activity %s failed unexpectedly", info.activity_type)
            raise unexpected_error(
                info.activity_type, error, attempt=info.attempt, relentless=relentless
            ) from None

    async def _refuse_given_up(self, input: ExecuteActivityInput) -> None:
        """Who forgets a server must not wait for what is undone there."""
        try:
            server = await self._server_of(input)
        except NotFound:
            raise _GivenUp("The server has been removed.") from None
        if server is not None and server.status == ServerStatus.REMOVING and not server.is_reachable:
            raise _GivenUp(f"The server '{server.name}' does not answer, and is being removed.")

    async def _is_away(self, error: SeawayError, input: ExecuteActivityInput) -> bool:
        """Whether the server lets nobody in, was found unusable, or has a fault that somebody has to mend.

        An engine that merely refuses does so for a moment, so there it is tried until it works.
        """
        if not lets_us_in(error.code) or error.code in STAYS_SO:
            return True
        try:
            server = await self._server_of(input)
        except NotFound:
            return True
        return server is not None and not server.is_usable

    async def _expect_remains(self, input: ExecuteActivityInput) -> None:
        """The next look that finds the server usable settles what is left there, however it stood before."""
        with contextlib.suppress(NotFound):
            if (server := await self._server_of(input)) is not None:
                await self._store.servers.set(server.id, unsettled_since=now())

    async def _server_of(self, input: ExecuteActivityInput) -> Server | None:
        """The one that a step concerns, if it concerns one. Raises NotFound once it has been removed."""
        argument = input.args[0] if input.args else None
        if not isinstance(argument, StepInput) or not argument.server_id:
            return None
        return await self._store.servers.get(argument.server_id)

    async def _fail(self, reference: StepReference, error: ApplicationError) -> None:
        await self._move(reference, StepStatus.FAILED, message=error.message)
        # Evidence (log lines, a build's output) may hold what its owner let slip into a log: it goes
        # to our own database and never into a workflow's history.
        evidence = error.evidence if isinstance(error, ActivityFailure) else ""
        await self._store.deployments.update(
            reference.deployment_id,
            error_code=error.type or "",
            error_message=error.message,
            error_detail=evidence,
        )

    async def _move(
        self, reference: StepReference, status: StepStatus, *, message: str | None = None
    ) -> None:
        attempt = None if reference.undo else activity.info().attempt
        await self._store.deployments.set_step(
            reference.deployment_id,
            reference.name,
            reference.server,
            status,
            attempt=attempt,
            message=message,
        )


def _given_up(error: SeawayError) -> SeawayError:
    """The final error. Where nothing can be written it stays what it is: what is there may well serve."""
    message = f"{error.message} {LEFT_FOR_LATER}"
    kind = type(error) if error.code in CANNOT_WRITE else _GivenUp
    return kind(message, detail=error.detail)


def _has_no_limit() -> bool:
    """Whether the workflow wants this tried for ever: there is no way back, so giving up is no way out."""
    return not activity.info().schedule_to_close_timeout


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    task = asyncio.create_task(_beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)
