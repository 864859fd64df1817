"""The one queue of an application: everything that changes what runs passes here, one at a time."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ChildWorkflowHandle, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import DeploymentStatus, OperationKind
    from domain.queues import enqueue
    from workflows import names
    from workflows.calls import call
    from workflows.compensation import to_the_end
    from workflows.policies import RECORD

REMEMBERED_COMMANDS = 200


class QueueState(BaseModel):
    """All that continue-as-new carries over."""

    waiting: list[m.Command] = []
    remembered: list[str] = []
    deleting: bool = False


@workflow.defn(name=names.APPLICATION_WORKFLOW)
class ApplicationWorkflow:
    """Serialises deploy, rollback, restart, start, stop, scale and delete of one application.

    Updates: `submit` queues a command and answers at once; a newer deploy supersedes those that
    still wait. `cancel` removes a waiting command or cancels the running one. It lives until the
    application is deleted, and continues as new when its history grows. Should somebody cancel the
    queue itself, the running command ends as it would have and those that wait are cancelled.
    """

    @workflow.init
    def __init__(self, state: QueueState | None = None) -> None:
        self._state = state or QueueState()
        self._superseded: list[tuple[m.Command, str]] = []
        self._withdrawn: list[m.Command] = []
        self._running: m.Command | None = None
        self._child: ChildWorkflowHandle[object, m.DeploymentResult] | None = None
        self._cancel_running = False

    @workflow.run
    async def run(self, state: QueueState | None = None) -> None:
        """Runs commands in order until the application is deleted."""
        closing = asyncio.create_task(self._close_those_that_never_ran())
        try:
            await self._serve()
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is None:
                raise  # The worker evicts this workflow; it goes on from its history.
            self._withdrawn += self._state.waiting
            self._state.waiting = []
            await to_the_end(workflow.wait_condition(self._is_settled))
            raise
        finally:
            closing.cancel()

    async def _serve(self) -> None:
        while True:
            await workflow.wait_condition(self._is_due)
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(self._is_settled)
                workflow.continue_as_new(self._state)
            gone = await self._run_next()
            if workflow.cancellation_reason() is not None:
                raise asyncio.CancelledError
            if gone:
                await workflow.wait_condition(self._is_settled)
                return

    def _is_due(self) -> bool:
        return bool(self._state.waiting) or workflow.info().is_continue_as_new_suggested()

    def _is_settled(self) -> bool:
        return self._all_closed() and workflow.all_handlers_finished()

    def _all_closed(self) -> bool:
        return not self._superseded and not self._withdrawn

    async def _run_next(self) -> bool:
        """Runs the first waiting command; answers whether the application is gone afterwards."""
        command = self._state.waiting.pop(0)
        self._running, self._cancel_running = command, False
        try:
            succeeded = await to_the_end(self._run(command))
        finally:
            self._running, self._child = None, None
        deletes = command.kind is OperationKind.DELETE
        if deletes and not succeeded:
            self._state.deleting = False
        return deletes and succeeded

    async def _run(self, command: m.Command) -> bool:
        if command.kind is OperationKind.DELETE:
            # It forgets the rows in which those that it superseded are closed.
            await workflow.wait_condition(self._all_closed)
        try:
            self._child = await self._start(command)
            if self._cancel_running:
                self._child.cancel()
            await self._child
        except WorkflowAlreadyStartedError:
            # By a queue that somebody terminated. It recorded, or will record, its own end.
            return True
        except ChildWorkflowError:
            # The deployment recorded its own end.
            return False
        except asyncio.CancelledError:
            if not self._cancel_running:
                raise
            return False
        return True

    async def _start(self, command: m.Command) -> ChildWorkflowHandle[object, m.DeploymentResult]:
        return await workflow.start_child_workflow(
            names.DEPLOYMENT_WORKFLOW,
            command,
            id=names.deployment_workflow_id(command.deployment_id),
            result_type=m.DeploymentResult,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            # Whoever ends this queue by force must not leave a release half done.
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(names.TEAM, command.team_id),
                    SearchAttributePair(names.PROJECT, command.project_id),
                    SearchAttributePair(names.APPLICATION, command.application_id),
                    SearchAttributePair(names.KIND, command.kind.value),
                ]
            ),
            static_summary=f"{command.kind} of application {command.application_id}",
        )

    async def _close_those_that_never_ran(self) -> None:
        # Beside the main loop: who was superseded is told at once, not when the running one ends.
        while True:
            await workflow.wait_condition(lambda: not self._all_closed())
            while self._superseded:
                command, newer = self._superseded[0]
                await self._close(command, DeploymentStatus.SUPERSEDED, superseded_by=newer)
                self._superseded.pop(0)
            while self._withdrawn:
                await self._close(self._withdrawn[0], DeploymentStatus.CANCELLED)
                self._withdrawn.pop(0)

    async def _close(
        self, command: m.Command, status: DeploymentStatus, superseded_by: str | None = None
    ) -> None:
        closing = m.FinishDeployment(command=command, status=status, superseded_by=superseded_by)
        await call(s.FINISH_DEPLOYMENT, closing, RECORD)

    @workflow.update(name=names.SUBMIT_UPDATE, description="Queue a command")
    def submit(self, command: m.Command) -> m.CommandReceipt:
        """Queues the command; the same one twice is one deployment."""
        running = self._running.deployment_id if self._running else None
        if command.deployment_id in self._state.remembered:
            return m.CommandReceipt(
                deployment_id=command.deployment_id, position=0, running_deployment_id=running, repeated=True
            )
        self._state.remembered = [*self._state.remembered, command.deployment_id][-REMEMBERED_COMMANDS:]
        self._state.waiting, superseded = enqueue(self._state.waiting, command)
        self._superseded += [(older, command.deployment_id) for older in superseded]
        self._state.deleting = self._state.deleting or command.kind is OperationKind.DELETE
        if command.without_server_id:
            self._end_running()  # it waits for that server
        before = [*([running] if running else []), *(one.deployment_id for one in self._state.waiting[:-1])]
        return m.CommandReceipt(
            deployment_id=command.deployment_id,
            position=len(before),
            running_deployment_id=running,
            after_deployment_id=before[-1] if before else None,
            superseded=tuple(older.deployment_id for older in superseded),
        )

    @submit.validator
    def _may_submit(self, command: m.Command) -> None:
        if workflow.cancellation_reason() is not None:
            raise ApplicationError("The queue is being ended. Try again.", type="not_possible_now")
        if self._state.deleting and command.deployment_id not in self._state.remembered:
            raise ApplicationError("This application is being deleted.", type="not_possible_now")

    @workflow.update(name=names.CANCEL_UPDATE, description="Cancel a waiting or running command")
    def cancel(self, request: m.CancelRequest) -> m.CancelReceipt:
        """Takes a waiting command out of the queue, or asks the running one to undo itself."""
        for command in self._state.waiting:
            if command.deployment_id == request.deployment_id:
                self._state.waiting.remove(command)
                self._withdrawn.append(command)
                if command.kind is OperationKind.DELETE:
                    self._state.deleting = False
                return m.CancelReceipt(deployment_id=request.deployment_id, was_queued=True)
        if self._running is not None and self._running.deployment_id == request.deployment_id:
            self._end_running()
            return m.CancelReceipt(deployment_id=request.deployment_id, was_running=True)
        return m.CancelReceipt(deployment_id=request.deployment_id)

    def _end_running(self) -> None:
        if self._running is not None:
            self._cancel_running = True
            if self._child is not None:
                self._child.cancel()
