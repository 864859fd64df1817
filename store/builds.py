"""Which deployments build where, and which servers have built from a repository before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select, update
from sqlmodel.sql.expression import SelectOfScalar

from domain.builders import BuildState
from domain.deployments import DeploymentStatus, StepName, StepStatus
from store.columns import now
from store.database import Database
from store.tables import Application, Deployment, DeploymentStep


@dataclass(frozen=True)
class ServerBuild:
    """A build that runs on a server or waits to."""

    deployment_id: str
    application_id: str
    application_name: str
    state: BuildState
    message: str
    started_at: datetime | None


class BuildStore:
    """Reads and writes where deployments build."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(
        self, deployment_id: str, server_id: str | None, *, shown_on: str, server: str, message: str
    ) -> None:
        """The deployment waits to build on this server; its step names the server and says why."""
        async with self._database.writing() as session:
            row = await session.get(Deployment, deployment_id)
            step = (await session.exec(_build_step(deployment_id, shown_on))).first()
            if row is not None:
                row.build_server_id, row.build_state = server_id, BuildState.WAITING
                session.add(row)
            if step is not None:
                step.server, step.message, step.status = server, message, StepStatus.RUNNING
                step.started_at = step.started_at or now()
                session.add(step)

    async def place(self, deployment_id: str, *, shown_on: str, server: str) -> None:
        """The build's step is on another server than it was shown on."""
        async with self._database.writing() as session:
            step = (await session.exec(_build_step(deployment_id, shown_on))).first()
            if step is not None:
                step.server = server
                session.add(step)

    async def begin(self, deployment_id: str, server_id: str, repository_key: str) -> None:
        """The deployment builds on this server."""
        async with self._database.writing() as session:
            row = await session.get(Deployment, deployment_id)
            if row is not None:
                row.build_server_id, row.build_state = server_id, BuildState.BUILDING
                row.repository_key = repository_key
                session.add(row)

    async def end(self, deployment_ids: Collection[str]) -> None:
        """These deployments build and wait no more."""
        query = update(Deployment).where(col(Deployment.id).in_(deployment_ids))
        async with self._database.writing() as session:
            await session.exec(query.values(build_state=BuildState.NONE))

    async def counts(self, server_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """How many build on each of these servers, and how many wait to."""
        found: Counter[tuple[str, str]] = Counter()
        query = (
            select(Deployment.build_server_id, Deployment.build_state)
            .where(col(Deployment.build_server_id).in_(server_ids))
            .where(
                Deployment.status == DeploymentStatus.IN_PROGRESS, Deployment.build_state != BuildState.NONE
            )
        )
        async with self._database.reading() as session:
            for server_id, state in (await session.exec(query)).all():
                found[(server_id or "", state)] += 1
        return {
            one: (found[(one, BuildState.BUILDING)], found[(one, BuildState.WAITING)]) for one in server_ids
        }

    async def warm(self, repository_key: str, server_ids: Collection[str]) -> frozenset[str]:
        """Which of these servers have built from this repository."""
        query = (
            select(Deployment.build_server_id)
            .where(Deployment.repository_key == repository_key, Deployment.image_id != "")
            .where(col(Deployment.build_server_id).in_(server_ids))
            .distinct()
        )
        async with self._database.reading() as session:
            return frozenset(one for one in (await session.exec(query)).all() if one)

    async def application_names(self, deployment_ids: Collection[str]) -> list[str]:
        """The names of the applications that these deployments are of, in alphabetical order."""
        query = (
            select(Application.name)
            .join(Deployment, col(Application.id) == col(Deployment.application_id))
            .where(col(Deployment.id).in_(deployment_ids))
        )
        async with self._database.reading() as session:
            return sorted((await session.exec(query)).all())

    async def on_server(self, server_id: str, *, team_id: str) -> Sequence[ServerBuild]:
        """The team's builds that run there and those that wait to, oldest first."""
        query = (
            select(Deployment, Application.name, DeploymentStep.message, DeploymentStep.started_at)
            .join(Application, col(Application.id) == col(Deployment.application_id))
            .join(DeploymentStep, col(DeploymentStep.deployment_id) == col(Deployment.id))
            .where(Deployment.build_server_id == server_id, Application.team_id == team_id)
            .where(
                Deployment.status == DeploymentStatus.IN_PROGRESS, Deployment.build_state != BuildState.NONE
            )
            .where(DeploymentStep.name == StepName.BUILD)
            .order_by(col(Deployment.build_state), col(DeploymentStep.started_at), col(Deployment.id))
        )
        async with self._database.reading() as session:
            rows = (await session.exec(query)).all()
        builds = {
            row.id: ServerBuild(
                deployment_id=row.id,
                application_id=row.application_id,
                application_name=name,
                state=BuildState(row.build_state),
                message=message,
                started_at=started_at,
            )
            for row, name, message, started_at in rows
        }
        return tuple(builds.values())


def _build_step(deployment_id: str, server: str) -> SelectOfScalar[DeploymentStep]:
    return select(DeploymentStep).where(
        DeploymentStep.deployment_id == deployment_id,
        DeploymentStep.name == StepName.BUILD,
        DeploymentStep.server == server,
    )
