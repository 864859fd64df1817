"""Environment variables of an application. The next deployment releases a change."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Principal, Reader, Writer, sees_secrets
from api.context import ApiContext
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import Done
from api.shapes.environment_variables import (
    VariableAnswer,
    WriteVariable,
    WriteVariables,
    variable_to_write,
)
from domain.errors import Conflict, InvalidInput, NotFound
from store.tables import Application, Variable

router = APIRouter(prefix="/applications/{uuid}/envs", tags=["Applications"])


@router.get("", summary="List environment variables")
async def list_envs_by_application_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[VariableAnswer]:
    """In the order in which they were made."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    rows = await context.store.applications.variables(application.id)
    return [_answer(context, principal, row) for row in rows]


@router.post("", summary="Create an environment variable", status_code=201)
async def create_env_by_application_uuid(
    uuid: Uuid, body: WriteVariable, context: ContextOf, principal: Writer
) -> VariableAnswer:
    """Refused when there is one with this key."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    if _key(body) in await _known(context, application):
        raise Conflict(f"The variable '{body.key.strip()}' exists already. Change it with PATCH.")
    written = await _write(context, principal, application, [body], "create")
    return _answer(context, principal, written[0])


@router.patch("", summary="Change an environment variable", status_code=201)
async def update_env_by_application_uuid(
    uuid: Uuid, body: WriteVariable, context: ContextOf, principal: Writer
) -> VariableAnswer:
    """What is left out stays."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    if _key(body) not in await _known(context, application):
        raise NotFound("There is no such environment variable.")
    written = await _write(context, principal, application, [body], "update")
    return _answer(context, principal, written[0])


@router.patch("/bulk", summary="Create or change several environment variables", status_code=201)
async def update_envs_by_application_uuid(
    uuid: Uuid, body: WriteVariables, context: ContextOf, principal: Writer
) -> list[VariableAnswer]:
    """All of them, or none."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    written = await _write(context, principal, application, body.data, "update")
    return [_answer(context, principal, row) for row in written]


@router.delete("/{env_uuid}", summary="Delete an environment variable")
async def delete_env_by_application_uuid(
    uuid: Uuid, env_uuid: Uuid, context: ContextOf, principal: Writer
) -> Done:
    """By the variable's uuid."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    await context.store.applications.delete_variable(application.id, variable_id=env_uuid)
    await audit(context, principal, "environment_variable.delete", "application", application.id, env_uuid)
    return Done(message="Environment variable deleted.")


async def _write(
    context: ApiContext,
    principal: Principal,
    application: Application,
    bodies: Sequence[WriteVariable],
    action: str,
) -> Sequence[Variable]:
    known = await _known(context, application)
    rows = {}
    problems: dict[str, list[str]] = {}
    for index, body in enumerate(bodies):
        row = known.get(_key(body))
        value = context.store.applications.reveal(row).value if row else None
        try:
            rows[_key(body)] = variable_to_write(body, row, value)
        except InvalidInput as error:
            field = error.field if len(bodies) == 1 else f"data.{index}.{error.field}"
            problems[field] = [error.message]
    if problems:
        raise InvalidInput("Some variables are wrong; none was written.", fields=problems)
    written = await context.store.applications.set_variables(application.id, list(rows.values()))
    keys = ", ".join(row.key for row in written)
    await audit(context, principal, f"environment_variable.{action}", "application", application.id, keys)
    return written


async def _known(context: ApiContext, application: Application) -> dict[tuple[str, bool], Variable]:
    rows = await context.store.applications.variables(application.id)
    return {(row.key, row.is_preview): row for row in rows}


def _key(body: WriteVariable) -> tuple[str, bool]:
    return body.key.strip(), body.is_preview


def _answer(context: ApiContext, principal: Principal, row: Variable) -> VariableAnswer:
    revealed = context.store.applications.reveal(row)
    return VariableAnswer.of(row, revealed, with_secrets=sees_secrets(principal))
