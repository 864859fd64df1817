"""Which applications live on which servers, as configured and as released."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import and_, exists, or_
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from domain.configuration import ApplicationConfiguration, VolumeKind
from domain.deployments import DeploymentStatus
from store.applications import ApplicationStore
from store.database import Database
from store.deployments import OPEN_STATUSES, DeploymentStore
from store.tables import Application, Deployment, ServerRelease
from store.tables.applications import DesiredState

WITHOUT_WAY_BACK = (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED, DeploymentStatus.SUPERSEDED)
"""No rollback leads to a deployment in these states, and it goes on no more."""


class LocationStore:
    """Answers for the applications of all teams: what is configured takes effect with a release only."""

    def __init__(
        self, database: Database, applications: ApplicationStore, deployments: DeploymentStore
    ) -> None:
        self._database = database
        self._applications = applications
        self._deployments = deployments

    async def applications_on(
        self, server_ids: Collection[str], *, configured_only: bool = False
    ) -> Sequence[str]:
        """The ids of those that are configured for any of these, serve there, or are being released there."""
        wanted = set(server_ids)
        serving = select(ServerRelease.application_id).where(col(ServerRelease.server_id).in_(wanted))
        async with self._database.reading() as session:
            rows = (await session.exec(select(Application))).all()
            released = () if configured_only else (await session.exec(serving)).all()
            moving = () if configured_only else (await session.exec(_under_way_or_unwritten())).all()
        found = set(released)
        found |= {one.application_id for one in moving if wanted & self._servers_of(self._released([one]))}
        return [
            row.id for row in rows if row.id in found or wanted & self._servers_of([self._configured(row)])
        ]

    async def servers_of(self, application: Application) -> Sequence[str]:
        """The ids of its configured servers, in their order, and of those where it serves besides."""
        query = select(ServerRelease.server_id).where(ServerRelease.application_id == application.id)
        async with self._database.reading() as session:
            serving = (await session.exec(query.order_by(col(ServerRelease.server_id)))).all()
        return tuple(dict.fromkeys([*self._configured(application).server_ids, *serving]))

    async def applications_with_edge(self, server_id: str) -> Sequence[str]:
        """The ids of those whose edge the server is, as configured or as released."""
        query = select(Application, Deployment).join(
            Deployment, col(Deployment.id) == col(Application.current_deployment_id), isouter=True
        )
        async with self._database.reading() as session:
            rows = (await session.exec(query)).all()
        found = []
        for row, current in rows:
            known = [self._configured(row)]
            if current is not None and row.desired_state != DesiredState.STOPPED:
                known += self._released([current])
            if server_id in {one.routing.edge_server_id for one in known}:
                found.append(row.id)
        return found

    async def has_mounted_folders(self, server_id: str) -> bool:
        """Whether any of them mounts a folder of the server, now or after a rollback."""
        snapshots = select(Deployment).where(col(Deployment.status).not_in(WITHOUT_WAY_BACK))
        async with self._database.reading() as session:
            applications = (await session.exec(select(Application))).all()
            deployments = (await session.exec(snapshots)).all()

        def found() -> bool:
            configurations = [*map(self._configured, applications), *self._released(deployments)]
            return any(
                server_id in one.server_ids and volume.kind is VolumeKind.BIND
                for one in configurations
                for volume in one.runtime.volumes
            )

        # Each snapshot is opened, and there may be thousands.
        return await asyncio.to_thread(found)

    def _configured(self, application: Application) -> ApplicationConfiguration:
        return self._applications.configured(application)[0]

    def _released(self, deployments: Iterable[Deployment]) -> list[ApplicationConfiguration]:
        return [self._deployments.released(one) for one in deployments if one.snapshot_sealed is not None]

    @staticmethod
    def _servers_of(configurations: Iterable[ApplicationConfiguration]) -> set[str]:
        return {server_id for one in configurations for server_id in one.server_ids}


def _under_way_or_unwritten() -> SelectOfScalar[Deployment]:
    """Deployments that are open, or that run since before it was written down which server has what."""
    written = exists().where(col(ServerRelease.application_id) == col(Deployment.application_id))
    runs = exists().where(
        col(Application.current_deployment_id) == col(Deployment.id),
        col(Application.desired_state) != DesiredState.STOPPED,
    )
    return select(Deployment).where(or_(col(Deployment.status).in_(OPEN_STATUSES), and_(runs, ~written)))
