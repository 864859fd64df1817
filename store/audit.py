"""The record of who did what."""

from __future__ import annotations

from collections.abc import Sequence

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

    async def list(self, *, team_id: str, limit: int = 100) -> Sequence[AuditEvent]:
        """The team's newest events."""
        query = select(AuditEvent).where(AuditEvent.team_id == team_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(AuditEvent.at).desc()).limit(limit))).all()
