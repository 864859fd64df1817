"""The environment variables of an application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from api.authentication import Ability
from api.context import ApiContext
from api.pages.application import Identifier, OwnApplication, crumbs_of, tab_page
from api.pages.application_views import application_url
from api.pages.forms import action_page, checked, filled, general_error, read_body, to
from api.pages.frames import Crumb
from api.pages.page_route import NOT_HERE, PageRoute
from api.pages.views import ActionForm, FieldView, VariableView
from api.pages.visitors import Context, OwnForm, Visiting, Visitor
from api.routes.environment_variables import (
    create_env_by_application_uuid,
    delete_env_by_application_uuid,
    update_env_by_application_uuid,
    update_envs_by_application_uuid,
)
from api.shapes.environment_variables import WriteVariable, WriteVariables
from domain.environment_files import parse_environment_file
from domain.errors import Forbidden, InvalidInput, NotFound, SeawayError
from store.tables import Application, Variable

router = APIRouter(route_class=PageRoute, include_in_schema=False)

FLAGS = (
    FieldView("is_runtime", "When it runs", kind="check", value="true"),
    FieldView("is_buildtime", "When it is built", kind="check", value="true"),
    FieldView("is_build_secret", "As a build secret", kind="check", value="false"),
)
NEW = (
    FieldView("key", "Name", is_code=True, required=True, placeholder="DATABASE_URL"),
    FieldView("value", "Value", is_code=True),
)
COMMENT = FieldView("comment", "Comment")
BULK = FieldView(
    "variables",
    "Variables",
    kind="text_area",
    rows=8,
    wide=True,
    is_code=True,
    placeholder="NAME=value",
    hint="The lines of an .env file. A name that exists already gets the new value and keeps what it is for.",
)
TAGS = (("is_runtime", "run"), ("is_buildtime", "build"), ("is_build_secret", "build secret"))


async def variable_of(variable_id: Identifier, context: Context, application: OwnApplication) -> Variable:
    """The variable of the address. Raises NotFound."""
    for variable in await context.store.applications.variables(application.id):
        if variable.id == variable_id:
            return variable
    raise NotFound(NOT_HERE)


OwnVariable = Annotated[Variable, Depends(variable_of)]


@router.get("/applications/{application_id}/variables")
async def variables_page(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, reveal: str = ""
) -> Response:
    """All variables, masked; `reveal` shows one, for browsers without our script."""
    return await _show(request, context, visitor, application, reveal=reveal)


@router.post("/applications/{application_id}/variables")
async def add_variable(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, form: OwnForm
) -> Response:
    """Makes one variable. Raises Conflict beside the form where the name is taken."""
    visitor.must(Ability.WRITE)
    try:
        body = read_body(WriteVariable, {"key": form.get("key", ""), **_written(form)})
        await create_env_by_application_uuid(application.id, body, context, visitor.principal)
    except SeawayError as error:
        return await _show(request, context, visitor, application, form=form, error=error)
    return to(f"{application_url(application.id)}/variables", "variable")


@router.post("/applications/{application_id}/variables/bulk")
async def paste_variables(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, form: OwnForm
) -> Response:
    """Makes or changes all variables of a text, or none if a line cannot be read."""
    visitor.must(Ability.WRITE)
    try:
        parsed = parse_environment_file(form.get(BULK.name, ""))
        data = [
            {"key": one.key, "value": one.value, "comment": one.comment, "is_literal": one.is_literal or None}
            for one in parsed
        ]
        body = read_body(WriteVariables, {"data": data})
        await update_envs_by_application_uuid(application.id, body, context, visitor.principal)
    except SeawayError as error:
        return await _show(request, context, visitor, application, form=form, error=_beside_bulk(error))
    return to(f"{application_url(application.id)}/variables", "variables")


@router.get("/applications/{application_id}/variables/{variable_id}/value")
async def variable_value(context: Context, visitor: Visiting, variable: OwnVariable) -> Response:
    """One value, for those who may see it."""
    if not _may_reveal(visitor, variable):
        raise Forbidden("You may not see the value of this variable.")
    return JSONResponse({"value": _reveal(context, variable)})


@router.get("/applications/{application_id}/variables/{variable_id}")
async def variable_form(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, variable: OwnVariable
) -> Response:
    """The form to change one variable."""
    visitor.must(Ability.WRITE)
    return action_page(
        request,
        visitor,
        _edit_form(context, visitor, application, variable),
        crumbs_of(application, _crumb(application), Crumb(variable.key)),
    )


@router.post("/applications/{application_id}/variables/{variable_id}")
async def change_variable(
    request: Request,
    context: Context,
    visitor: Visiting,
    application: OwnApplication,
    variable: OwnVariable,
    form: OwnForm,
) -> Response:
    """Writes value, flags and comment."""
    visitor.must(Ability.WRITE)
    values = {"key": variable.key, "is_preview": variable.is_preview, **_written(form)}
    values["comment"] = form.get("comment", "").strip()
    if not values["value"] and not _may_reveal(visitor, variable):
        del values["value"]
    try:
        body = read_body(WriteVariable, values)
        await update_env_by_application_uuid(application.id, body, context, visitor.principal)
    except SeawayError as error:
        asked = _edit_form(context, visitor, application, variable)
        again = replace(
            asked, fields=filled(asked.fields, form, error), error=general_error(error, asked.fields)
        )
        crumbs = crumbs_of(application, _crumb(application), Crumb(variable.key))
        return action_page(request, visitor, again, crumbs, HTTPStatus(error.http_status))
    return to(f"{application_url(application.id)}/variables", "variable")


@router.get("/applications/{application_id}/variables/{variable_id}/delete")
async def delete_form(
    request: Request, visitor: Visiting, application: OwnApplication, variable: OwnVariable
) -> Response:
    """Asks whether to delete it."""
    visitor.must(Ability.WRITE)
    url = f"{application_url(application.id)}/variables"
    form = ActionForm(
        url=f"{url}/{variable.id}/delete",
        title=f"Delete {variable.key}",
        button="Delete",
        back_url=url,
        explanation=("What runs keeps it until the next deployment.",),
        is_dangerous=True,
    )
    return action_page(request, visitor, form, crumbs_of(application, _crumb(application), Crumb("Delete")))


@router.post("/applications/{application_id}/variables/{variable_id}/delete")
async def delete_variable(
    context: Context, visitor: Visiting, application: OwnApplication, variable: OwnVariable, _form: OwnForm
) -> Response:
    """Deletes it."""
    visitor.must(Ability.WRITE)
    await delete_env_by_application_uuid(application.id, variable.id, context, visitor.principal)
    return to(f"{application_url(application.id)}/variables", "variable-deleted")


async def _show(
    request: Request,
    context: ApiContext,
    visitor: Visitor,
    application: Application,
    *,
    reveal: str = "",
    form: Mapping[str, str] | None = None,
    error: SeawayError | None = None,
) -> Response:
    variables = await context.store.applications.variables(application.id)
    is_bulk = form is not None and BULK.name in form
    single = form is not None and not is_bulk
    return await tab_page(
        request,
        context,
        visitor,
        application,
        "variables",
        tab="variables",
        status=HTTPStatus(error.http_status) if error else HTTPStatus.OK,
        variables=[_view(context, visitor, one, shown=one.id == reveal) for one in variables],
        fields=filled(NEW, form, error) if form and single else NEW,
        flags=filled(FLAGS, form, error) if form and single else FLAGS,
        bulk=filled([BULK], form, error)[0] if form and is_bulk else BULK,
        error=error.message if error and not isinstance(error, InvalidInput) else "",
    )


def _view(context: ApiContext, visitor: Visitor, variable: Variable, *, shown: bool) -> VariableView:
    may_reveal = _may_reveal(visitor, variable)
    return VariableView(
        id=variable.id,
        url=f"{application_url(variable.application_id)}/variables/{variable.id}",
        key=variable.key,
        value=_reveal(context, variable) if shown and may_reveal else None,
        comment=variable.comment,
        tags=tuple(label for name, label in TAGS if getattr(variable, name))
        + (("preview",) if variable.is_preview else ()),
        may_reveal=may_reveal,
    )


def _edit_form(
    context: ApiContext, visitor: Visitor, application: Application, variable: Variable
) -> ActionForm:
    url = f"{application_url(application.id)}/variables"
    may_reveal = _may_reveal(visitor, variable)
    value = FieldView(
        "value",
        "Value",
        kind="text_area",
        is_code=True,
        value=_reveal(context, variable) if may_reveal else "",
        hint="" if may_reveal else "It is not shown. Left empty, it stays as it is.",
        autofocus=True,
    )
    flags = tuple(replace(flag, value=str(getattr(variable, flag.name)).lower()) for flag in FLAGS)
    return ActionForm(
        url=f"{url}/{variable.id}",
        title=variable.key,
        button="Save",
        back_url=url,
        fields=(value, *flags, replace(COMMENT, value=variable.comment)),
    )


def _written(form: Mapping[str, str]) -> dict[str, object]:
    """What a form says of a variable. Browsers send line ends as CR LF, which no program expects."""
    value = form.get("value", "").replace("\r\n", "\n")
    return {"value": value, **{flag.name: checked(form, flag.name) for flag in FLAGS}}


def _beside_bulk(error: SeawayError) -> SeawayError:
    """All that is wrong with the text stands beside its one field."""
    if not isinstance(error, InvalidInput):
        return error
    said = [message for messages in error.fields.values() for message in messages]
    return InvalidInput(error.message, fields={BULK.name: said or [error.message]})


def _reveal(context: ApiContext, variable: Variable) -> str:
    return context.store.applications.reveal(variable).value.get_secret_value()


def _may_reveal(visitor: Visitor, variable: Variable) -> bool:
    return visitor.sees_secrets and not variable.is_shown_once


def _crumb(application: Application) -> Crumb:
    return Crumb("Variables", f"{application_url(application.id)}/variables")
