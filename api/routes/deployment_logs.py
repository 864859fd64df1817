"""Logs of deployments, page by page and live."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse

from api.authentication import Reader, SecretsReader, sees_secrets
from api.routes.parameters import ContextOf, Uuid
from api.shapes.deployments import LogLineAnswer, LogPage
from api.streams import DeploymentFollower, answer_with, describe_events
from domain.deployments import DeploymentStatus

router = APIRouter(prefix="/deployments/{uuid}", tags=["Deployments"])

LARGEST_ID = 2**63 - 1

LogId = Annotated[int, Query(ge=0, le=LARGEST_ID, description="Only lines after the one with this id.")]


@router.get("/log", summary="The log of a deployment, page by page")
async def get_log_by_deployment_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: SecretsReader,
    after: LogId = 0,
    limit: Annotated[int, Query(ge=1, le=5000, description="So many lines at most.")] = 1000,
) -> LogPage:
    """Lines in order. A newer attempt of a step replaces what its older attempts wrote."""
    deployment = await context.store.deployments.get(uuid, team_id=principal.team_id)
    lines = await context.store.logs.read(uuid, after=after, limit=limit)
    shown = [LogLineAnswer.of(line) for line in lines]
    return LogPage(
        lines=shown,
        next_after=shown[-1].id if shown else after,
        is_open=not DeploymentStatus(deployment.status).is_final or len(shown) == limit,
    )


@router.get(
    "/stream",
    summary="Follow a deployment live",
    response_class=EventSourceResponse,
    responses=describe_events("step", "log", "reset", "end"),
)
async def stream_deployment_by_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="Only what came after it.")
    ] = None,
    after: LogId = 0,
) -> EventSourceResponse:
    """Server-sent events, from the beginning or after `Last-Event-ID`, until the deployment is over.

    `step`: a step that changed. `log`: a line, for those who may see secrets. `reset`: forget the lines
    of lower attempts of this step. `end`: the final status.
    """
    deployment = await context.store.deployments.get(uuid, team_id=principal.team_id)
    follower = DeploymentFollower(
        context,
        deployment,
        after=_log_id(last_event_id, after),
        with_log=sees_secrets(principal),
    )
    return answer_with(follower.events(), for_team=principal.team_id)


def _log_id(last_event_id: str | None, default: int) -> int:
    """What the browser saw last; what cannot be an id of ours counts as nothing."""
    text = last_event_id or ""
    return min(int(text), LARGEST_ID) if text.isascii() and text.isdigit() and len(text) < 20 else default
