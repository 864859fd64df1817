"""Deployments that the database has open and the workflow engine has forgotten.

It happens only when Temporal's data is lost or put back from an older copy. Such a row would stay "in
progress" for ever, so at every start it gets its one final state.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from domain.deployments import DeploymentStatus
from store.columns import now
from store.store import Store
from workflows.names import application_workflow_id, deployment_workflow_id

YOUNGEST = timedelta(seconds=30)
"""A row may be a moment older than its workflow; younger ones are left to it."""

LOST_CODE = "lost"
LOST_MESSAGE = (
    "The workflow engine has lost this deployment, so nobody knows how far it came. "
    "Deploy again: that puts everything into a known state."
)
logger = logging.getLogger("seaway")


async def close_lost_deployments(store: Store, client: Client) -> list[str]:
    """Marks them failed and returns their ids."""
    lost = []
    for deployment in await store.deployments.list_all_open():
        if now() - deployment.requested_at < YOUNGEST:
            continue
        workflows = (
            deployment_workflow_id(deployment.id),
            application_workflow_id(deployment.application_id),
        )
        # A running queue may still hold a command that waits.
        if any([await _is_running(client, workflow) for workflow in workflows]):
            continue
        await store.deployments.update(
            deployment.id,
            status=DeploymentStatus.FAILED,
            finished_at=now(),
            error_code=LOST_CODE,
            error_message=LOST_MESSAGE,
        )
        logger.warning("deployment %s was lost by the workflow engine and is closed", deployment.id)
        lost.append(deployment.id)
    return lost


async def _is_running(client: Client, workflow_id: str) -> bool:
    try:
        description = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return description.status is WorkflowExecutionStatus.RUNNING
