"""What people do with a server: check it, change it, accept its host key, remove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.authentication import Ability
from api.pages.forms import action_page, checked, filled, general_error, read_body, to, value_of
from api.pages.frames import Crumb, frame_of, page
from api.pages.new_server import ADDRESS, MORE, NO_JUMP
from api.pages.page_route import PageRoute
from api.pages.server_views import server_url
from api.pages.servers import SECTION, OwnServer, crumbs_of
from api.pages.views import ActionForm, FieldView
from api.pages.visitors import Context, OwnForm, Visiting
from api.routes.server_clean_up import run_server_docker_cleanup
from api.routes.servers import (
    accept_host_key_by_server_uuid,
    applications_on,
    delete_server_by_uuid,
    update_server_by_uuid,
    validate_server_by_uuid,
)
from api.server_provisioning import check_may_change
from api.shapes.servers import AcceptHostKey, ChangeServer
from domain.errors import (
    AuthenticationRefused,
    HostKeyChanged,
    InvalidInput,
    SeawayError,
    ServerUnreachable,
)
from domain.host_keys import fingerprint_of
from domain.servers import ServerStatus
from store.tables import Server

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NAMING = (FieldView("name", "Name", required=True), FieldView("description", "Description"))
OWN_MANAGER = FieldView("is_swarm_manager", "It manages the Docker Swarm that its engine is in", kind="check")
PRIVATE_KEY = FieldView("private_key_uuid", "Key", kind="select")
COMPARE = (
    "Do this only if the server was installed anew. Compare on the server itself: "
    "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
)
OF_ANY_SERVER = (
    "wildcard_domain",
    "concurrent_builds",
    "build_cpu_percent",
    "build_memory_percent",
    "is_build_server",
    "is_swarm_manager",
)


@router.post("/servers/{server_id}/validate")
async def validate(
    request: Request, context: Context, visitor: Visiting, server: OwnServer, _form: OwnForm
) -> Response:
    """Starts to check it. What goes wrong at first contact is on its page."""
    visitor.must(Ability.WRITE)
    try:
        await validate_server_by_uuid(server.id, context, visitor.principal)
    except (ServerUnreachable, AuthenticationRefused, HostKeyChanged):
        return to(server_url(server.id))
    return to(server_url(server.id), "validating")


@router.post("/servers/{server_id}/clean-up")
async def clean_up(
    request: Request, context: Context, visitor: Visiting, server: OwnServer, _form: OwnForm
) -> Response:
    """Starts to clean it. What was removed is told on its page."""
    visitor.must(Ability.WRITE)
    await run_server_docker_cleanup(server.id, context, visitor.principal)
    return to(server_url(server.id), "cleaning")


async def _host_key_form(context: Context, server: Server) -> ActionForm:
    """Shows what the server shows now. Raises ServerUnreachable, and NotPossibleNow for Seaway's own."""
    check_may_change(server)
    shown = await context.host_keys.shown_by(server)
    pinned = fingerprint_of(server.host_key)
    return ActionForm(
        url=f"{server_url(server.id)}/host-key",
        title="Accept another host key",
        button="Accept this key",
        back_url=server_url(server.id),
        explanation=(
            f"Pinned: {pinned or 'none'}",
            f"Shown now: {shown.fingerprint}",
            COMPARE,
        ),
        fields=(
            FieldView(
                "fingerprint",
                "Fingerprint that you have compared",
                is_code=True,
                required=True,
                autofocus=True,
                placeholder="SHA256:…",
            ),
        ),
        is_dangerous=True,
    )


@router.get("/servers/{server_id}/host-key")
async def host_key_form(request: Request, context: Context, visitor: Visiting, server: OwnServer) -> Response:
    """Asks whether the key that is shown is meant."""
    visitor.must(Ability.WRITE)
    form = await _host_key_form(context, server)
    crumbs = crumbs_of(server, Crumb("Host key"))
    return action_page(request, visitor, form, crumbs, section=SECTION)


@router.post("/servers/{server_id}/host-key")
async def accept(
    request: Request, context: Context, visitor: Visiting, server: OwnServer, form: OwnForm
) -> Response:
    """Accepts it, if the fingerprint is that of the key which is shown."""
    visitor.must(Ability.WRITE)
    body = AcceptHostKey(fingerprint=form.get("fingerprint", ""))
    try:
        await accept_host_key_by_server_uuid(server.id, body, context, visitor.principal)
    except SeawayError as error:
        asked = await _host_key_form(context, server)
        again = replace(asked, error=error.message)
        crumbs, status = crumbs_of(server, Crumb("Host key")), HTTPStatus(error.http_status)
        return action_page(request, visitor, again, crumbs, status, section=SECTION)
    return to(server_url(server.id), "host-key")


async def _removal_form(context: Context, visitor: Visiting, server: Server) -> ActionForm:
    names = await applications_on(context, visitor.principal, server)
    name = FieldView(
        "name",
        f"Type {server.name} to confirm",
        placeholder=server.name,
        required=True,
        autofocus=True,
    )
    with_them = FieldView(
        "delete_resources",
        f"Delete {', '.join(names)} too",
        kind="check",
        value="false",
        hint="With their volumes: the data in them is lost for good.",
    )
    forget = FieldView(
        "forget",
        "Forget the server, whatever stays on it",
        kind="check",
        value="false",
        hint="For one that is gone for good. What cannot be taken away there stays.",
    )
    return ActionForm(
        url=f"{server_url(server.id)}/remove",
        title=f"Remove {server.name}",
        button="Remove the server",
        back_url=server_url(server.id),
        explanation=(
            "Seaway takes its proxy, network and data folder off the server and forgets it. Docker stays.",
        ),
        fields=(
            name,
            *([with_them] if names else []),
            *([] if server.status == ServerStatus.USABLE else [forget]),
        ),
        is_dangerous=True,
    )


