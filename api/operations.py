"""The only way in which the API changes what runs: commands to an application's workflow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.deployment_rows import row_of
from activities.messages import CancelReceipt, CancelRequest, Command, CommandReceipt, Progress
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotPossibleNow, TransientError
from domain.identifiers import derived_identifier, new_identifier
from domain.release_planning import is_past_return
from store.columns import now
from store.store import Store
from store.tables import Application, Deployment, Project
from workflows import names

ANSWER_LIMIT = timedelta(seconds=10)


class Operations:
    """Submits commands and cancels deployments. What it promises holds even if the API dies midway:

    the workflow is told first and writes the deployment's row itself if the API could not.
    """

    def __init__(self, client: Client, store: Store, task_queue: str = names.TASK_QUEUE) -> None:
        self._client = client
        self._store = store
        self._task_queue = task_queue

    async def submit(
        self,
        application: Application,
        project: Project,
        kind: OperationKind,
        *,
        requested_by: str,
        trigger: str = "api",
        idempotency_key: str = "",
        options: Mapping[str, object] | None = None,
    ) -> tuple[Deployment, CommandReceipt]:
        """Queues a command; the same idempotency key twice is one deployment.

        `options` are fields of `Command` (branch, commit, force, target_deployment_id, replicas,
        delete_volumes). Raises NotPossibleNow when the workflow refuses, TransientError when
        Temporal does not answer.
        """
        deployment_id = (
            derived_identifier(application.id, idempotency_key) if idempotency_key else new_identifier()
        )
        if idempotency_key:
            known = await self._store.deployments.find(deployment_id)
            if known is not None:
                return known, CommandReceipt(deployment_id=deployment_id, position=0, repeated=True)
        command = Command(
            deployment_id=deployment_id,
            application_id=application.id,
            team_id=application.team_id,
            project_id=project.id,
            kind=kind,
            requested_by=requested_by,
            trigger=trigger,
            requested_at=now(),
        ).model_copy(update=dict(options or {}))
        receipt = await self._send(command)
        return await self._store.deployments.record(row_of(command)), receipt

    async def _send(self, command: Command) -> CommandReceipt:
        attributes = TypedSearchAttributes(
            [
                SearchAttributePair(names.TEAM, command.team_id),
                SearchAttributePair(names.PROJECT, command.project_id),
                SearchAttributePair(names.APPLICATION, command.application_id),
                SearchAttributePair(names.KIND, "application"),
            ]
        )
        start: WithStartWorkflowOperation[object, None] = WithStartWorkflowOperation(
            names.APPLICATION_WORKFLOW,
            id=names.application_workflow_id(command.application_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=attributes,
            static_summary=f"Queue of application {command.application_id}",
        )
        try:
            return await self._client.execute_update_with_start_workflow(
                names.SUBMIT_UPDATE,
                command,
                start_workflow_operation=start,
                id=f"submit-{command.deployment_id}",
                result_type=CommandReceipt,
                rpc_timeout=ANSWER_LIMIT,
            )
        except WorkflowUpdateFailedError as error:
            raise _refusal(error) from error
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _unavailable() from error

    async def cancel(self, deployment: Deployment, *, requested_by: str) -> CancelReceipt:
        """Asks the application's workflow to end this deployment; it compensates and then closes.

        Raises NotPossibleNow when it is over, or when the old version is already being stopped.
        """
        if DeploymentStatus(deployment.status).is_final:
            raise NotPossibleNow(f"Deployment cannot be cancelled. Current status: {deployment.status}")
        if is_past_return(await self._store.deployments.steps(deployment.id)):
            raise NotPossibleNow(
                "Deployment cannot be cancelled: the new version serves and the old one is being "
                "stopped. Roll back instead."
            )
        handle = self._client.get_workflow_handle(names.application_workflow_id(deployment.application_id))
        try:
            return await handle.execute_update(
                names.CANCEL_UPDATE,
                CancelRequest(deployment_id=deployment.id, requested_by=requested_by),
                result_type=CancelReceipt,
                rpc_timeout=ANSWER_LIMIT,
            )
        except WorkflowUpdateFailedError as error:
            raise _refusal(error) from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotPossibleNow("Deployment cannot be cancelled: it is not running.") from error
            raise _unavailable() from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise _unavailable() from error

    async def progress(self, deployment_id: str) -> Progress:
        """The workflow's own view. Raises TransientError when no worker answers within the limit."""
        handle = self._client.get_workflow_handle(names.deployment_workflow_id(deployment_id))
        try:
            return await handle.query(names.PROGRESS_QUERY, result_type=Progress, rpc_timeout=ANSWER_LIMIT)
        except RPCError as error:
            raise _unavailable() from error


def _refusal(error: WorkflowUpdateFailedError) -> NotPossibleNow:
    cause = error.cause
    message = cause.message if isinstance(cause, ApplicationError) else "The application's queue refused."
    return NotPossibleNow(message)


def _unavailable() -> TransientError:
    return TransientError(
        "The workflow engine has not answered yet. It may still do what was asked for: look before you ask "
        "again, or ask with the same Idempotency-Key. Check that Temporal and a Seaway worker are running."
    )
