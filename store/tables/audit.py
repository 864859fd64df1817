"""Who did what."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now


class AuditEvent(SQLModel, table=True):
    """One action of a person or token; it outlives what it speaks of, so it has no foreign keys."""

    __tablename__ = "audit_event"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(index=True)
    actor: str
    action: str
    resource_kind: str
    resource_id: str = Field(index=True)
    summary: str = ""
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
