"""Cancel a deployment, or go back to one."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.auditing import audit
from api.authentication import Ability
from api.operation_requests import request_operation
from api.pages.application import crumbs_of
from api.pages.deployments import OwnDeployment
from api.pages.forms import action_page, to
from api.pages.frames import Crumb
from api.pages.page_route import PageRoute
from api.pages.views import ActionForm
from api.pages.visitors import Context, OwnForm, Visiting
from api.pages.wording import summary_of, version_of
from domain.deployments import OperationKind
from domain.errors import SeawayError
from domain.identifiers import is_identifier, new_identifier
from store.tables import Deployment

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def _cancel_form(deployment: Deployment) -> ActionForm:
    url = f"/deployments/{deployment.id}"
    return ActionForm(
        url=f"{url}/cancel",
        title="Cancel this deployment",
        button="Cancel the deployment",
        back_url=url,
        back_label="Let it run",
        explanation=("What it did so far is undone, step by step. What ran before keeps serving.",),
        is_dangerous=True,
    )


def _rollback_form(deployment: Deployment) -> ActionForm:
    url = f"/deployments/{deployment.id}"
    version = version_of(deployment)
    return ActionForm(
        url=f"{url}/rollback",
        title="Roll back",
        button="Roll back",
        back_url=url,
        explanation=(
            f"Back to {version + ': ' if version else ''}{summary_of(deployment)}",
            "Its image and the whole configuration that it had, variables included, take over once healthy.",
        ),
        idempotency_key=new_identifier(),
    )


async def _ask(
    request: Request,
    context: Context,
    visitor: Visiting,
    deployment: Deployment,
    form: ActionForm,
    error: SeawayError | None = None,
) -> Response:
    application = await context.store.applications.get(deployment.application_id, team_id=visitor.team_id)
    crumbs = crumbs_of(application, Crumb(summary_of(deployment), form.back_url), Crumb(form.title))
    if error is None:
        return action_page(request, visitor, form, crumbs)
    return action_page(
        request, visitor, replace(form, error=error.message), crumbs, HTTPStatus(error.http_status)
    )


@router.get("/deployments/{deployment_id}/cancel")
async def cancel_form(
    request: Request, context: Context, visitor: Visiting, deployment: OwnDeployment
) -> Response:
    """Asks whether to cancel."""
    visitor.must(Ability.DEPLOY)
    return await _ask(request, context, visitor, deployment, _cancel_form(deployment))


@router.post("/deployments/{deployment_id}/cancel")
async def cancel(
    request: Request, context: Context, visitor: Visiting, deployment: OwnDeployment, _form: OwnForm
) -> Response:
    """Cancels it."""
    visitor.must(Ability.DEPLOY)
    try:
        await context.operations.cancel(deployment, requested_by=visitor.principal.user_email)
    except SeawayError as error:
        return await _ask(request, context, visitor, deployment, _cancel_form(deployment), error)
    await audit(context, visitor.principal, "deployment.cancel", "deployment", deployment.id)
    return to(f"/deployments/{deployment.id}", "cancelling")


@router.get("/deployments/{deployment_id}/rollback")
async def rollback_form(
    request: Request, context: Context, visitor: Visiting, deployment: OwnDeployment
) -> Response:
    """Asks whether to go back."""
    visitor.must(Ability.DEPLOY)
    return await _ask(request, context, visitor, deployment, _rollback_form(deployment))


@router.post("/deployments/{deployment_id}/rollback")
async def roll_back(
    request: Request, context: Context, visitor: Visiting, deployment: OwnDeployment, form: OwnForm
) -> Response:
    """Goes back to the image and the configuration of this deployment."""
    visitor.must(Ability.DEPLOY)
    key = form.get("idempotency_key", "")
    application = await context.store.applications.get(deployment.application_id, team_id=visitor.team_id)
    try:
        queued = await request_operation(
            context,
            visitor.principal,
            application,
            OperationKind.ROLLBACK,
            idempotency_key=key if is_identifier(key) else new_identifier(),
            target_deployment_id=deployment.id,
        )
    except SeawayError as error:
        return await _ask(request, context, visitor, deployment, _rollback_form(deployment), error)
    return to(f"/deployments/{queued.deployment.id}")
