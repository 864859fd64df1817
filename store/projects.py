"""Projects and environments."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.errors import Conflict, NotFound, NotPossibleNow
from store.columns import now
from store.database import Database
from store.tables import Application, Environment, Project, Registry

FIRST_ENVIRONMENT = "production"


class ProjectStore:
    """Reads and writes projects of one team at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, *, team_id: str, name: str, description: str = "") -> Project:
        """A project with the environment `production`."""
        project = Project(team_id=team_id, name=name, description=description)
        async with self._database.writing() as session:
            session.add(project)
            await session.flush()
            session.add(Environment(project_id=project.id, name=FIRST_ENVIRONMENT))
        return project

    async def get(self, project_id: str, *, team_id: str) -> Project:
        """The project. Raises NotFound, also for another team's."""
        async with self._database.reading() as session:
            return await _require(session, project_id, team_id)

    async def list(self, *, team_id: str) -> Sequence[Project]:
        """The team's projects, oldest first."""
        query = select(Project).where(Project.team_id == team_id).order_by(col(Project.created_at))
        async with self._database.reading() as session:
            return (await session.exec(query)).all()

    async def update(
        self, project_id: str, *, team_id: str, name: str | None, description: str | None
    ) -> Project:
        """Renames or describes it."""
        async with self._database.writing() as session:
            row = await _require(session, project_id, team_id)
            row.name = row.name if name is None else name
            row.description = row.description if description is None else description
            row.updated_at = now()
            session.add(row)
        return row

    async def delete(self, project_id: str, *, team_id: str) -> None:
        """Removes an empty project with its registries. Raises NotPossibleNow while it has applications."""
        async with self._database.writing() as session:
            row = await _require(session, project_id, team_id)
            for environment in await _environments(session, project_id):
                await _refuse_occupied(session, environment)
                await session.delete(environment)
            await session.exec(delete(Registry).where(col(Registry.project_id) == project_id))
            await session.flush()
            await session.delete(row)

    async def environments(self, project_id: str) -> Sequence[Environment]:
        """The project's environments, oldest first."""
        async with self._database.reading() as session:
            return await _environments(session, project_id)

    async def environment(self, project_id: str, name_or_id: str) -> Environment:
        """One environment of the project. Raises NotFound."""
        for environment in await self.environments(project_id):
            if name_or_id in (environment.name, environment.id):
                return environment
        raise NotFound(f"The project has no environment '{name_or_id}'.")

    async def environment_by_id(self, environment_id: str) -> tuple[Environment, Project]:
        """The environment and its project. Raises NotFound."""
        async with self._database.reading() as session:
            environment = await session.get(Environment, environment_id)
            project = await session.get(Project, environment.project_id) if environment else None
        if environment is None or project is None:
            raise NotFound("There is no such environment.")
        return environment, project

    async def places(self, *, team_id: str) -> dict[str, tuple[Environment, Project]]:
        """Every environment of the team with its project, by the environment's id."""
        query = (
            select(Environment, Project)
            .join(Project, col(Project.id) == col(Environment.project_id))
            .where(Project.team_id == team_id)
        )
        async with self._database.reading() as session:
            found = (await session.exec(query)).all()
        return {environment.id: (environment, project) for environment, project in found}

    async def create_environment(self, project_id: str, name: str, description: str = "") -> Environment:
        """One more environment. Raises Conflict when the name is taken."""
        row = Environment(project_id=project_id, name=name, description=description)
        async with self._database.writing() as session:
            if any(other.name == name for other in await _environments(session, project_id)):
                raise Conflict(f"The project already has an environment named '{name}'.")
            session.add(row)
        return row

    async def update_environment(
        self, environment: Environment, *, name: str | None, description: str | None
    ) -> Environment:
        """Renames or describes it. Raises Conflict when the name is taken."""
        async with self._database.writing() as session:
            row = await session.get(Environment, environment.id)
            if row is None:
                raise NotFound("There is no such environment.")
            others = [one for one in await _environments(session, row.project_id) if one.id != row.id]
            if any(other.name == name for other in others):
                raise Conflict(f"The project already has an environment named '{name}'.")
            row.name = row.name if name is None else name
            row.description = row.description if description is None else description
            row.updated_at = now()
            session.add(row)
        return row

    async def delete_environment(self, environment: Environment) -> None:
        """Removes an empty environment. Raises NotPossibleNow while it has applications."""
        async with self._database.writing() as session:
            row = await session.get(Environment, environment.id)
            if row is not None:
                await _refuse_occupied(session, row)
                await session.delete(row)


async def _require(session: AsyncSession, project_id: str, team_id: str) -> Project:
    row = await session.get(Project, project_id)
    if row is None or row.team_id != team_id:
        raise NotFound("There is no such project.")
    return row


async def _environments(session: AsyncSession, project_id: str) -> Sequence[Environment]:
    query = select(Environment).where(Environment.project_id == project_id)
    return (await session.exec(query.order_by(col(Environment.created_at)))).all()


async def _refuse_occupied(session: AsyncSession, environment: Environment) -> None:
    query = select(Application.name).where(Application.environment_id == environment.id).limit(1)
    occupant = (await session.exec(query)).first()
    if occupant is not None:
        raise NotPossibleNow(
            f"The environment '{environment.name}' still has the application '{occupant}'. Delete it first."
        )
