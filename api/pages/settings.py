"""The settings of an application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.authentication import Ability
from api.pages.application import OwnApplication, tab_page
from api.pages.application_views import application_url
from api.pages.forms import filled, general_error, read_body, to, value_of
from api.pages.page_route import PageRoute
from api.pages.setting_fields import SERVER_FIELD, chosen_servers, server_group, setting_groups
from api.pages.views import FieldGroup
from api.pages.visitors import Context, OwnForm, Visiting
from api.routes.applications import update_application_by_uuid
from api.shapes.application_changes import show_fields
from api.shapes.applications import ChangeApplication
from domain.errors import InvalidInput, SeawayError
from store.tables import Application

router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def _groups(context: Context, visitor: Visiting, application: Application) -> tuple[FieldGroup, ...]:
    configuration, written = context.store.applications.configured(application)
    keys = await context.store.servers.keys(team_id=visitor.team_id)
    shown = show_fields(configuration, written, with_secrets=False)
    groups = setting_groups(application, configuration, shown, keys, may_write=visitor.may_write)
    servers = await context.store.servers.list(team_id=visitor.team_id)
    if len(servers) < 2:
        return groups
    edge_id = configuration.routing.edge_server_id
    place = server_group(
        servers,
        configuration.server_ids,
        edge_id,
        configuration.min_available,
        may_write=visitor.may_write,
    )
    return (groups[0], place, *groups[1:])


async def _show(
    request: Request,
    context: Context,
    visitor: Visiting,
    application: Application,
    groups: Sequence[FieldGroup],
    *,
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    return await tab_page(
        request,
        context,
        visitor,
        application,
        "settings",
        tab="settings",
        status=status,
        groups=groups,
        error=error,
    )


@router.get("/applications/{application_id}/settings")
async def settings_page(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication
) -> Response:
    """Everything that can be set, as it is."""
    groups = await _groups(context, visitor, application)
    return await _show(request, context, visitor, application, groups)


def _name_servers(
    context: Context, application: Application, changes: dict[str, str | bool | list[str] | None]
) -> None:
    """Turns the boxes of servers into the field that the API has for them. Raises InvalidInput."""
    boxes = [name for name in changes if name.startswith(SERVER_FIELD)]
    if not boxes:
        return
    configuration, _ = context.store.applications.configured(application)
    chosen = chosen_servers(configuration.server_ids, changes)
    if not chosen:
        raise InvalidInput("It has to live somewhere: choose a server.", field=boxes[0])
    for name in boxes:
        del changes[name]
    changes["server_uuids"] = chosen


@router.post("/applications/{application_id}/settings")
async def save_settings(
    request: Request, context: Context, visitor: Visiting, application: OwnApplication, form: OwnForm
) -> Response:
    """Writes what was changed, and only that: all of it or nothing."""
    visitor.must(Ability.WRITE)
    groups = await _groups(context, visitor, application)
    fields = [field for group in groups for field in group.fields]
    changes: dict[str, str | bool | list[str] | None] = {
        field.name: value_of(field, form)
        for field in fields
        if value_of(field, form) != value_of(field, {field.name: field.value})
    }
    try:
        _name_servers(context, application, changes)
        body = read_body(ChangeApplication, changes)
        await update_application_by_uuid(application.id, body, context, visitor.principal)
    except SeawayError as error:
        marked = [replace(group, fields=filled(group.fields, form, error)) for group in groups]
        said = general_error(error, fields)
        status = HTTPStatus(error.http_status)
        return await _show(request, context, visitor, application, marked, error=said, status=status)
    return to(f"{application_url(application.id)}/settings", "settings")
