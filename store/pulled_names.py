"""Which names of images are on a server because Seaway has pulled them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, delete, select

from store.database import Database
from store.tables import PulledName


class PulledNameStore:
    """Reads and writes them; every write may be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, server_id: str, reference: str, application_id: str) -> None:
        """The name is not there yet, and is about to be pulled for this application."""
        row = PulledName(server_id=server_id, reference=reference, application_id=application_id)
        async with self._database.writing() as session:
            await session.merge(row)

    async def on_server(self, server_id: str) -> Sequence[PulledName]:
        """Those that have not been taken off yet."""
        query = select(PulledName).where(PulledName.server_id == server_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(PulledName.reference)))).all()

    async def forget(self, name: PulledName) -> None:
        """It was taken off."""
        async with self._database.writing() as session:
            await session.exec(
                delete(PulledName).where(
                    col(PulledName.server_id) == name.server_id,
                    col(PulledName.reference) == name.reference,
                    col(PulledName.application_id) == name.application_id,
                )
            )
