"""Who did what in the team."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.authentication import SecretsReader
from api.routes.parameters import Before, ContextOf, Limit
from api.shapes.audit import AuditEventAnswer

router = APIRouter(tags=["Audit"])


@router.get("/audit", summary="Who did what")
async def list_audit_events(
    context: ContextOf,
    principal: SecretsReader,
    resource_uuid: Annotated[
        str, Query(pattern=r"^[A-Za-z0-9_-]{0,64}$", description="Only what was done to this.")
    ] = "",
    limit: Limit = 100,
    before: Before = None,
) -> list[AuditEventAnswer]:
    """Of the team, newest first. Commands that were run are among it, so it takes `read:sensitive`."""
    events = await context.store.audit.list(
        team_id=principal.team_id, resource_id=resource_uuid, limit=limit, before=before
    )
    return [AuditEventAnswer.of(event) for event in events]
