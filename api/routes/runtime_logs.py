"""What an application's replicas print."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse

from api.authentication import Reader
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import Answer
from api.streams import answer_with, describe_events, follow_runtime_log

router = APIRouter(prefix="/applications/{uuid}/logs", tags=["Applications"])

Lines = Annotated[int, Query(ge=1, le=10_000, description="So many of the last lines.")]
Timestamps = Annotated[bool, Query(description="Each line begins with its time.")]


class Logs(Answer):
    """The last lines, as text."""

    logs: str


@router.get("", summary="The last lines of an application")
async def get_application_logs_by_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader, lines: Lines = 100, show_timestamps: Timestamps = False
) -> Logs:
    """Of all its replicas together, in order of time."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    return Logs(logs=await context.runtime.logs(application.id, lines=lines, timestamps=show_timestamps))


@router.get(
    "/stream",
    summary="Follow the lines of an application live",
    response_class=EventSourceResponse,
    responses=describe_events("log"),
)
async def stream_application_logs_by_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    lines: Lines = 100,
    show_timestamps: Timestamps = False,
    last_event_id: Annotated[str | None, Header(description="Only lines after the one with this id.")] = None,
) -> EventSourceResponse:
    """Server-sent events named `log`, with the line as `text`, of all replicas, also of later releases."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    source = context.runtime.follow_logs(application.id, lines=lines, after=last_event_id or "")
    return answer_with(follow_runtime_log(source, timestamps=show_timestamps), for_team=principal.team_id)