@router.get("/servers/{server_id}/remove")
async def removal_form(request: Request, context: Context, visitor: Visiting, server: OwnServer) -> Response:
    """Asks whether to remove it."""
    visitor.must(Ability.WRITE)
    form = await _removal_form(context, visitor, server)
    return action_page(request, visitor, form, crumbs_of(server, Crumb("Remove")), section=SECTION)


@router.post("/servers/{server_id}/remove")
async def remove(
    request: Request, context: Context, visitor: Visiting, server: OwnServer, form: OwnForm
) -> Response:
    """Starts to remove it."""
    visitor.must(Ability.WRITE)
    try:
        if form.get("name", "").strip() != server.name:
            raise InvalidInput(f"This is not the name. Type {server.name}.", field="name")
        await delete_server_by_uuid(
            server.id,
            context,
            visitor.principal,
            delete_resources=checked(form, "delete_resources"),
            forget=checked(form, "forget"),
        )
    except SeawayError as error:
        asked = await _removal_form(context, visitor, server)
        fields = filled(asked.fields, form, error)
        again = replace(asked, fields=fields, error=general_error(error, asked.fields))
        crumbs, status = crumbs_of(server, Crumb("Remove")), HTTPStatus(error.http_status)
        return action_page(request, visitor, again, crumbs, status, section=SECTION)
    return to("/servers", "server-removing")


async def _setting_fields(context: Context, visitor: Visiting, server: Server) -> tuple[FieldView, ...]:
    values = {
        "name": server.name,
        "description": server.description,
        "ip": server.address,
        "port": str(server.port),
        "user": server.user,
        "private_key_uuid": server.private_key_id or "",
        "jump_server_uuid": server.jump_server_id or "",
        "wildcard_domain": server.wildcard_domain,
        "concurrent_builds": str(server.concurrent_builds),
        "build_cpu_percent": _shown(server.build_cpu_percent),
        "build_memory_percent": _shown(server.build_memory_percent),
        "is_build_server": "true" if server.is_build_server else "false",
        "is_swarm_manager": "true" if server.is_swarm_manager else "false",
        "is_swarm_worker": "true" if server.is_swarm_worker else "false",
    }
    keys = await context.store.servers.keys(team_id=visitor.team_id)
    others = [
        one
        for one in await context.store.servers.list(team_id=visitor.team_id)
        if not one.is_local and one.id != server.id
    ]
    options = {
        "private_key_uuid": tuple((key.id, f"{key.name}, {key.fingerprint}") for key in keys),
        "jump_server_uuid": (NO_JUMP, *((one.id, one.name) for one in others)),
    }
    way_in = (*(field for field in ADDRESS if field.name != "name"), PRIVATE_KEY)
    more = tuple(
        OWN_MANAGER if server.is_local and field.name == OWN_MANAGER.name else field
        for field in MORE
        if field.name != "host_key"
    )
    fields = (*NAMING, *(() if server.is_local else way_in), *more)
    return tuple(
        replace(
            field,
            value=values[field.name],
            options=options.get(field.name, ()),
            autofocus=False,
            disabled=not visitor.may_write,
        )
        for field in fields
        if not server.is_local or field.name in (*OF_ANY_SERVER, "name", "description")
    )


def _shown(number: int | None) -> str:
    return "" if number is None else str(number)


def _show_settings(
    request: Request,
    visitor: Visiting,
    server: Server,
    fields: tuple[FieldView, ...],
    *,
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    frame = frame_of(
        request,
        visitor,
        title=f"Settings · {server.name}",
        crumbs=crumbs_of(server, Crumb("Settings")),
        section=SECTION,
    )
    general = tuple(field for field in fields if field.name in ("name", "description", *OF_ANY_SERVER))
    way_in = tuple(field for field in fields if field not in general)
    url = server_url(server.id)
    return page(
        "server_settings",
        frame,
        status,
        url=url,
        general=general,
        way_in=way_in,
        error=error,
        is_local=server.is_local,
    )


@router.get("/servers/{server_id}/settings")
async def settings_page(request: Request, context: Context, visitor: Visiting, server: OwnServer) -> Response:
    """What can be changed, as it is."""
    return _show_settings(request, visitor, server, await _setting_fields(context, visitor, server))


@router.post("/servers/{server_id}/settings")
async def save_settings(
    request: Request, context: Context, visitor: Visiting, server: OwnServer, form: OwnForm
) -> Response:
    """Writes what was changed, and only that. A new way in is tried at once."""
    visitor.must(Ability.WRITE)
    fields = await _setting_fields(context, visitor, server)
    changes = _changes(fields, form)
    try:
        body = read_body(ChangeServer, changes)
        await update_server_by_uuid(server.id, body, context, visitor.principal)
    except SeawayError as error:
        said, status = general_error(error, fields), HTTPStatus(error.http_status)
        marked = filled(fields, form, error)
        marked = tuple(replace(one, options=field.options) for one, field in zip(marked, fields, strict=True))
        return _show_settings(request, visitor, server, marked, error=said, status=status)
    return to(server_url(server.id), "server")


def _changes(fields: tuple[FieldView, ...], form: Mapping[str, str]) -> dict[str, str | bool | None]:
    return {
        field.name: value_of(field, form)
        for field in fields
        if value_of(field, form) != value_of(field, {field.name: field.value})
    }
