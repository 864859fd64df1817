"""Every change leaves a line about who made it."""

from __future__ import annotations

from api.context import ApiContext
from store.access import Principal
from store.tables import AuditEvent


async def audit(
    context: ApiContext, principal: Principal, action: str, kind: str, resource_id: str, summary: str = ""
) -> None:
    """Records an action on a resource. The summary must hold nothing secret."""
    await context.store.audit.record(
        AuditEvent(
            team_id=principal.team_id,
            actor=principal.user_email,
            action=action,
            resource_kind=kind,
            resource_id=resource_id,
            summary=summary,
        )
    )
