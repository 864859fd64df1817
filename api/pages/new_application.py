"""The form for a new application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.authentication import Ability
from api.context import ApiContext
from api.pages.application_views import application_url, place_label
from api.pages.forms import checked, filled, general_error, read_body, to, value_of
from api.pages.frames import Crumb, frame_of, page
from api.pages.page_route import PageRoute
from api.pages.setting_fields import BUILD_PACKS, NO_KEY
from api.pages.views import FieldView
from api.pages.visitors import Context, OwnForm, Visiting
from api.routes.application_creation import (
    create_dockerimage_application,
    create_private_deploy_key_application,
    create_public_application,
)
from api.server_changes import takes_applications
from api.shapes.applications import (
    CreateDeployKeyApplication,
    CreateImageApplication,
    CreatePublicApplication,
)
from domain.errors import InvalidInput, SeawayError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

REPOSITORY, IMAGE = "repository", "image"
NEW_PROJECT = ("", "A new project")
FIRST_PROJECT = "My project"
Groups = dict[str, tuple[FieldView, ...]]

SOURCE = (
    FieldView(
        "git_repository",
        "Repository",
        is_code=True,
        wide=True,
        group=REPOSITORY,
        placeholder="https://git.example.com/owner/name.git",
        hint="Over https, ssh (with a deploy key) or file://.",
    ),
    FieldView(
        "git_branch", "Branch or tag", is_code=True, group=REPOSITORY, placeholder="the default branch"
    ),
    FieldView("private_key_uuid", "Deploy key", kind="select", group=REPOSITORY, is_optional=True),
    FieldView(
        "build_pack", "Build with", kind="select", options=BUILD_PACKS, group=REPOSITORY, value="dockerfile"
    ),
    FieldView(
        "docker_registry_image_name",
        "Image",
        is_code=True,
        wide=True,
        group=IMAGE,
        placeholder="registry.example.com/owner/name:1.4",
        hint="A tag, or a digest to pin it.",
    ),
)
ADDRESS = (
    FieldView("ports_exposes", "Port it listens on", is_code=True, value="3000", hint="Given to it as PORT."),
    FieldView(
        "domains",
        "Domain",
        is_code=True,
        placeholder="made for you",
        hint="https://app.example.com; empty makes one below the server's own domain.",
    ),
)
PLACE = (
    FieldView("name", "Name", placeholder="from the source", is_optional=True),
    FieldView("environment_uuid", "Environment", kind="select", is_optional=True),
    FieldView("server_uuid", "Server", kind="select", is_optional=True),
)
ADVANCED = (
    FieldView("base_directory", "Base directory", is_code=True, value="/", group=REPOSITORY),
    FieldView("dockerfile_location", "Dockerfile", is_code=True, value="/Dockerfile", group=REPOSITORY),
    FieldView(
        "publish_directory",
        "Publish directory",
        is_code=True,
        value="/",
        group=REPOSITORY,
        hint="For static files.",
    ),
    FieldView("health_check_path", "Health check path", is_code=True, value="/"),
    FieldView("replicas", "Replicas", kind="number", value="1"),
    FieldView("release_command", "Release command", is_code=True, hint="For example, migrations."),
)


async def _groups(context: ApiContext, visitor: Visiting) -> Groups:
    places = await context.store.projects.places(team_id=visitor.team_id)
    servers = await context.store.servers.list(team_id=visitor.team_id)
    keys = await context.store.servers.keys(team_id=visitor.team_id)
    options = {
        "environment_uuid": tuple((key, place_label(*place)) for key, place in places.items())
        or (NEW_PROJECT,),
        "server_uuid": tuple((server.id, server.name) for server in servers if takes_applications(server)),
        "private_key_uuid": (NO_KEY, *((key.id, key.name) for key in keys)),
    }
    groups = {"source": SOURCE, "address": ADDRESS, "place": PLACE, "advanced": ADVANCED}
    return {
        name: tuple(replace(field, options=options.get(field.name, field.options)) for field in fields)
        for name, fields in groups.items()
    }


def _show(
    request: Request,
    visitor: Visiting,
    groups: Groups,
    form: Mapping[str, str],
    *,
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    frame = frame_of(
        request,
        visitor,
        title="New application",
        crumbs=(Crumb("Applications", "/applications"), Crumb("New")),
    )
    servers = next(field.options for field in groups["place"] if field.name == "server_uuid")
    return page(
        "new_application",
        frame,
        status,
        fields=groups,
        places=servers,
        error=error,
        source_kind=form.get("source_kind", REPOSITORY),
        deploy_now=checked(form, "deploy_now") if form else True,
        advanced_open=any(field.error for field in groups["advanced"]),
    )


@router.get("/applications/new")
async def new_application_page(request: Request, context: Context, visitor: Visiting) -> Response:
    """The empty form."""
    visitor.must(Ability.WRITE)
    return _show(request, visitor, await _groups(context, visitor), {})


@router.post("/applications/new")
async def create_application(
    request: Request, context: Context, visitor: Visiting, form: OwnForm
) -> Response:
    """Makes the application and, if wished, deploys it at once."""
    visitor.must(Ability.WRITE)
    groups = await _groups(context, visitor)
    fields = [field for group in groups.values() for field in group]
    kind = form.get("source_kind", REPOSITORY)
    try:
        answer = await _create(context, visitor, kind, form, fields)
    except SeawayError as error:
        marked = {name: filled(group, form, error) for name, group in groups.items()}
        said = general_error(error, [field for field in fields if field.group in ("", kind)])
        return _show(request, visitor, marked, form, error=said, status=HTTPStatus(error.http_status))
    if answer["deployment_uuid"]:
        return to(f"/deployments/{answer['deployment_uuid']}")
    return to(application_url(str(answer["uuid"])), "created")


async def _create(
    context: ApiContext, visitor: Visiting, kind: str, form: Mapping[str, str], fields: Sequence[FieldView]
) -> Mapping[str, object]:
    values = {field.name: value_of(field, form) for field in fields if field.group in ("", kind)}
    name = "docker_registry_image_name" if kind == IMAGE else "git_repository"
    if not values[name]:
        raise InvalidInput("This is needed.", field=name)
    values["project_uuid"] = await _project(context, visitor, values)
    values["instant_deploy"] = checked(form, "deploy_now")
    if kind == IMAGE:
        image = read_body(CreateImageApplication, values)
        return await create_dockerimage_application(image, context, visitor.principal)
    if values["private_key_uuid"]:
        closed = read_body(CreateDeployKeyApplication, values)
        return await create_private_deploy_key_application(closed, context, visitor.principal)
    del values["private_key_uuid"]
    public = read_body(CreatePublicApplication, values)
    return await create_public_application(public, context, visitor.principal)


async def _project(context: ApiContext, visitor: Visiting, values: Mapping[str, object]) -> str:
    """The project of the chosen environment; a team that has none gets its first."""
    places = await context.store.projects.places(team_id=visitor.team_id)
    if not places:
        return (await context.store.projects.create(team_id=visitor.team_id, name=FIRST_PROJECT)).id
    place = places.get(str(values["environment_uuid"] or next(iter(places))))
    if place is None:
        raise InvalidInput("There is no such environment.", field="environment_uuid")
    return place[1].id
