"""Projects."""

from __future__ import annotations

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Reader, Writer
from api.context import ApiContext
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import Done
from api.shapes.descriptions import checked_description, checked_name
from api.shapes.projects import ChangeProject, CreateProject, ProjectAnswer
from domain.names import validate_name
from store.tables import Project

router = APIRouter(prefix="/projects", tags=["Projects"])


@router.get("", summary="List projects")
async def list_projects(context: ContextOf, principal: Reader) -> list[ProjectAnswer]:
    """The team's projects with their environments, oldest first."""
    projects = await context.store.projects.list(team_id=principal.team_id)
    return [await _answer(context, project) for project in projects]


@router.post("", summary="Create a project", status_code=201)
async def create_project(body: CreateProject, context: ContextOf, principal: Writer) -> ProjectAnswer:
    """A project with the environment `production`."""
    project = await context.store.projects.create(
        team_id=principal.team_id,
        name=validate_name(body.name),
        description=checked_description(body.description),
    )
    await audit(context, principal, "project.create", "project", project.id, project.name)
    return await _answer(context, project)


@router.get("/{uuid}", summary="One project")
async def get_project_by_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> ProjectAnswer:
    """The project with its environments."""
    return await _answer(context, await context.store.projects.get(uuid, team_id=principal.team_id))


@router.patch("/{uuid}", summary="Change a project", status_code=201)
async def update_project_by_uuid(
    uuid: Uuid, body: ChangeProject, context: ContextOf, principal: Writer
) -> ProjectAnswer:
    """What is left out stays."""
    given = body.model_fields_set
    project = await context.store.projects.update(
        uuid,
        team_id=principal.team_id,
        name=checked_name(body.name),
        description=checked_description(body.description) if "description" in given else None,
    )
    await audit(context, principal, "project.update", "project", project.id, ", ".join(sorted(given)))
    return await _answer(context, project)


@router.delete("/{uuid}", summary="Delete an empty project")
async def delete_project_by_uuid(uuid: Uuid, context: ContextOf, principal: Writer) -> Done:
    """Refused while it has applications."""
    await context.store.projects.delete(uuid, team_id=principal.team_id)
    await audit(context, principal, "project.delete", "project", uuid)
    return Done(message="Project deleted.")


async def _answer(context: ApiContext, project: Project) -> ProjectAnswer:
    return ProjectAnswer.of(project, await context.store.projects.environments(project.id))
