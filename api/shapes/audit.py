"""Who did what."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.shapes.answers import Answer
from store.tables import AuditEvent


class AuditEventAnswer(Answer):
    """One action. What it speaks of may be gone since."""

    uuid: str
    at: datetime
    actor: str = Field(description="The e-mail address of whoever did it, also by a token.")
    action: str = Field(description="As in `server.update`.")
    resource_kind: str
    resource_uuid: str
    summary: str

    @classmethod
    def of(cls, event: AuditEvent) -> AuditEventAnswer:
        """The answer for an event."""
        return cls(
            uuid=event.id,
            at=event.at,
            actor=event.actor,
            action=event.action,
            resource_kind=event.resource_kind,
            resource_uuid=event.resource_id,
            summary=event.summary,
        )
