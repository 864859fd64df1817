"""Which server has which release of an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import col, select

from domain.errors import NotFound
from store.database import Database
from store.tables import Application, ServerRelease
from store.tables.applications import DesiredState


@dataclass(frozen=True)
class HeldRelease:
    """A release with the configuration and the number of replicas of a deployment."""

    deployment_id: str
    release_id: str


class ReleaseStore:
    """Reads and writes what each server has; every write may be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, application_id: str) -> Sequence[ServerRelease]:
        """The servers that have a release of it.

        None at all: it is stopped, or was released before this was written down, to all of its servers.
        """
        query = select(ServerRelease).where(ServerRelease.application_id == application_id)
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(ServerRelease.server_id)))).all()

    async def of_all(self, *, team_id: str) -> Mapping[str, Sequence[ServerRelease]]:
        """The same of each of the team's applications, by its id."""
        query = (
            select(ServerRelease)
            .join(Application, col(Application.id) == col(ServerRelease.application_id))
            .where(Application.team_id == team_id)
            .order_by(col(ServerRelease.server_id))
        )
        found: dict[str, list[ServerRelease]] = {}
        async with self._database.reading() as session:
            for row in (await session.exec(query)).all():
                found.setdefault(row.application_id, []).append(row)
        return found

    async def record(
        self, application_id: str, current_deployment_id: str | None, held: Mapping[str, HeldRelease]
    ) -> None:
        """Exactly these servers (by id) have a release; without a current one the application is stopped.

        Its state is written in the same transaction. A stop keeps the last deployment to start from. Raises
        NotFound.
        """
        async with self._database.writing() as session:
            application = await session.get(Application, application_id)
            if application is None:
                raise NotFound("There is no such application.")
            stopped = current_deployment_id is None
            application.desired_state = DesiredState.STOPPED if stopped else DesiredState.RUNNING
            application.current_deployment_id = current_deployment_id or application.current_deployment_id
            session.add(application)
            query = select(ServerRelease).where(ServerRelease.application_id == application_id)
            present = {row.server_id: row for row in (await session.exec(query)).all()}
            for server_id, row in present.items():
                if held.get(server_id) != HeldRelease(row.deployment_id, row.release_id):
                    await session.delete(row)
            await session.flush()
            for server_id, release in held.items():
                known = present.get(server_id)
                if known is None or release != HeldRelease(known.deployment_id, known.release_id):
                    session.add(
                        ServerRelease(
                            application_id=application_id,
                            server_id=server_id,
                            deployment_id=release.deployment_id,
                            release_id=release.release_id,
                        )
                    )
