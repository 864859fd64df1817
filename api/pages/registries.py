"""Registries: the team's logins, and adding, trying, changing and deleting them. Passwords never show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import SecretStr

from api.authentication import Ability
from api.pages.application import Identifier
from api.pages.forms import action_page, filled, general_error, to
from api.pages.frames import Crumb, frame_of, page
from api.pages.page_route import PageRoute
from api.pages.views import ActionForm, FieldView, RegistryView
from api.pages.visitors import Context, OwnForm, Visiting
from api.routes.registries import (
    check_registry,
    create_registry,
    delete_registry,
    login_servers,
    update_registry,
)
from api.shapes.registries import ChangeRegistry, CheckRegistry, CreateRegistry, RegistryCheckAnswer
from domain.errors import SeawayError
from domain.registries import RegistryState
from store.tables import Registry

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SECTION = "registries"
HERE = Crumb("Registries", "/registries")
WHOLE_TEAM = ("", "The whole team")
HOST = FieldView(
    "host",
    "Registry",
    is_code=True,
    required=True,
    placeholder="registry.example.com:5000",
    hint="Its host and, if need be, its port. docker.io is Docker Hub.",
)
USERNAME = FieldView("username", "User", is_code=True, required=True)
PASSWORD = FieldView(
    "password", "Password or token", kind="password", required=True, hint="Seaway stores it encrypted."
)
PROJECT = FieldView(
    "project_uuid", "For", kind="select", is_optional=True, hint="A project's own login wins over the team's."
)
NAME = FieldView("name", "Name", is_optional=True, placeholder="the registry's")
KEPT = replace(PASSWORD, required=False, placeholder="stays as it is", hint="Another registry needs its own.")
ADD = (HOST, PROJECT, USERNAME, PASSWORD, NAME)
CHANGE = (NAME, HOST, USERNAME, KEPT)


async def registry_of_address(registry_id: Identifier, context: Context, visitor: Visiting) -> Registry:
    """The login of the address. Raises NotFound, also for another team's."""
    return await context.store.registries.get(registry_id, team_id=visitor.team_id)


OwnRegistry = Annotated[Registry, Depends(registry_of_address)]


async def _list(
    request: Request,
    context: Context,
    visitor: Visiting,
    *,
    form: Mapping[str, str] | None = None,
    error: SeawayError | None = None,
    tried: Registry | None = None,
    tried_from: str = "",
    outcome: RegistryCheckAnswer | None = None,
) -> Response:
    projects = await context.store.projects.list(team_id=visitor.team_id)
    names = {project.id: project.name for project in projects}
    fields = tuple(
        replace(field, options=(WHOLE_TEAM, *names.items())) if field is PROJECT else field for field in ADD
    )
    servers = await login_servers(context, visitor.principal)
    if error is not None and form is not None:
        fields = filled(fields, {**form, "password": ""}, error)
    return page(
        "registries",
        frame_of(request, visitor, title="Registries", crumbs=(Crumb("Registries"),), section=SECTION),
        HTTPStatus(error.http_status) if error else HTTPStatus.OK,
        registries=tuple(
            _view(registry, names)
            for registry in await context.store.registries.list(team_id=visitor.team_id)
        ),
        fields=fields,
        error=general_error(error, fields) if error else "",
        servers=tuple((server.id, server.name) for server in servers),
        tried=tried.name if tried else "",
        tried_from=tried_from,
        outcome=outcome,
        is_fine=outcome is not None and outcome.state is RegistryState.FINE,
    )


def _view(registry: Registry, projects: Mapping[str, str]) -> RegistryView:
    return RegistryView(
        url=_url(registry),
        name=registry.name,
        host=registry.host,
        username=registry.username,
        place=f"project {projects[registry.project_id]}" if registry.project_id else "the whole team",
    )


def _url(registry: Registry) -> str:
    return f"/registries/{registry.id}"


@router.get("/registries")
async def registries_page(request: Request, context: Context, visitor: Visiting) -> Response:
    """The team's logins, those of its projects included."""
    return await _list(request, context, visitor)


