"""What the running application writes, live."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.pages.application import OwnApplication, tab_page
from api.pages.page_route import PageRoute
from api.pages.visitors import Context, Visiting
from domain.errors import SeawayError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

FIRST_LINES = 500
NO_LINES = "It has written nothing, or nothing of it runs."


@router.get("/applications/{application_id}/logs")
async def runtime_logs_page(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication
) -> Response:
    """The last lines of all replicas; our script follows the new ones."""
    lines: list[str] = []
    empty = NO_LINES
    try:
        text = await context.runtime.logs(application.id, lines=FIRST_LINES, timestamps=False)
        lines = text.split("\n") if text else []
    except SeawayError as error:
        empty = error.message
    return await tab_page(
        request,
        context,
        visitor,
        application,
        "runtime_logs",
        tab="logs",
        lines=lines,
        empty=empty,
        stream_url=f"/api/v1/applications/{application.id}/logs/stream",
    )
