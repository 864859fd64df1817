"""The page of one deployment: its steps and its log, live while it runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from api.pages.application import Identifier, crumbs_of
from api.pages.application_views import kept_deployments
from api.pages.deployment_views import deployment_view, log_blocks
from api.pages.frames import Crumb, frame_of, page
from api.pages.page_route import PageRoute
from api.pages.views import DeploymentView
from api.pages.visitors import Context, Visiting
from store.tables import Deployment, LogLine
from ui.rendering import render

router = APIRouter(route_class=PageRoute, include_in_schema=False)

FIRST_LINES = 5000
FRAGMENTS = ("deployment_head", "deployment_outcome", "timeline")
NO_LOG_YET = "Nothing has been written yet."
NO_LOG = "This deployment wrote nothing."
NO_LOG_FOR_ROLE = "Logs can hold secrets. Your role does not include reading them."


async def deployment_of(deployment_id: Identifier, context: Context, visitor: Visiting) -> Deployment:
    """The deployment of the address. Raises NotFound, also for another team's."""
    return await context.store.deployments.get(deployment_id, team_id=visitor.team_id)


OwnDeployment = Annotated[Deployment, Depends(deployment_of)]


async def _view(context: Context, visitor: Visiting, deployment: Deployment) -> DeploymentView:
    application = await context.store.applications.get(deployment.application_id, team_id=visitor.team_id)
    configuration, _ = context.store.applications.configured(application)
    return deployment_view(
        context,
        visitor,
        deployment,
        await context.store.deployments.steps(deployment.id),
        current_id=application.current_deployment_id,
        kept=await kept_deployments(context, application, configuration),
    )


@router.get("/deployments/{deployment_id}")
async def deployment_page(
    request: Request, context: Context, visitor: Visiting, deployment: OwnDeployment
) -> Response:
    """Steps and log as they stand; our script goes on from the last line that is here."""
    application = await context.store.applications.get(deployment.application_id, team_id=visitor.team_id)
    view = await _view(context, visitor, deployment)
    lines: list[LogLine] = []
    if visitor.sees_secrets:
        lines = list(await context.store.logs.read(deployment.id, limit=FIRST_LINES))
    frame = frame_of(request, visitor, title=view.title, crumbs=crumbs_of(application, Crumb(view.title)))
    goes_on = view.is_open or len(lines) == FIRST_LINES
    empty_log = NO_LOG_YET if view.is_open else NO_LOG
    return page(
        "deployment",
        frame,
        deployment=view,
        blocks=log_blocks(lines, servers=len({step.server for step in view.steps if step.server})),
        last_line_id=(lines[-1].id or 0) if lines else 0,
        stream_url=f"/api/v1/deployments/{deployment.id}/stream" if goes_on else "",
        empty_log=empty_log if visitor.sees_secrets else NO_LOG_FOR_ROLE,
    )


@router.get("/deployments/{deployment_id}/fragments")
async def deployment_fragments(context: Context, visitor: Visiting, deployment: OwnDeployment) -> Response:
    """The parts of the page that change while a deployment runs."""
    view = await _view(context, visitor, deployment)
    html = "\n".join(render(f"fragments/{name}.html", deployment=view) for name in FRAGMENTS)
    return HTMLResponse(html, HTTPStatus.OK)
