"""The lines of a server's provisioning in the database, with what a step prints while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from temporalio import activity

from activities import messages as m
from activities.errors import ActivityFailure, application_error, unexpected_error
from activities.servers import Servers
from adapters.ssh.first_contact import first_contact
from domain.deployments import StepStatus
from domain.errors import DeadlineExceeded, HostKeyChanged, SeawayError
from domain.servers import SERVER_STEP_TITLES, ServerStepName
from store.store import Store

KEPT_LINES = 200
LONGEST_LINE = 1000
LONGEST_EVIDENCE = 20_000
"""Characters of what a command said last."""

WRITE_SECONDS = 1.0
STEP_LIMIT = timedelta(minutes=2)
"""How long one try of a step may take that asks for little. `workflows.policies` is somewhat more patient."""

LONG_STEP_LIMITS = {
    # The proxy's image travels to the server.
    ServerStepName.PROXY: timedelta(minutes=6),
    # Packages come from a slow mirror, after another program has let go of them.
    ServerStepName.ENGINE: timedelta(minutes=20),
}
logger = logging.getLogger("seaway.activities")


class StepOutput:
    """The last lines that a step has printed."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.written = ""

    def line(self, text: str) -> None:
        """Hears one line."""
        self._lines.append(text[:LONGEST_LINE])

    @property
    def text(self) -> str:
        """What is kept of it."""
        return "\n".join(self._lines)


Work = Callable[[StepOutput], Awaitable[m.StepOutcome]]


class ServerSteps:
    """Runs the steps of servers, and writes down how they go."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    async def run(self, server_id: str, name: ServerStepName, work: Work) -> m.StepOutcome:
        """The step's outcome. Its errors come out as those of `activities.errors`, written down."""
        attempt = activity.info().attempt
        limit = LONG_STEP_LIMITS.get(name, STEP_LIMIT)
        output = StepOutput()
        await self._store.servers.move_step(
            server_id, name, StepStatus.RUNNING, attempt=attempt, message="", detail=""
        )
        try:
            async with self._written(server_id, name, output):
                outcome = await _within(limit, name, work(output))
        except SeawayError as error:
            if isinstance(error, HostKeyChanged):
                await note_shown_key(self._store, self._servers, server_id, error)
            logger.warning("%s of server %s, attempt %d: %s", name, server_id, attempt, error.message)
            failure = application_error(error, attempt=attempt, relentless=False)
            await self._fail(server_id, name, failure, output)
            raise failure from None
        except asyncio.CancelledError:
            # A worker that shuts down is no cancellation: another one goes on with this step.
            if not activity.is_worker_shutdown():
                await self._store.servers.move_step(server_id, name, StepStatus.FAILED, message="Cancelled.")
            raise
        except Exception as error:
            logger.exception("step %s of server %s failed unexpectedly", name, server_id)
            failure = unexpected_error(
                activity.info().activity_type, error, attempt=attempt, relentless=False
            )
            await self._fail(server_id, name, failure, output)
            raise failure from None
        status = StepStatus.SKIPPED if outcome.skipped else StepStatus.SUCCEEDED
        await self._store.servers.move_step(
            server_id, name, status, message=outcome.message, detail=output.text
        )
        return outcome

    async def _fail(
        self, server_id: str, name: ServerStepName, failure: ActivityFailure, output: StepOutput
    ) -> None:
        detail = "\n".join(filter(None, (output.text, failure.evidence[-LONGEST_EVIDENCE:])))
        if failure.non_retryable:
            status, message = StepStatus.FAILED, failure.message
        else:
            status, message = StepStatus.RUNNING, f"{failure.message} Trying again."
        await self._store.servers.move_step(server_id, name, status, message=message, detail=detail)

    @contextlib.asynccontextmanager
    async def _written(self, server_id: str, name: ServerStepName, output: StepOutput) -> AsyncIterator[None]:
        """What is printed can be read while the step still runs."""
        writer = asyncio.create_task(self._write(server_id, name, output))
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    async def _write(self, server_id: str, name: ServerStepName, output: StepOutput) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            if output.text != output.written:
                output.written = output.text
                await self._store.servers.move_step(
                    server_id, name, StepStatus.RUNNING, detail=output.written
                )


async def _within(limit: timedelta, name: ServerStepName, work: Awaitable[m.StepOutcome]) -> m.StepOutcome:
    try:
        async with asyncio.timeout(limit.total_seconds()) as running:
            return await work
    except TimeoutError as error:
        if not running.expired():
            raise
        minutes = limit.total_seconds() / 60
        raise DeadlineExceeded(
            f"'{SERVER_STEP_TITLES[name]}' did not end within {minutes:g} minutes, so the server hangs "
            "or is very slow. Look at its load and its disks (uptime, dmesg), then check it again."
        ) from error


async def note_shown_key(store: Store, servers: Servers, server_id: str, error: HostKeyChanged) -> None:
    """Keeps the key that the server shows, for a person to accept; not that of a jump host before it."""
    with contextlib.suppress(SeawayError):
        target = (await servers.link(server_id)).target
        shown = await first_contact(target.address, jump=target.jump)
        if shown.fingerprint == error.shown:
            await store.servers.set(server_id, shown_host_key=shown.text)
