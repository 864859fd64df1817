"""Environments of a project."""

from __future__ import annotations

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Principal, Reader, Writer
from api.context import ApiContext
from api.routes.parameters import ContextOf, NameOrUuid, Uuid
from api.shapes.answers import Done, number_of
from api.shapes.descriptions import checked_description, checked_name
from api.shapes.projects import ChangeProject, CreateEnvironment, EnvironmentAnswer, EnvironmentResource
from api.shown_applications import load_applications
from domain.errors import InvalidInput
from domain.names import validate_name
from store.tables import Environment

router = APIRouter(prefix="/projects/{uuid}", tags=["Projects"])


@router.get("/environments", summary="List environments")
async def get_environments(uuid: Uuid, context: ContextOf, principal: Reader) -> list[EnvironmentAnswer]:
    """The project's environments, oldest first."""
    project = await context.store.projects.get(uuid, team_id=principal.team_id)
    return [EnvironmentAnswer.of(one) for one in await context.store.projects.environments(project.id)]


@router.post("/environments", summary="Create an environment", status_code=201)
async def create_environment(
    uuid: Uuid, body: CreateEnvironment, context: ContextOf, principal: Writer
) -> EnvironmentAnswer:
    """Refused when the name is taken."""
    project = await context.store.projects.get(uuid, team_id=principal.team_id)
    environment = await context.store.projects.create_environment(
        project.id, _checked_name(validate_name(body.name)), checked_description(body.description)
    )
    await audit(context, principal, "environment.create", "environment", environment.id, environment.name)
    return EnvironmentAnswer.of(environment)


@router.patch("/environments/{environment_name_or_uuid}", summary="Change an environment")
async def update_environment(
    uuid: Uuid,
    environment_name_or_uuid: NameOrUuid,
    body: ChangeProject,
    context: ContextOf,
    principal: Writer,
) -> EnvironmentAnswer:
    """What is left out stays."""
    environment = await _environment(context, principal, uuid, environment_name_or_uuid)
    given = body.model_fields_set
    name = checked_name(body.name)
    changed = await context.store.projects.update_environment(
        environment,
        name=None if name is None else _checked_name(name),
        description=checked_description(body.description) if "description" in given else None,
    )
    await audit(context, principal, "environment.update", "environment", changed.id, ", ".join(sorted(given)))
    return EnvironmentAnswer.of(changed)


@router.delete("/environments/{environment_name_or_uuid}", summary="Delete an empty environment")
async def delete_environment(
    uuid: Uuid, environment_name_or_uuid: NameOrUuid, context: ContextOf, principal: Writer
) -> Done:
    """Refused while it has applications."""
    environment = await _environment(context, principal, uuid, environment_name_or_uuid)
    await context.store.projects.delete_environment(environment)
    await audit(context, principal, "environment.delete", "environment", environment.id, environment.name)
    return Done(message="Environment deleted.")


@router.get("/{environment_name_or_uuid}", summary="One environment")
async def get_environment_by_name_or_uuid(
    uuid: Uuid, environment_name_or_uuid: NameOrUuid, context: ContextOf, principal: Reader
) -> EnvironmentAnswer:
    """The environment with its applications."""
    environment = await _environment(context, principal, uuid, environment_name_or_uuid)
    applications = [
        EnvironmentResource(id=number_of(one.row.id), uuid=one.row.id, name=one.row.name, status=one.status)
        for one in await load_applications(context, principal)
        if one.environment.id == environment.id
    ]
    return EnvironmentAnswer.of(environment, applications)


async def _environment(
    context: ApiContext, principal: Principal, project_id: str, name_or_uuid: str
) -> Environment:
    project = await context.store.projects.get(project_id, team_id=principal.team_id)
    return await context.store.projects.environment(project.id, name_or_uuid)


def _checked_name(name: str) -> str:
    """Environments are named in paths, so a slash would make one unreachable."""
    if "/" in name or name == "environments":
        raise InvalidInput(f"An environment cannot be named '{name}'.", field="name")
    return name
