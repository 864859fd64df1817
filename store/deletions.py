"""Which servers may still have something of an application that was deleted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from sqlmodel import col, delete, select, update

from store.columns import now
from store.database import Database
from store.tables import Application, DeletedApplication

PUT_OFF: Final = timedelta(hours=1)
"""How long looks at a server, one each minute, leave alone what could not be taken away."""


class DeletionStore:
    """Remembers an application for each server until nothing of it is left. Every write may be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expect(self, application_id: str, server_ids: Iterable[str], *, delete_volumes: bool) -> None:
        """These servers may have something of an application whose deletion begins."""
        async with self._database.writing() as session:
            for server_id in server_ids:
                await session.merge(
                    DeletedApplication(
                        server_id=server_id, application_id=application_id, delete_volumes=delete_volumes
                    )
                )

    async def left_on(self, server_id: str) -> Sequence[DeletedApplication]:
        """The applications that are gone, and of which this server may have something, oldest first.

        Those whose deletion is under way, or did not succeed, are none of them.
        """
        known = select(Application.id).where(col(Application.id) == col(DeletedApplication.application_id))
        query = select(DeletedApplication).where(DeletedApplication.server_id == server_id, ~known.exists())
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(DeletedApplication.since)))).all()

    async def put_off(self, server_id: str, application_id: str) -> None:
        """Something of it stays for now. Clean-ups try to take it, looks at the server not for a while."""
        mine = (col(DeletedApplication.server_id) == server_id) & (
            col(DeletedApplication.application_id) == application_id
        )
        async with self._database.writing() as session:
            await session.exec(update(DeletedApplication).where(mine).values(since=now() + PUT_OFF))

    async def done(self, server_id: str, application_id: str) -> None:
        """The server has nothing of it any more."""
        async with self._database.writing() as session:
            await session.exec(
                delete(DeletedApplication).where(
                    col(DeletedApplication.server_id) == server_id,
                    col(DeletedApplication.application_id) == application_id,
                )
            )
