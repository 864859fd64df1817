"""The page of one application, and what all of its tabs share."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.pages.application_views import ApplicationReader, application_url
from api.pages.frames import Crumb, frame_of, page
from api.pages.live import Fragment, stream_fragments
from api.pages.page_route import PageRoute
from api.pages.visitors import Context, Visiting
from store.tables import Application

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Identifier = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
TAB_TITLES = {
    "deployments": "",
    "variables": "Variables",
    "settings": "Settings",
    "logs": "Logs",
    "metrics": "Metrics",
}


async def application_of(application_id: Identifier, context: Context, visitor: Visiting) -> Application:
    """The application of the address. Raises NotFound, also for another team's."""
    return await context.store.applications.get(application_id, team_id=visitor.team_id)


OwnApplication = Annotated[Application, Depends(application_of)]


def crumbs_of(application: Application, *more: Crumb) -> tuple[Crumb, ...]:
    """The way to a page below an application."""
    own = Crumb(application.name, application_url(application.id) if more else "")
    return (Crumb("Applications", "/applications"), own, *more)


async def tab_page(
    request: Request,
    context: Context,
    visitor: Visiting,
    application: Application,
    template: str,
    *,
    tab: str,
    status: HTTPStatus = HTTPStatus.OK,
    live_url: str = "",
    **values: object,
) -> Response:
    """One tab of the application, below its head."""
    title = TAB_TITLES[tab]
    frame = frame_of(
        request,
        visitor,
        title=f"{title} · {application.name}" if title else application.name,
        crumbs=crumbs_of(application, *([Crumb(title)] if title else [])),
        live_url=live_url or f"/ui/applications/{application.id}/stream?part=head",
    )
    head = await ApplicationReader(context, visitor).head(application)
    return page(template, frame, status, application=head, tab=tab, **values)


@router.get("/applications/{application_id}")
async def application_page(
    request: Request,
    context: Context,
    visitor: Visiting,
    application: OwnApplication,
    page_number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> Response:
    """What serves, and the deployments."""
    reader = ApplicationReader(context, visitor)
    url = f"/ui/applications/{application.id}/stream"
    return await tab_page(
        request,
        context,
        visitor,
        application,
        "application",
        tab="deployments",
        live_url=f"{url}?page={page_number}",
        release=await reader.release(application),
        page=await reader.deployments(application, page_number),
    )


@router.get("/ui/applications/{application_id}/stream")
async def application_stream(
    context: Context,
    visitor: Visiting,
    application: OwnApplication,
    part: str = "",
    page_number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> Response:
    """The parts of the application's page that changed, as they change; only the head for other tabs."""
    reader = ApplicationReader(context, visitor)

    async def produce() -> Sequence[Fragment]:
        present = await context.store.applications.get(application.id, team_id=visitor.team_id)
        head = Fragment(
            "application-head",
            "fragments/application_head.html",
            {"application": await reader.head(present)},
        )
        if part == "head":
            return [head]
        release = Fragment("release", "fragments/release.html", {"release": await reader.release(present)})
        rows = await reader.deployments(present, page_number)
        return [head, release, Fragment("deployments", "fragments/deployment_list.html", {"page": rows})]

    return stream_fragments(produce, for_team=visitor.team_id)
