"""How the replicas on servers stand, as the watch of each server saw it last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlmodel import col, delete, select

from domain.replica_states import StandingReplica
from store.columns import now
from store.database import Database
from store.tables import ReplicaStanding, Server


class ReplicaStore:
    """One row for each replica; what is not on its server any more has none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, server_id: str, replicas: Iterable[StandingReplica]) -> None:
        """These are the replicas on the server now; since when is kept where the state is the same."""
        present = {one.name: one for one in replicas}
        moment = now()
        async with self._database.writing() as session:
            query = select(ReplicaStanding).where(ReplicaStanding.server_id == server_id)
            for row in (await session.exec(query)).all():
                one = present.pop(row.replica, None)
                if one is None:
                    await session.delete(row)
                elif (row.application_id, row.state) != (one.application_id, one.state):
                    row.application_id, row.state, row.since = one.application_id, one.state, moment
            for one in present.values():
                session.add(
                    ReplicaStanding(
                        server_id=server_id,
                        replica=one.name,
                        application_id=one.application_id,
                        state=one.state,
                        since=moment,
                    )
                )

    async def on_server(self, server_id: str) -> Sequence[ReplicaStanding]:
        """All on the server, by name."""
        query = select(ReplicaStanding).where(ReplicaStanding.server_id == server_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(ReplicaStanding.replica)))).all()

    async def of_application(self, application_id: str) -> Sequence[ReplicaStanding]:
        """Those of the application, on all servers."""
        query = select(ReplicaStanding).where(ReplicaStanding.application_id == application_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(ReplicaStanding.replica)))).all()

    async def forget_gone(self) -> None:
        """Removes those of servers that are gone."""
        gone = col(ReplicaStanding.server_id).not_in(select(Server.id))
        async with self._database.writing() as session:
            await session.exec(delete(ReplicaStanding).where(gone))