@router.post("/registries")
async def add_registry(request: Request, context: Context, visitor: Visiting, form: OwnForm) -> Response:
    """Keeps a login, and tries it at once."""
    visitor.must(Ability.WRITE)
    body = CreateRegistry(
        host=form.get("host", ""),
        username=form.get("username", ""),
        password=SecretStr(form.get("password", "")),
        name=form.get("name", "").strip() or None,
        project_uuid=form.get("project_uuid") or None,
    )
    try:
        await create_registry(body, context, visitor.principal)
    except SeawayError as error:
        return await _list(request, context, visitor, form=form, error=error)
    return to("/registries", "registry")


@router.get("/registries/{registry_id}/check")
async def tried_registry(visitor: Visiting, registry: OwnRegistry) -> Response:
    """Whoever loads the outcome of a try again is shown the list; a try is made by its button alone."""
    return to("/registries")


@router.post("/registries/{registry_id}/check")
async def try_registry(
    request: Request, context: Context, visitor: Visiting, registry: OwnRegistry, form: OwnForm
) -> Response:
    """Logs in from the chosen server or the first, and says what came of it."""
    visitor.must(Ability.WRITE)
    server_id = form.get("server_uuid", "")
    body = CheckRegistry(server_uuid=server_id or None)
    tried: Mapping[str, Any] = {"tried": registry, "tried_from": server_id}
    try:
        outcome = await check_registry(registry.id, context, visitor.principal, body)
    except SeawayError as error:
        return await _list(request, context, visitor, error=error, **tried)
    return await _list(request, context, visitor, outcome=outcome, **tried)


def _form_page(
    request: Request,
    visitor: Visiting,
    registry: Registry,
    values: Mapping[str, str],
    error: SeawayError | None = None,
) -> Response:
    fields = filled(CHANGE, {**values, "password": ""}, error)
    return page(
        "registry",
        frame_of(request, visitor, title=registry.name, crumbs=(HERE, Crumb(registry.name)), section=SECTION),
        HTTPStatus(error.http_status) if error else HTTPStatus.OK,
        url=_url(registry),
        name=registry.name,
        fields=fields,
        error=general_error(error, fields) if error else "",
    )


@router.get("/registries/{registry_id}")
async def registry_page(request: Request, visitor: Visiting, registry: OwnRegistry) -> Response:
    """The login to be changed."""
    visitor.must(Ability.WRITE)
    values = {"name": registry.name, "host": registry.host, "username": registry.username}
    return _form_page(request, visitor, registry, values)


@router.post("/registries/{registry_id}")
async def change_registry(
    request: Request, context: Context, visitor: Visiting, registry: OwnRegistry, form: OwnForm
) -> Response:
    """Changes it; without a password, that stays."""
    visitor.must(Ability.WRITE)
    password = form.get("password", "")
    body = ChangeRegistry(
        host=form.get("host", ""),
        username=form.get("username", ""),
        password=SecretStr(password) if password else None,
        name=form.get("name", "").strip() or None,
    )
    try:
        await update_registry(registry.id, body, context, visitor.principal)
    except SeawayError as error:
        return _form_page(request, visitor, registry, form, error)
    return to("/registries", "registry")


def _deletion(registry: Registry) -> ActionForm:
    return ActionForm(
        url=f"{_url(registry)}/delete",
        title=f"Delete {registry.name}",
        button="Delete the login",
        back_url="/registries",
        explanation=(
            f"Seaway forgets the password of {registry.username} at {registry.host}.",
            "What runs goes on; what needs it to be deployed again will be refused.",
        ),
        is_dangerous=True,
    )


@router.get("/registries/{registry_id}/delete")
async def deletion_form(request: Request, visitor: Visiting, registry: OwnRegistry) -> Response:
    """Asks whether to delete it."""
    visitor.must(Ability.WRITE)
    return action_page(request, visitor, _deletion(registry), (HERE, Crumb(registry.name)), section=SECTION)


@router.post("/registries/{registry_id}/delete")
async def remove_registry(
    context: Context, visitor: Visiting, registry: OwnRegistry, _form: OwnForm
) -> Response:
    """Deletes it."""
    visitor.must(Ability.WRITE)
    await delete_registry(registry.id, context, visitor.principal)
    return to("/registries", "registry-deleted")
