"""The slot that a deployment builds in: asked for, waited for, and given back in the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from workflows import names
from workflows.calls import call
from workflows.compensation import all_or_nothing
from workflows.policies import SHORT
from workflows.release import CANCELLED, InputFor, ReleaseSteps

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import StepName, StepStatus
    from workflows.failures import failure_of

ASK_AGAIN = (timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=30))
"""For the present place in the queue, for another server with room, for one that answers again."""
LONGEST_WAIT = timedelta(hours=6)
NO_SLOT_CODE = "deadline_exceeded"


@dataclass
class Wish:
    """One of these servers shall build; `shown` is the one that the step names.

    `lost` are those that began to and were lost.
    """

    steps: ReleaseSteps
    servers: tuple[m.PlannedServer, ...]
    shown: m.PlannedServer
    waits_on: str = ""
    lost: tuple[str, ...] = ()


class DeploymentSlots:
    """The slots of one deployment, on one server or, where each builds for itself, on several."""

    def __init__(self, command: m.Command) -> None:
        """Nothing is asked for yet."""
        self._command = command
        self._granted: set[str] = set()
        self._asked: list[str] = []
        self._releases: list[asyncio.Task[None]] = []

    def grant(self, server_id: str) -> None:
        """A server's workflow has given the slot that was waited for."""
        self._granted.add(server_id)

    def wish(
        self,
        steps: ReleaseSteps,
        servers: Sequence[m.PlannedServer],
        planned: m.PlannedServer,
        lost: Sequence[str] = (),
    ) -> Wish:
        """A slot on one of these servers, to be asked for; what comes of it is given back in any case."""
        self._asked += [server.id for server in servers if server.id not in self._asked]
        return Wish(steps, tuple(servers), planned, lost=tuple(lost))

    def asking(self, build: InputFor[m.BuildImage], wish: Wish) -> InputFor[m.BuildImage]:
        """The same build, which asks for the slot itself."""
        request = self._request(wish)

        def make(step: m.StepReference, server_id: str) -> m.BuildImage:
            return build(step, server_id).model_copy(update={"lease": request})

        return make

    async def lease(self, wish: Wish, asked: m.BuildSlotLease | None = None) -> m.PlannedServer:
        """The server that has room; waits for it, visibly in the step, up to a limit.

        `asked` is what was answered already. Raises ApplicationError when the limit is reached, what the
        activity raised, and CancelledError.
        """
        try:
            return await self._until_granted(wish, asked)
        except (ActivityError, ApplicationError, asyncio.CancelledError) as error:
            message = CANCELLED if is_cancelled_exception(error) else failure_of(error).message
            wish.steps.show(StepName.BUILD, wish.shown, StepStatus.FAILED, message)
            raise

    async def _until_granted(self, wish: Wish, asked: m.BuildSlotLease | None) -> m.PlannedServer:
        until = workflow.now() + LONGEST_WAIT
        for tries in itertools.count():
            lease = self._shown(wish, asked or await self._ask(wish))
            asked = None
            pause = ASK_AGAIN[min(tries, len(ASK_AGAIN) - 1)]
            if lease.is_granted or await self._is_granted(wish.waits_on, pause):
                return wish.shown
            if workflow.now() >= until:
                break
        hours = LONGEST_WAIT.total_seconds() / 3600
        message = f"No server had room to build within {hours:g} hours. {lease.message}"
        raise ApplicationError(message, type=NO_SLOT_CODE, non_retryable=True)

    def _request(self, wish: Wish) -> m.LeaseBuildSlot:
        return m.LeaseBuildSlot(
            deployment_id=self._command.deployment_id,
            application_id=self._command.application_id,
            project_id=self._command.project_id,
            servers=wish.servers,
            shown_on=wish.shown.name,
            waits_on=wish.waits_on,
            lost=wish.lost,
        )

    async def _ask(self, wish: Wish) -> m.BuildSlotLease:
        # By itself, a call that ends well in spite of a cancellation would hide that cancellation.
        [lease] = await all_or_nothing([call(s.LEASE_BUILD_SLOT, self._request(wish), SHORT)])
        return lease

    def _shown(self, wish: Wish, lease: m.BuildSlotLease) -> m.BuildSlotLease:
        wish.waits_on = lease.server.id if lease.server else ""
        if lease.server is not None:
            wish.steps.place(StepName.BUILD, wish.shown, lease.server)
            wish.shown = lease.server
        if not lease.is_granted:
            wish.steps.show(StepName.BUILD, wish.shown, StepStatus.RUNNING, lease.message)
        return lease

    async def _is_granted(self, server_id: str, pause: timedelta) -> bool:
        try:
            await workflow.wait_condition(lambda: server_id in self._granted, timeout=pause)
        except TimeoutError:
            return False
        return True

    def release(self, server_ids: Sequence[str] | None = None) -> None:
        """Begins to give back every slot, or those on these servers; the deployment need not wait for it."""
        leaving = [one for one in self._asked if server_ids is None or one in server_ids]
        self._asked = [one for one in self._asked if one not in leaving]
        self._granted -= set(leaving)
        self._releases += [asyncio.create_task(self._tell(server_id)) for server_id in leaving]

    async def settle(self) -> None:
        """Returns once every server knows that its slot is free; one without a workflow has none."""
        if pending := [task for task in self._releases if not task.done()]:
            await workflow.wait(pending)

    async def _tell(self, server_id: str) -> None:
        handle = workflow.get_external_workflow_handle(names.server_workflow_id(server_id))
        released = m.BuildSlotRelease(deployment_id=self._command.deployment_id)
        try:
            await handle.signal(names.RELEASE_BUILD_SLOT_SIGNAL, released)
        except FailureError as error:
            workflow.logger.info("the slot on %s went with its server: %s", server_id, error)
