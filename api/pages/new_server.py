"""The form for a new server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from api.authentication import Ability
from api.context import ApiContext
from api.pages.forms import filled, general_error, read_body, to, value_of
from api.pages.frames import Crumb, frame_of, page
from api.pages.page_route import PageRoute
from api.pages.server_views import server_url
from api.pages.servers import SECTION
from api.pages.views import FieldView
from api.pages.visitors import Context, OwnForm, Visiting
from api.routes.private_keys import create_private_key, generate_private_key
from api.routes.servers import create_server
from api.shapes.private_keys import CreatePrivateKey, GeneratePrivateKey
from api.shapes.servers import CreateServer, ServerAnswer
from domain.errors import InvalidInput, SeawayError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

GENERATE, EXISTING, PASTE = "generate", "existing", "paste"
NO_JUMP = ("", "None: straight")
Groups = dict[str, tuple[FieldView, ...]]

ADDRESS = (
    FieldView(
        "ip",
        "Address",
        is_code=True,
        required=True,
        autofocus=True,
        hint="A name, an IPv4 or an IPv6 address.",
    ),
    FieldView("name", "Name", placeholder="its address", is_optional=True),
    FieldView(
        "user",
        "User",
        is_code=True,
        value="root",
        hint="root, or one with passwordless sudo or in the group docker.",
    ),
    FieldView("port", "SSH port", kind="number", value="22"),
)
KEY = (
    FieldView("private_key_uuid", "Key", kind="select", group=EXISTING, wide=True),
    FieldView(
        "private_key",
        "Private key",
        kind="text_area",
        rows=6,
        is_code=True,
        wide=True,
        group=PASTE,
        placeholder="-----BEGIN OPENSSH PRIVATE KEY-----",
        hint="The whole file, Ed25519, ECDSA or RSA. Seaway stores it encrypted.",
    ),
    FieldView(
        "passphrase",
        "Passphrase",
        kind="password",
        group=PASTE,
        hint="If the key has one. It is used once and not kept.",
    ),
)
MORE = (
    FieldView(
        "jump_server_uuid",
        "Jump server",
        kind="select",
        is_optional=True,
        hint="A server that the way there leads over.",
    ),
    FieldView(
        "wildcard_domain",
        "Wildcard domain",
        is_code=True,
        is_optional=True,
        placeholder="http://apps.example.com",
        hint="Applications without a domain get one below it.",
    ),
    FieldView(
        "host_key",
        "Host key",
        is_code=True,
        wide=True,
        is_optional=True,
        placeholder="the one that it shows at first contact",
        hint="The line of /etc/ssh/ssh_host_ed25519_key.pub, if you have it at hand.",
    ),
    FieldView("concurrent_builds", "Builds at once", kind="number", value="2"),
    FieldView(
        "build_cpu_percent",
        "Processors for builds, in percent",
        kind="number",
        is_optional=True,
        placeholder="as on other servers",
        hint="All builds together use no more of the server. 0 is no limit.",
    ),
    FieldView(
        "build_memory_percent",
        "Memory for builds, in percent",
        kind="number",
        is_optional=True,
        placeholder="as on other servers",
        hint="A build that needs more is killed, and says so. 0 is no limit.",
    ),
    FieldView("is_build_server", "It builds images for other servers", kind="check", value="false"),
    FieldView(
        "is_swarm_manager", "It manages a Docker Swarm, which is begun if needed", kind="check", value="false"
    ),
    FieldView(
        "is_swarm_worker",
        "It is a worker of the Swarm whose manager is here, and joins it if needed",
        kind="check",
        value="false",
    ),
)
SECRETS = ("private_key", "passphrase")


async def _groups(context: ApiContext, visitor: Visiting) -> Groups:
    keys = await context.store.servers.keys(team_id=visitor.team_id)
    servers = await context.store.servers.list(team_id=visitor.team_id)
    options = {
        "private_key_uuid": tuple((key.id, f"{key.name}, {key.fingerprint}") for key in keys),
        "jump_server_uuid": (NO_JUMP, *((one.id, one.name) for one in servers if not one.is_local)),
    }
    return {
        name: tuple(replace(field, options=options.get(field.name, field.options)) for field in fields)
        for name, fields in {"address": ADDRESS, "key": KEY, "more": MORE}.items()
    }


def _show(
    request: Request,
    visitor: Visiting,
    groups: Groups,
    choice: str,
    *,
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    frame = frame_of(
        request,
        visitor,
        title="Add a server",
        crumbs=(Crumb("Servers", "/servers"), Crumb("Add")),
        section=SECTION,
    )
    keys = next(field.options for field in groups["key"] if field.name == "private_key_uuid")
    more_open = any(field.error for field in groups["more"])
    return page(
        "new_server",
        frame,
        status,
        fields=groups,
        choice=choice,
        has_keys=bool(keys),
        error=error,
        more_open=more_open,
    )


@router.get("/servers/new")
async def new_server_page(request: Request, context: Context, visitor: Visiting) -> Response:
    """The empty form."""
    visitor.must(Ability.WRITE)
    groups = await _groups(context, visitor)
    has_keys = any(field.options for field in groups["key"])
    return _show(request, visitor, groups, EXISTING if has_keys else GENERATE)


@router.post("/servers/new")
async def add_server(request: Request, context: Context, visitor: Visiting, form: OwnForm) -> Response:
    """Adds it. With a key that opens it already, it is made usable at once."""
    visitor.must(Ability.WRITE)
    groups = await _groups(context, visitor)
    choice = form.get("key_choice", EXISTING)
    try:
        server = await _add(context, visitor, form, choice)
    except SeawayError as error:
        # What was typed comes back, but for secrets: those do not belong into a page.
        shown = {name: value for name, value in form.items() if name not in SECRETS}
        marked = {name: filled(group, shown, error) for name, group in groups.items()}
        said = general_error(error, [field for group in groups.values() for field in group])
        return _show(request, visitor, marked, choice, error=said, status=HTTPStatus(error.http_status))
    return to(server_url(server.uuid), "server-added" if choice != GENERATE else "")


async def _add(context: ApiContext, visitor: Visiting, form: Mapping[str, str], choice: str) -> ServerAnswer:
    values = {field.name: value_of(field, form) for field in (*ADDRESS, *MORE)}
    given = {name: value for name, value in values.items() if value is not None}
    if not given.get("ip"):
        raise InvalidInput("This is needed.", field="ip")
    key_id, is_new = await _key(context, visitor, form, choice, str(given.get("name") or given["ip"]))
    try:
        body = read_body(
            CreateServer, {**given, "private_key_uuid": key_id, "instant_validate": choice != GENERATE}
        )
        return await create_server(body, context, visitor.principal)
    except SeawayError:
        if is_new:
            await context.store.servers.delete_key(key_id, team_id=visitor.team_id)
        raise


async def _key(
    context: ApiContext, visitor: Visiting, form: Mapping[str, str], choice: str, name: str
) -> tuple[str, bool]:
    """The key's id, and whether it was made just now."""
    if choice == GENERATE:
        made = await generate_private_key(context, visitor.principal, GeneratePrivateKey(name=name))
        return made.uuid, True
    if choice == PASTE:
        passphrase = form.get("passphrase", "")
        body = CreatePrivateKey(
            private_key=SecretStr(form.get("private_key", "")),
            passphrase=SecretStr(passphrase) if passphrase else None,
            name=name,
        )
        return (await create_private_key(body, context, visitor.principal)).uuid, True
    if not (chosen := form.get("private_key_uuid", "")):
        raise InvalidInput("Choose a key, or let one be made.", field="private_key_uuid")
    return (await context.store.servers.key(chosen, team_id=visitor.team_id)).id, False
