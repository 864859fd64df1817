"""The record of who did what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select

from store.database import Database
from store.tables import AuditEvent


class AuditStore:
    """Appends events and lists them; nothing changes or removes one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, event: AuditEvent) -> None:
        """Writes one event."""
        async with self._database.writing() as session:
            session.add(event)

    async def list(
        self, *, team_id: str, resource_id: str = "", limit: int = 100, before: datetime | None = None
    ) -> Sequence[AuditEvent]:
        """The team's events, newest first; only those about the resource and `before`, if given."""
        query = select(AuditEvent).where(AuditEvent.team_id == team_id)
        if resource_id:
            query = query.where(AuditEvent.resource_id == resource_id)
        if before is not None:
            query = query.where(col(AuditEvent.at) < before)
        newest = query.order_by(col(AuditEvent.at).desc(), col(AuditEvent.id)).limit(limit)
        async with self._database.reading() as session:
            return (await session.exec(newest)).all()
