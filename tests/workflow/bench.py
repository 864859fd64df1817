"""One worker on a task queue of its own, and what the API does with its workflows."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.messages import (
    CancelReceipt,
    CancelRequest,
    Command,
    CommandReceipt,
    DeploymentResult,
    Progress,
    ServersToClean,
)
from domain.deployments import OperationKind
from domain.errors import SeawayError
from seaway.worker import CACHED_WORKFLOWS, CONCURRENT_ACTIVITIES
from tests.harness.waiting import eventually
from tests.workflow.fake_activities import LIMIT_SECONDS, FakeActivities, command_of
from workflows import names
from workflows.application import ApplicationWorkflow
from workflows.deployment import DeploymentWorkflow
from workflows.server import ServerWorkflow
from workflows.server_clean_up import CleanUpWorkflow

TASK_QUEUE_PREFIX = "workflow-test-"
WORKFLOWS: tuple[type, ...] = (ApplicationWorkflow, DeploymentWorkflow, ServerWorkflow, CleanUpWorkflow)
CALL_LIMIT = timedelta(seconds=LIMIT_SECONDS)
POLL_LIMIT = timedelta(seconds=2)
# Only how soon a cancellation reaches an activity depends on it; Seaway's second would add up here.
HEARTBEAT_THROTTLE = timedelta(milliseconds=20)


class Bench:
    """Starts, steers and watches workflows whose activities are stand-ins."""

    def __init__(self, client: Client, fakes: FakeActivities) -> None:
        self.client = client
        self.fakes = fakes
        self.unique = uuid.uuid4().hex[:12]
        self.task_queue = f"{TASK_QUEUE_PREFIX}{self.unique}"
        self.application_id = f"application-{self.unique}"

    def id_of(self, name: str) -> str:
        """A deployment's id that no other test has."""
        return f"{name}-{self.unique}"

    def command(self, kind: OperationKind, name: str = "new", **options: Any) -> Command:
        """A command for this bench's application."""
        return command_of(kind, self.id_of(name), self.application_id, **options)

    async def deploy(
        self, kind: OperationKind = OperationKind.DEPLOY, name: str = "new", **options: Any
    ) -> WorkflowHandle[Any, DeploymentResult]:
        """Starts a deployment's workflow without a queue."""
        command = self.command(kind, name, **options)
        return await self.client.start_workflow(
            names.DEPLOYMENT_WORKFLOW,
            command,
            id=names.deployment_workflow_id(command.deployment_id),
            task_queue=self.task_queue,
            result_type=DeploymentResult,
            rpc_timeout=CALL_LIMIT,
        )

    async def clean(self, *server_ids: str) -> WorkflowHandle[Any, None]:
        """Has servers cleaned, as somebody who asks for it does."""
        return await self.client.start_workflow(
            names.CLEAN_UP_WORKFLOW,
            ServersToClean(server_ids=server_ids),
            id=names.clean_up_workflow_id(self.unique),
            task_queue=self.task_queue,
            rpc_timeout=CALL_LIMIT,
        )

    async def submit(self, command: Command, update_id: str | None = None) -> CommandReceipt:
        """Queues a command as the API does, starting the queue if need be."""
        start: WithStartWorkflowOperation[Any, None] = WithStartWorkflowOperation(
            names.APPLICATION_WORKFLOW,
            id=names.application_workflow_id(command.application_id),
            task_queue=self.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(names.APPLICATION, command.application_id),
                    SearchAttributePair(names.KIND, "application"),
                ]
            ),
        )
        return await self.client.execute_update_with_start_workflow(
            names.SUBMIT_UPDATE,
            command,
            start_workflow_operation=start,
            id=update_id or f"submit-{command.deployment_id}",
            result_type=CommandReceipt,
            rpc_timeout=CALL_LIMIT,
        )

    async def cancel(self, name: str) -> CancelReceipt:
        """Asks the queue to cancel a deployment."""
        return await self.queue.execute_update(
            names.CANCEL_UPDATE,
            CancelRequest(deployment_id=self.id_of(name)),
            result_type=CancelReceipt,
            rpc_timeout=CALL_LIMIT,
        )

    @property
    def queue(self) -> WorkflowHandle[Any, Any]:
        """The application's queue."""
        return self.client.get_workflow_handle(names.application_workflow_id(self.application_id))

    def deployment(self, name: str) -> WorkflowHandle[Any, DeploymentResult]:
        """A deployment's workflow by its short name."""
        return self.client.get_workflow_handle(
            names.deployment_workflow_id(self.id_of(name)), result_type=DeploymentResult
        )

    async def until_recorded(self, *deployments: str) -> None:
        """Returns once the final states of these deployments, by their short names, are recorded."""
        wanted = {self.id_of(name) for name in deployments}
        await eventually(
            lambda: wanted <= self.fakes.ended,
            LIMIT_SECONDS,
            interval_seconds=0.01,
            describe=lambda: f"the end of {sorted(wanted - self.fakes.ended)}",
        )

    async def progress(self, name: str = "new") -> Progress:
        """The workflow's own view of a deployment."""
        return await self.deployment(name).query(
            names.PROGRESS_QUERY, result_type=Progress, rpc_timeout=CALL_LIMIT
        )


@contextlib.asynccontextmanager
async def running_worker(
    bench: Bench, *, cached_workflows: int = CACHED_WORKFLOWS, workflows: Sequence[type] = WORKFLOWS
) -> AsyncIterator[None]:
    """A worker with Seaway's settings and the bench's stand-ins."""
    worker = Worker(
        bench.client,
        task_queue=bench.task_queue,
        workflows=workflows,
        activities=bench.fakes.all(),
        workflow_failure_exception_types=[SeawayError],
        max_cached_workflows=cached_workflows,
        max_concurrent_activities=CONCURRENT_ACTIVITIES,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(0),
    )
    async with worker:
        yield


async def ending(handle: WorkflowHandle[Any, Any]) -> Any:
    """The workflow's result, or what it ended with; an AssertionError that tells all when it does not end."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        try:
            # A busy server sometimes forgets to tell a client that waits already; so ask again and again.
            return await handle.result(rpc_timeout=POLL_LIMIT)
        except RPCError as error:
            if error.status not in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
                raise
    description = (await handle.describe(rpc_timeout=CALL_LIMIT)).raw_description
    events = [str(event) async for event in handle.fetch_history_events()]
    raise AssertionError(
        f"{handle.id} did not end within {LIMIT_SECONDS:g} s\n{description}\n{''.join(events[-6:])}"
    )
