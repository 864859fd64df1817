"""The list of applications."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from fastapi import APIRouter, Request, Response

from api.pages.application_views import ApplicationReader
from api.pages.frames import Crumb, frame_of, page
from api.pages.live import Fragment, stream_fragments
from api.pages.page_route import PageRoute
from api.pages.visitors import Context, Visiting

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PERIOD = timedelta(seconds=2)


@router.get("/applications")
async def applications_page(request: Request, context: Context, visitor: Visiting) -> Response:
    """Every application of the team."""
    frame = frame_of(
        request,
        visitor,
        title="Applications",
        crumbs=(Crumb("Applications"),),
        live_url="/ui/applications/stream",
    )
    return page(
        "applications",
        frame,
        rows=await ApplicationReader(context, visitor).rows(),
        may_write=visitor.may_write,
    )


@router.get("/ui/applications/stream")
async def applications_stream(context: Context, visitor: Visiting) -> Response:
    """The rows that changed, as they change."""
    reader = ApplicationReader(context, visitor)

    async def produce() -> Sequence[Fragment]:
        rows = await reader.rows()
        whole = Fragment(
            "applications",
            "fragments/application_list.html",
            {"rows": rows, "may_write": visitor.may_write},
            state=tuple(row.id for row in rows),
        )
        return [whole] + [
            Fragment(f"application-{row.id}", "fragments/application_row.html", {"row": row}) for row in rows
        ]

    return stream_fragments(produce, for_team=visitor.team_id, period=PERIOD)
