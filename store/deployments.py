"""Deployments: the permanent record of every operation, its steps and its snapshot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import and_, func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.configuration import REVEAL, ApplicationConfiguration
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.errors import NotFound
from domain.release_policies import steps_without
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.tables import Application, Deployment, DeploymentStep

OPEN_STATUSES = (DeploymentStatus.QUEUED, DeploymentStatus.IN_PROGRESS)
WITHOUT_SNAPSHOT = defer(cast(QueryableAttribute[str | None], Deployment.snapshot_sealed), raiseload=True)
"""For lists: a snapshot may have tens of megabytes, and a list many of them."""


class DeploymentStore:
    """Reads and writes deployments; every write may be repeated. Those that are listed have no snapshot."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    async def record(self, deployment: Deployment) -> Deployment:
        """Writes the request, unless it is there already; returns what is there."""
        try:
            async with self._database.writing() as session:
                found = await session.get(Deployment, deployment.id)
                if found is not None:
                    return found
                session.add(deployment)
            return deployment
        except IntegrityError:
            # The API and a worker write the same request, and may do so at the same moment.
            if (found := await self.find(deployment.id)) is None:
                raise
            return found

    async def get(self, deployment_id: str, *, team_id: str | None = None) -> Deployment:
        """The deployment. Raises NotFound, also for another team's."""
        async with self._database.reading() as session:
            row = await _require(session, deployment_id)
            if team_id is not None:
                owner = await session.get(Application, row.application_id)
                if owner is None or owner.team_id != team_id:
                    raise NotFound("There is no such deployment.")
            return row

    async def find(self, deployment_id: str) -> Deployment | None:
        """The deployment, or None."""
        async with self._database.reading() as session:
            return await session.get(Deployment, deployment_id)

    async def list_of_application(
        self,
        application_id: str,
        *,
        skip: int = 0,
        take: int = 10,
        kinds: Collection[OperationKind] = tuple(OperationKind),
    ) -> tuple[int, Sequence[Deployment]]:
        """How many of these kinds there are, and one page of them, newest first."""
        of_application = and_(
            col(Deployment.application_id) == application_id, col(Deployment.kind).in_(kinds)
        )
        async with self._database.reading() as session:
            count = (
                await session.exec(select(func.count()).select_from(Deployment).where(of_application))
            ).one()
            query = (
                select(Deployment)
                .options(WITHOUT_SNAPSHOT)
                .where(of_application)
                .order_by(col(Deployment.requested_at).desc(), col(Deployment.id))
            )
            return count, (await session.exec(query.offset(skip).limit(take))).all()

    async def list_latest(self, *, team_id: str) -> dict[str, Deployment]:
        """The newest deployment of each of the team's applications, by the application's id."""
        position = func.row_number().over(
            partition_by=col(Deployment.application_id), order_by=col(Deployment.requested_at).desc()
        )
        ranked = (
            select(Deployment.id, position.label("position"))
            .join(Application, col(Application.id) == col(Deployment.application_id))
            .where(Application.team_id == team_id)
            .subquery()
        )
        query = select(Deployment).join(ranked, col(Deployment.id) == ranked.c.id)
        query = query.options(WITHOUT_SNAPSHOT).where(ranked.c.position == 1)
        async with self._database.reading() as session:
            rows = (await session.exec(query)).all()
        return {row.application_id: row for row in rows}

    async def list_open(self, *, team_id: str) -> Sequence[Deployment]:
        """The team's queued and running deployments, oldest first."""
        query = (
            select(Deployment)
            .options(WITHOUT_SNAPSHOT)
            .join(Application, col(Application.id) == col(Deployment.application_id))
            .where(Application.team_id == team_id, col(Deployment.status).in_(OPEN_STATUSES))
            .order_by(col(Deployment.requested_at))
        )
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def list_all_open(self) -> Sequence[Deployment]:
        """Every team's queued and running deployments, oldest first."""
        query = select(Deployment).options(WITHOUT_SNAPSHOT).order_by(col(Deployment.requested_at))
        async with self._database.reading() as session:
            return (await session.exec(query.where(col(Deployment.status).in_(OPEN_STATUSES)))).all()

    async def busy_applications(self) -> frozenset[str]:
        """The ids of all applications, of every team, that have a queued or running deployment."""
        query = select(Deployment.application_id).where(col(Deployment.status).in_(OPEN_STATUSES))
        async with self._database.reading() as session:
            return frozenset((await session.exec(query.distinct())).all())

    async def is_busy(self, application_id: str) -> bool:
        """Whether the application has a queued or running deployment."""
        query = select(Deployment.id).where(
            Deployment.application_id == application_id, col(Deployment.status).in_(OPEN_STATUSES)
        )
        async with self._database.reading() as session:
            return (await session.exec(query.limit(1))).first() is not None

    async def list_finished(self, application_id: str) -> Sequence[Deployment]:
        """The application's successful deployments that have an image, newest first."""
        query = (
            select(Deployment)
            .options(WITHOUT_SNAPSHOT)
            .where(
                Deployment.application_id == application_id,
                Deployment.status == DeploymentStatus.FINISHED,
                Deployment.image != "",
            )
        )
        async with self._database.reading() as session:
            return (await session.exec(query.order_by(col(Deployment.finished_at).desc()))).all()

    async def pushed_image(self, deployment_id: str) -> str:
        """Where its image is in a registry (`name@sha256:…`), pushed by it or a successful one before; or "".

        Raises NotFound.
        """
        async with self._database.reading() as session:
            row = await _require(session, deployment_id)
            if row.pushed_image or not row.image:
                return row.pushed_image
            query = select(Deployment.pushed_image).where(
                Deployment.application_id == row.application_id,
                Deployment.status == DeploymentStatus.FINISHED,
                Deployment.image == row.image,
                Deployment.pushed_image != "",
            )
            return (await session.exec(query.order_by(col(Deployment.finished_at).desc()))).first() or ""

    async def all_of_application(self, application_id: str) -> Sequence[Deployment]:
        """Every operation on the application, in no order."""
        query = select(Deployment).where(Deployment.application_id == application_id)
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def begin(
        self, deployment_id: str, configuration: ApplicationConfiguration, steps: Sequence[Step]
    ) -> Deployment:
        """Marks it in progress, with its snapshot and all its steps pending. A repeat changes nothing."""
        async with self._database.writing() as session:
            row = await _require(session, deployment_id)
            if row.snapshot_sealed is None:
                row.snapshot_sealed = self._keys.encrypt(configuration.model_dump_json(context=REVEAL))
                row.configuration_hash = self._keys.fingerprint(configuration.model_dump_json(context=REVEAL))
                row.status, row.started_at = DeploymentStatus.IN_PROGRESS, now()
                session.add(row)
                for position, step in enumerate(steps):
                    session.add(_step_row(deployment_id, position, step))
            return row

    async def snapshot(self, deployment_id: str) -> ApplicationConfiguration:
        """The whole configuration that this deployment released. Raises NotFound where it has none."""
        return self.released(await self.get(deployment_id))

    def released(self, row: Deployment) -> ApplicationConfiguration:
        """The same of a row that was read already."""
        if row.snapshot_sealed is None:
            raise NotFound("This deployment never started, so it has no configuration to go back to.")
        return ApplicationConfiguration.model_validate_json(self._keys.decrypt(row.snapshot_sealed))

    async def update(self, deployment_id: str, **values: object) -> Deployment:
        """Sets the named columns."""
        async with self._database.writing() as session:
            row = await _require(session, deployment_id)
            row.sqlmodel_update(values)
            session.add(row)
            return row

    async def steps(self, deployment_id: str) -> list[Step]:
        """The steps in order."""
        query = select(DeploymentStep).where(DeploymentStep.deployment_id == deployment_id)
        async with self._database.reading() as session:
            rows = (await session.exec(query.order_by(col(DeploymentStep.position)))).all()
        return [_step(row) for row in rows]

    async def set_step(
        self,
        deployment_id: str,
        name: StepName,
        server: str,
        status: StepStatus,
        *,
        attempt: int | None = None,
        message: str | None = None,
    ) -> None:
        """Moves one step. A step that failed stays failed when it is compensated afterwards."""
        async with self._database.writing() as session:
            query = select(DeploymentStep).where(
                DeploymentStep.deployment_id == deployment_id,
                DeploymentStep.name == name,
                DeploymentStep.server == server,
            )
            row = (await session.exec(query)).first()
            if row is None or (row.status == StepStatus.FAILED and status is StepStatus.COMPENSATED):
                return
            _move(row, status, now())
            row.attempt = row.attempt if attempt is None else attempt
            row.message = row.message if message is None else message
            session.add(row)

    async def leave_out(
        self, deployment_id: str, server: str, instead: str, failed: StepName, message: str
    ) -> None:
        """The deployment goes on without a server: see `domain.release_policies.steps_without`."""
        async with self._database.writing() as session:
            query = select(DeploymentStep).where(DeploymentStep.deployment_id == deployment_id)
            rows = (await session.exec(query.order_by(col(DeploymentStep.position)))).all()
            changed = steps_without([_step(row) for row in rows], server, instead, failed, message)
            for row, step in zip(rows, changed, strict=True):
                if step == _step(row):
                    continue
                if step.status is StepStatus.PENDING:
                    row.server, row.started_at, row.finished_at = step.server, None, None
                    row.status, row.attempt = StepStatus.PENDING, 0
                else:
                    _move(row, step.status, now())
                row.message = step.message
                session.add(row)


def _move(row: DeploymentStep, status: StepStatus, at: datetime) -> None:
    row.status = status
    if status is StepStatus.RUNNING:
        row.started_at = row.started_at or at
        row.finished_at = None
    elif status is not StepStatus.COMPENSATED or row.finished_at is None:
        row.finished_at = at


def _step_row(deployment_id: str, position: int, step: Step) -> DeploymentStep:
    return DeploymentStep(
        deployment_id=deployment_id, position=position, name=step.name, server=step.server, status=step.status
    )


def _step(row: DeploymentStep) -> Step:
    return Step(
        name=StepName(row.name),
        server=row.server,
        status=StepStatus(row.status),
        attempt=row.attempt,
        started_at=row.started_at,
        finished_at=row.finished_at,
        message=row.message,
    )


async def _require(session: AsyncSession, deployment_id: str) -> Deployment:
    row = await session.get(Deployment, deployment_id)
    if row is None:
        raise NotFound("There is no such deployment.")
    return row
