"""Projects and environments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from api.shapes.answers import Body, Resource, number_of
from store.tables import Environment, Project


class CreateProject(Body):
    """A new project."""

    name: str
    description: str | None = None


class ChangeProject(Body):
    """What to change of a project or an environment; what is left out stays."""

    name: str | None = None
    description: str | None = None


class CreateEnvironment(Body):
    """A new environment."""

    name: str
    description: str | None = None


class EnvironmentResource(Resource):
    """An application as its environment lists it."""

    name: str
    status: str


class EnvironmentAnswer(Resource):
    """An environment. `applications` is given where one environment is asked for."""

    name: str
    description: str | None
    project_id: int
    project_uuid: str
    applications: list[EnvironmentResource] | None = None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(
        cls, environment: Environment, applications: list[EnvironmentResource] | None = None
    ) -> EnvironmentAnswer:
        """The answer for an environment."""
        return cls(
            id=number_of(environment.id),
            uuid=environment.id,
            name=environment.name,
            description=environment.description or None,
            project_id=number_of(environment.project_id),
            project_uuid=environment.project_id,
            applications=applications,
            created_at=environment.created_at,
            updated_at=environment.updated_at,
        )


class ProjectAnswer(Resource):
    """A project."""

    name: str
    description: str | None
    environments: list[EnvironmentAnswer]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, project: Project, environments: Sequence[Environment]) -> ProjectAnswer:
        """The answer for a project."""
        return cls(
            id=number_of(project.id),
            uuid=project.id,
            name=project.name,
            description=project.description or None,
            environments=[EnvironmentAnswer.of(environment) for environment in environments],
            created_at=project.created_at,
            updated_at=project.updated_at,
        )
