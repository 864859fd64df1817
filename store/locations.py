"""Which applications live on which servers, as configured and as released."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy import ColumnElement, and_, exists, or_
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from domain.configuration import ApplicationConfiguration, VolumeKind
from domain.deployments import DeploymentStatus, StepName, StepStatus
from store.applications import ApplicationStore
from store.database import Database
from store.deployments import OPEN_STATUSES, DeploymentStore
from store.tables import Application, Deployment, DeploymentStep, Server, ServerRelease
from store.tables.applications import DesiredState

TAKES_AWAY = (StepName.EDGE, StepName.STOP_OLD, StepName.CLEAN_UP)
"""Steps by which a deployment takes from a server what the application had there."""
UNDONE = (StepStatus.PENDING, StepStatus.RUNNING)
WITHOUT_WAY_BACK = (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED, DeploymentStatus.SUPERSEDED)
"""No rollback leads to a deployment in these states, and it goes on no more."""


class LocationStore:
    """Answers what lives on a server, and where: what is configured takes effect with a release only.

    A server serves its own team only, so only that team's applications are looked at. They are opened in a
    thread, one after the other: there may be thousands, and each may be large.
    """

    def __init__(
        self, database: Database, applications: ApplicationStore, deployments: DeploymentStore
    ) -> None:
        self._database = database
        self._applications = applications
        self._deployments = deployments

    async def applications_on(
        self, server_ids: Collection[str], *, configured_only: bool = False, leaving: bool = True
    ) -> Sequence[str]:
        """The ids of those that are configured for any of these, serve there, or are being released there.

        Those that are `leaving` are among them until nothing of them is left to be taken away there.
        """
        wanted = set(server_ids)
        serving = select(ServerRelease.application_id).where(col(ServerRelease.server_id).in_(wanted))
        async with self._database.reading() as session:
            rows = (await session.exec(select(Application).where(_of_teams_with(wanted)))).all()
            released = () if configured_only else (await session.exec(serving)).all()
            moving = () if configured_only else (await session.exec(_under_way_or_unwritten(wanted))).all()
            asks = leaving and not configured_only
            left = (await session.exec(_leaving(wanted))).all() if asks else ()

        def found() -> list[str]:
            there = {*released, *left}
            there |= {one.application_id for one in moving if _is_for(wanted, self._released([one]))}
            return [row.id for row in rows if row.id in there or _is_for(wanted, [self._configured(row)])]

        return await asyncio.to_thread(found)

    async def servers_of(self, application: Application) -> Sequence[str]:
        """The ids of its configured servers, in their order, and of those where it serves besides.

        A server that was removed is not among them, although it is still written down what it had.
        """
        query = (
            select(ServerRelease.server_id)
            .join(Server, col(Server.id) == col(ServerRelease.server_id))
            .where(ServerRelease.application_id == application.id)
        )
        async with self._database.reading() as session:
            serving = (await session.exec(query.order_by(col(ServerRelease.server_id)))).all()
        return tuple(dict.fromkeys([*self._configured(application).server_ids, *serving]))

    async def applications_with_edge(self, server_id: str) -> Sequence[str]:
        """The ids of those whose edge the server is, as configured or as released."""
        query = (
            select(Application, Deployment)
            .join(Deployment, col(Deployment.id) == col(Application.current_deployment_id), isouter=True)
            .where(_of_teams_with({server_id}))
        )
        async with self._database.reading() as session:
            rows = (await session.exec(query)).all()

        def has_edge(row: Application, current: Deployment | None) -> bool:
            runs = [] if current is None or row.desired_state == DesiredState.STOPPED else [current]
            known = chain(map(self._configured, [row]), self._released(runs))
            return any(one.routing.edge_server_id == server_id for one in known)

        return await asyncio.to_thread(lambda: [row.id for row, current in rows if has_edge(row, current)])

    async def has_mounted_folders(self, server_id: str) -> bool:
        """Whether any of them mounts a folder of the server, now or after a rollback."""
        is_here = _of_teams_with({server_id})
        snapshots = (
            select(Deployment)
            .join(Application, col(Application.id) == col(Deployment.application_id))
            .where(is_here, col(Deployment.status).not_in(WITHOUT_WAY_BACK))
        )
        async with self._database.reading() as session:
            applications = (await session.exec(select(Application).where(is_here))).all()
            deployments = (await session.exec(snapshots)).all()

        def found() -> bool:
            return any(
                server_id in one.server_ids and volume.kind is VolumeKind.BIND
                for one in chain(map(self._configured, applications), self._released(deployments))
                for volume in one.runtime.volumes
            )

        return await asyncio.to_thread(found)

    def _configured(self, application: Application) -> ApplicationConfiguration:
        return self._applications.configured(application)[0]

    def _released(self, deployments: Iterable[Deployment]) -> Iterator[ApplicationConfiguration]:
        return (self._deployments.released(one) for one in deployments if one.snapshot_sealed is not None)


def _is_for(server_ids: set[str], configurations: Iterable[ApplicationConfiguration]) -> bool:
    return any(not server_ids.isdisjoint(one.server_ids) for one in configurations)


def _of_teams_with(server_ids: Collection[str]) -> ColumnElement[bool]:
    """Applications of the teams that these servers belong to."""
    teams = select(Server.team_id).where(col(Server.id).in_(server_ids))
    return col(Application.team_id).in_(teams)


def _under_way_or_unwritten(server_ids: Collection[str]) -> SelectOfScalar[Deployment]:
    """Deployments that are open, or that run since before it was written down which server has what.

    They are those of the teams that these servers belong to.
    """
    written = exists().where(col(ServerRelease.application_id) == col(Deployment.application_id))
    runs = and_(
        col(Application.current_deployment_id) == col(Deployment.id),
        col(Application.desired_state) != DesiredState.STOPPED,
    )
    return (
        select(Deployment)
        .join(Application, col(Application.id) == col(Deployment.application_id))
        .where(
            _of_teams_with(server_ids),
            or_(col(Deployment.status).in_(OPEN_STATUSES), and_(runs, ~written)),
        )
    )


def _leaving(server_ids: Collection[str]) -> SelectOfScalar[str]:
    """The ids of applications that open deployments have yet to take from any of these servers.

    What serves is written down before that. Steps know servers by their names, of which a team has each once.
    """
    return (
        select(Deployment.application_id)
        .join(Application, col(Application.id) == col(Deployment.application_id))
        .join(DeploymentStep, col(DeploymentStep.deployment_id) == col(Deployment.id))
        .join(
            Server,
            and_(
                col(Server.team_id) == col(Application.team_id),
                col(Server.name) == col(DeploymentStep.server),
            ),
        )
        .where(
            col(Server.id).in_(server_ids),
            col(Deployment.status).in_(OPEN_STATUSES),
            col(DeploymentStep.name).in_(TAKES_AWAY),
            col(DeploymentStep.status).in_(UNDONE),
        )
        .distinct()
    )
