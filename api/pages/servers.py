"""The list of servers, and the page of one: how it stands, its steps, and what lives there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.pages.application import Identifier
from api.pages.frames import Crumb, frame_of, page
from api.pages.happenings import events_of
from api.pages.live import Fragment, stream_fragments
from api.pages.page_route import PageRoute
from api.pages.replica_rows import replica_rows
from api.pages.server_views import ServerReader, server_url
from api.pages.visitors import Context, Visiting
from store.tables import Server

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SECTION = "servers"
PERIOD = timedelta(seconds=2)
NEWEST = 5


async def server_of(server_id: Identifier, context: Context, visitor: Visiting) -> Server:
    """The server of the address. Raises NotFound, also for another team's."""
    return await context.store.servers.get(server_id, team_id=visitor.team_id)


OwnServer = Annotated[Server, Depends(server_of)]


def crumbs_of(server: Server, *more: Crumb) -> tuple[Crumb, ...]:
    """The way to a page below a server."""
    own = Crumb(server.name, server_url(server.id) if more else "")
    return (Crumb("Servers", "/servers"), own, *more)


@router.get("/servers")
async def servers_page(request: Request, context: Context, visitor: Visiting) -> Response:
    """Every server of the team."""
    frame = frame_of(
        request,
        visitor,
        title="Servers",
        crumbs=(Crumb("Servers"),),
        section=SECTION,
        live_url="/ui/servers/stream",
    )
    return page("servers", frame, rows=await ServerReader(context, visitor).rows())


@router.get("/ui/servers/stream")
async def servers_stream(context: Context, visitor: Visiting) -> Response:
    """The rows that changed, as they change."""
    reader = ServerReader(context, visitor)

    async def produce() -> Sequence[Fragment]:
        rows = await reader.rows()
        ids = tuple(row.id for row in rows)
        whole = Fragment("servers", "fragments/server_list.html", {"rows": rows}, state=ids)
        return [whole] + [
            Fragment(f"server-{row.id}", "fragments/server_row.html", {"row": row}) for row in rows
        ]

    return stream_fragments(produce, for_team=visitor.team_id, period=PERIOD)


@router.get("/servers/{server_id}")
async def server_page(request: Request, context: Context, visitor: Visiting, server: OwnServer) -> Response:
    """How it stands, live."""
    reader = ServerReader(context, visitor)
    frame = frame_of(
        request,
        visitor,
        title=server.name,
        crumbs=crumbs_of(server),
        section=SECTION,
        live_url=f"/ui/servers/{server.id}/stream",
    )
    placed = await reader.applications()
    return page(
        "server",
        frame,
        server=await reader.view(server),
        events=await events_of(context, server, NEWEST),
        replicas=await replica_rows(context, server),
        applications=tuple(placed.get(server.id, ())),
        nodes=await reader.nodes(server),
    )


@router.get("/ui/servers/{server_id}/stream")
async def server_stream(context: Context, visitor: Visiting, server: OwnServer) -> Response:
    """The parts of the server's page that changed, as they change."""
    reader = ServerReader(context, visitor)

    async def produce() -> Sequence[Fragment]:
        present = await context.store.servers.get(server.id, team_id=visitor.team_id)
        events = await events_of(context, present, NEWEST)
        replicas = await replica_rows(context, present)
        values = {"server": await reader.view(present), "events": events, "replicas": replicas}
        names = ("head", "state", "timeline", "facts", "replicas", "events")
        return [Fragment(f"server-{name}", f"fragments/server_{name}.html", values) for name in names]

    return stream_fragments(produce, for_team=visitor.team_id)
