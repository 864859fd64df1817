"""What servers and replicas use, and what happened to servers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.authentication import Reader
from api.routes.parameters import Before, ContextOf, Limit, Moment, Uuid
from api.shapes.metrics import (
    ApplicationMetrics,
    ReplicaAnswer,
    ReplicaMetrics,
    ServerEventAnswer,
    ServerMetrics,
    ServerPoint,
)
from api.shown_metrics import Span, replica_points, server_points, span_of
from api.shown_replicas import replicas_on, states_of

router = APIRouter(tags=["Metrics"])

From = Annotated[Moment, Query(alias="from", description="By default an hour before `to`.")]
To = Annotated[Moment, Query(alias="to", description="By default now.")]
Step = Annotated[
    int | None,
    Query(ge=1, le=366 * 86400, description="Seconds. It grows where too many or no such points are there."),
]


async def _asked_span(context: ContextOf, since: From = None, until: To = None, step: Step = None) -> Span:
    return span_of(context, since, until, step)


AskedSpan = Annotated[Span, Depends(_asked_span)]


@router.get("/servers/{uuid}/metrics", summary="What a server uses")
async def get_metrics_by_server_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    span: AskedSpan,
) -> ServerMetrics:
    """Averages and maxima of each step; what lies further back is kept in longer steps."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    points = [ServerPoint.of(point) for point in await server_points(context, server.id, span)]
    return ServerMetrics(
        server_uuid=server.id,
        since=span.since,
        until=span.until,
        step_seconds=span.step_seconds,
        points=points,
    )


@router.get("/servers/{uuid}/replicas", summary="The replicas on a server")
async def list_replicas_by_server_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[ReplicaAnswer]:
    """How each stands, and what it uses."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    return [ReplicaAnswer.of(one) for one in await replicas_on(context, server)]


@router.get("/servers/events", summary="What happened to all servers")
async def list_server_events(
    context: ContextOf, principal: Reader, limit: Limit = 100, before: Before = None
) -> list[ServerEventAnswer]:
    """Of the team, newest first; kept for 30 days, at most 1000 of a server."""
    servers = [one.id for one in await context.store.servers.list(team_id=principal.team_id)]
    events = await context.store.watch.events(*servers, limit=limit, before=before)
    return [ServerEventAnswer.of(event) for event in events]


@router.get("/servers/{uuid}/events", summary="What happened to a server")
async def list_events_by_server_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    limit: Limit = 100,
    before: Before = None,
) -> list[ServerEventAnswer]:
    """Newest first; kept for 30 days, at most 1000 of a server."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    events = await context.store.watch.events(server.id, limit=limit, before=before)
    return [ServerEventAnswer.of(event) for event in events]


@router.get("/applications/{uuid}/metrics", summary="What an application uses")
async def get_metrics_by_application_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    span: AskedSpan,
) -> ApplicationMetrics:
    """Averages and maxima of each step for each replica, on whichever server it runs."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    found = await replica_points(context, application.id, span)
    states = await states_of(context, application)
    return ApplicationMetrics(
        application_uuid=application.id,
        since=span.since,
        until=span.until,
        step_seconds=span.step_seconds,
        replicas=[
            ReplicaMetrics.of(subject, points, states.get(subject)) for subject, points in found.items()
        ],
    )
