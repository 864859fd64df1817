"""The life of one server over SSH: made usable, looked at again and again, and let go of."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import StepStatus
    from domain.servers import ServerStatus, ServerStepName
    from workflows import names
    from workflows.calls import call
    from workflows.compensation import all_or_nothing, to_the_end
    from workflows.failures import CANCELLED_CODE, Failure, failure_of
    from workflows.policies import INSTALL, LOOK, RECORD, SERVER_STEP, SHORT, UNDO, Policy
    from workflows.server_slots import ServerSlots
    from workflows.server_state import ServerState

REMEMBERED_REQUESTS = 50
LOOKS_IN_ONE_HISTORY = 50
RESOURCES_PAUSE = timedelta(seconds=2)
RESOURCES_LIMIT = timedelta(hours=1)
CANCELLED = "Cancelled. Ask for it again."
REMOVAL_ENDS_LOOK = "removal-ends-look"
NEWER_REMOVAL_COUNTS = "newer-removal-counts"
"""Workflows from before go on as they began (Temporal's patching)."""

STEPS: tuple[tuple[ServerStepName, s.Signature[m.ServerTask, m.StepOutcome], Policy], ...] = (
    (ServerStepName.REACH, s.REACH_SERVER, SERVER_STEP),
    (ServerStepName.SYSTEM, s.LOOK_AT_SYSTEM, SERVER_STEP),
    (ServerStepName.PREREQUISITES, s.CHECK_PREREQUISITES, SERVER_STEP),
    (ServerStepName.ENGINE, s.ENSURE_ENGINE, INSTALL),
    (ServerStepName.ENGINE_VERSION, s.CHECK_ENGINE_VERSION, SERVER_STEP),
    (ServerStepName.FOLDERS, s.ENSURE_FOLDERS, SERVER_STEP),
    (ServerStepName.PROXY, s.ENSURE_PROXY, SHORT),
)


@workflow.defn(name=names.SERVER_WORKFLOW)
class ServerWorkflow:
    """Provisions a server when asked, and looks at it every minute once it has been usable.

    Updates: `provision` and `remove` answer at once; what they began is told by the query `progress`. A
    removal ends a provisioning or a look under way. It lives until the server is removed.

    It also keeps the slots of builds: see `ServerSlots`.
    """

    @workflow.init
    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._slots = ServerSlots(state)
        self._provisioning: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[Any] | None = None
        self._looks = 0
        self._look_now = False

    @workflow.run
    async def run(self, state: ServerState) -> None:
        """Does one thing after the other until the server is gone."""
        keeping = self._slots.keep()
        try:
            await self._live()
        finally:
            for task in keeping:
                task.cancel()

    async def _live(self) -> None:
        while True:
            await self._until_due()
            if self._is_long():
                await workflow.wait_condition(
                    lambda: workflow.all_handlers_finished() and not self._slots.is_checking
                )
                workflow.continue_as_new(self._state)
            if self._state.removal is not None:
                gone = await self._remove(self._state.removal)
            elif self._state.provision:
                gone = await self._provision()
            else:
                gone = await self._look()
            workflow.set_current_details(self._state.markdown())
            if gone:
                return

    async def _until_due(self) -> None:
        pause = self._state.again_after if self._state.is_watched else None
        try:
            await workflow.wait_condition(self._is_due, timeout=pause)
        except TimeoutError:
            return  # Nobody asked for anything: it is time for a look.

    def _is_due(self) -> bool:
        asked = self._state.provision or self._state.removal is not None
        return asked or self._look_now or self._is_long()

    def _is_long(self) -> bool:
        return self._looks >= LOOKS_IN_ONE_HISTORY or workflow.info().is_continue_as_new_suggested()

    async def _look(self) -> bool:
        self._looks += 1
        self._look_now = False
        look = call(s.CHECK_SERVER, self._task, LOOK)
        try:
            [condition] = await all_or_nothing([self._ended_by_removal(look)])
        except ActivityError as error:
            if is_cancelled_exception(error) and workflow.cancellation_reason() is None:
                return False  # by a removal, which is next
            raise
        self._state.settle(condition)
        await self._settle_what_it_missed()
        return condition.is_gone

    async def _ended_by_removal(self, look: Coroutine[Any, Any, m.ServerCondition]) -> m.ServerCondition:
        self._looking = asyncio.current_task()
        try:
            return await look
        finally:
            self._looking = None

    async def _settle_what_it_missed(self) -> None:
        if not self._state.was_away or self._state.status is not ServerStatus.USABLE:
            return
        try:
            outcome = await _single(s.SETTLE_SERVER, self._task, SHORT)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("not settled yet: %s", failure_of(error).message)
            return
        self._state.was_away = outcome.waits

    async def _provision(self) -> bool:
        self._state.provision = False
        self._state.begin()
        began = await _single(s.BEGIN_PROVISIONING, self._task, RECORD)
        if began.is_gone:
            return True
        failure = Failure()
        # A task of its own, for a removal to end it.
        self._provisioning = asyncio.create_task(self._take_steps())
        try:
            await self._provisioning
        except (ActivityError, asyncio.CancelledError) as error:
            ended = self._state.removal is not None or workflow.cancellation_reason() is not None
            if isinstance(error, asyncio.CancelledError) and not ended:
                raise  # The worker evicts this workflow; it goes on from its history.
            failure = failure_of(error)
        finally:
            self._provisioning = None
        if failure.code == CANCELLED_CODE:
            failure = Failure(CANCELLED_CODE, CANCELLED)
        finish = m.FinishProvisioning(
            server_id=self._state.server_id, code=failure.code, message=failure.message
        )
        condition = await to_the_end(call(s.FINISH_PROVISIONING, finish, RECORD))
        self._state.settle(condition)
        # What cannot be reached now will be again; what lacks something waits for a person.
        if condition.status in (ServerStatus.USABLE, ServerStatus.NOT_USABLE):
            self._state.is_watched = condition.status is ServerStatus.USABLE
        await self._settle_what_it_missed()
        if workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError
        return condition.is_gone

    async def _take_steps(self) -> None:
        for name, signature, policy in STEPS:
            self._move(name, StepStatus.RUNNING)
            try:
                outcome = await _single(signature, self._task, policy)
            except ActivityError as error:
                cancelled = is_cancelled_exception(error)
                self._move(name, StepStatus.FAILED, CANCELLED if cancelled else failure_of(error).message)
                raise
            except asyncio.CancelledError:
                self._move(name, StepStatus.FAILED, CANCELLED)
                raise
            status = StepStatus.SKIPPED if outcome.skipped else StepStatus.SUCCEEDED
            self._move(name, status, outcome.message)

    def _move(self, name: ServerStepName, status: StepStatus, message: str = "") -> None:
        self._state.move(name, status, message)
        workflow.set_current_details(self._state.markdown())

    async def _remove(self, request: m.ServerRequest) -> bool:
        """Answers whether the server is gone; one that is still needed stays."""
        self._state.status = ServerStatus.REMOVING
        until = self._state.removal_until = self._state.removal_until or workflow.now() + RESOURCES_LIMIT
        waits = request.with_resources and workflow.now() < until
        removal = m.RemoveServer(
            server_id=self._state.server_id, resources_leave=waits, forget=request.forget
        )
        answer = await _single(s.REMOVE_SERVER, removal, UNDO)
        if not answer.kept_by and not answer.is_kept:
            return True
        if self._state.removal is not request and workflow.patched(NEWER_REMOVAL_COUNTS):
            return False  # asked for anew meanwhile, perhaps to forget the server
        self._state.message = answer.message
        if waits and not answer.is_given_up:
            await workflow.sleep(RESOURCES_PAUSE)
            return False
        self._state.status = ServerStatus.NOT_USABLE
        self._state.removal = self._state.removal_until = None
        self._look_now = self._state.is_watched
        return False

    @property
    def _task(self) -> m.ServerTask:
        return m.ServerTask(server_id=self._state.server_id)

    @workflow.query(name=names.PROGRESS_QUERY, description="How the server stands, and every step")
    def progress(self) -> m.ServerProgress:
        """Where this server stands."""
        return m.ServerProgress(
            server_id=self._state.server_id,
            status=self._state.status,
            message=self._state.message,
            steps=tuple(self._state.steps),
            provisioning_waits=self._state.provision,
            removal_waits=self._state.removal is not None,
            building=self._state.slots.builds,
            waiting_to_build=tuple(one.holder for one in self._state.slots.waiting),
        )

    @workflow.update(name=names.PROVISION_UPDATE, description="Make the server usable")
    def provision(self, request: m.ServerRequest) -> m.ServerReceipt:
        """Runs all steps, after those that run already; the same request twice is one."""
        repeated = self._remember(request)
        if not repeated:
            self._state.provision = True
        return m.ServerReceipt(
            server_id=request.server_id, repeated=repeated, waits=self._provisioning is not None
        )

    @provision.validator
    def _may_provision(self, request: m.ServerRequest) -> None:
        self._refuse_when_ending()
        if self._state.removal is not None and request.request_id not in self._state.remembered:
            raise ApplicationError("This server is being removed.", type="not_possible_now")

    @workflow.update(name=names.REMOVE_UPDATE, description="Let go of the server")
    def remove(self, request: m.ServerRequest) -> m.ServerReceipt:
        """Ends what runs and removes the server, unless something still lives on it."""
        repeated = self._remember(request)
        if not repeated:
            self._state.removal, self._state.provision = request, False
            if self._provisioning is not None:
                self._provisioning.cancel()
            # Of a server that does not answer, a look takes half a minute.
            if self._looking is not None and workflow.patched(REMOVAL_ENDS_LOOK):
                self._looking.cancel()
        return m.ServerReceipt(server_id=request.server_id, repeated=repeated)

    @remove.validator
    def _may_remove(self, request: m.ServerRequest) -> None:
        self._refuse_when_ending()

    @workflow.update(name=names.LEASE_BUILD_SLOT_UPDATE, description="Build here, or wait for a slot")
    def lease_build_slot(self, request: m.BuildSlotRequest) -> m.BuildSlotAnswer:
        """Answers at once; who has to wait is told by a signal. The same deployment twice is one."""
        return self._slots.lease(request)

    @lease_build_slot.validator
    def _may_build(self, request: m.BuildSlotRequest) -> None:
        self._refuse_when_ending()
        if self._state.removal is not None:
            raise ApplicationError("This server is being removed.", type="not_possible_now")

    @workflow.signal(name=names.RELEASE_BUILD_SLOT_SIGNAL, description="Build and wait no more")
    def release_build_slot(self, release: m.BuildSlotRelease) -> None:
        """The next one builds."""
        self._slots.release(release.deployment_id)

    def _refuse_when_ending(self) -> None:
        if workflow.cancellation_reason() is not None:
            raise ApplicationError(
                "The server's workflow is being ended. Try again.", type="not_possible_now"
            )

    def _remember(self, request: m.ServerRequest) -> bool:
        if request.request_id in self._state.remembered:
            return True
        self._state.remembered = [*self._state.remembered, request.request_id][-REMEMBERED_REQUESTS:]
        return False


async def _single(signature: s.Signature[s.Input, s.Output], argument: s.Input, policy: Policy) -> s.Output:
    # By itself, a call that ends well in spite of a cancellation would hide that cancellation.
    [answer] = await all_or_nothing([call(signature, argument, policy)])
    return answer
