"""Deployments: how they stand, and cancelling them."""

from __future__ import annotations

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Deployer, Principal, Reader, sees_secrets
from api.context import ApiContext
from api.routes.parameters import ContextOf, Skip, Take, Uuid
from api.shapes.deployments import (
    Cancelled,
    DeploymentAnswer,
    DeploymentList,
    StepAnswer,
    coolify_status,
    show_deployment,
)
from api.shown_deployments import surroundings_of
from domain.deployments import DeploymentStatus, OperationKind
from store.tables import Deployment

router = APIRouter(prefix="/deployments", tags=["Deployments"])

MAXIMUM_LINES = 10_000
RELEASING_KINDS = (
    OperationKind.DEPLOY,
    OperationKind.ROLLBACK,
    OperationKind.RESTART,
    OperationKind.START,
)


@router.get("", summary="List queued and running deployments")
async def list_deployments(context: ContextOf, principal: Reader) -> list[DeploymentAnswer]:
    """The team's, oldest first."""
    rows = await context.store.deployments.list_open(team_id=principal.team_id)
    return [await _brief(context, principal, row) for row in rows]


@router.get("/applications/{uuid}", summary="List the deployments of an application")
async def list_deployments_by_app_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    skip: Skip = 0,
    take: Take = 10,
) -> DeploymentList:
    """Newest first. `/applications/{uuid}/operations` also lists stops, scalings and deletions."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    count, rows = await context.store.deployments.list_of_application(
        uuid, skip=skip, take=take, kinds=RELEASING_KINDS
    )
    around = await surroundings_of(context, principal, application)
    return DeploymentList(count=count, deployments=[show_deployment(row, around) for row in rows])


@router.get("/{uuid}", summary="One deployment")
async def get_deployment_by_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> DeploymentAnswer:
    """With its steps, and with its log for those who may see secrets."""
    row = await context.store.deployments.get(uuid, team_id=principal.team_id)
    application = await context.store.applications.get(row.application_id)
    lines = None
    if sees_secrets(principal):
        lines = await context.store.logs.tail(uuid, limit=MAXIMUM_LINES)
    steps = await context.store.deployments.steps(uuid)
    around = await surroundings_of(context, principal, application)
    return show_deployment(row, around, steps=steps, lines=lines)


@router.get("/{uuid}/steps", summary="The steps of a deployment")
async def list_steps_by_deployment_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[StepAnswer]:
    """In the order in which they run; empty until it begins."""
    await context.store.deployments.get(uuid, team_id=principal.team_id)
    return [StepAnswer.of(step) for step in await context.store.deployments.steps(uuid)]


@router.post("/{uuid}/cancel", summary="Cancel a deployment")
async def cancel_deployment_by_uuid(uuid: Uuid, context: ContextOf, principal: Deployer) -> Cancelled:
    """A queued one ends at once; a running one is unwound, while the old version keeps serving."""
    row = await context.store.deployments.get(uuid, team_id=principal.team_id)
    await context.operations.cancel(row, requested_by=principal.user_email)
    await audit(context, principal, "deployment.cancel", "deployment", row.id)
    now = await context.store.deployments.find(uuid) or row
    return Cancelled(
        message="Deployment cancelled successfully."
        if DeploymentStatus(now.status).is_final
        else "Deployment is being cancelled.",
        deployment_uuid=uuid,
        status=coolify_status(now.status),
    )


async def _brief(context: ApiContext, principal: Principal, row: Deployment) -> DeploymentAnswer:
    application = await context.store.applications.get(row.application_id, team_id=principal.team_id)
    return show_deployment(row, await surroundings_of(context, principal, application))
