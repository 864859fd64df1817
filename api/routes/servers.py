"""Servers: adding, changing, checking and removing them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.auditing import audit
from api.authentication import Principal, Reader, Writer
from api.context import ApiContext
from api.routes.parameters import ContextOf, Uuid
from api.server_changes import NEEDS_KEY, WAY_IN, apply_fields, default_wildcard
from api.server_provisioning import (
    accept_host_key,
    check_may_change,
    request_provisioning,
    try_provisioning,
)
from api.shapes.answers import Done
from api.shapes.servers import AcceptHostKey, ChangeServer, CreateServer, ServerAnswer, ValidateServer
from api.swarm import FLAGS
from domain.errors import InvalidInput
from domain.host_keys import fingerprint_of
from domain.servers import ServerStatus, checked_host
from store.tables import Server

router = APIRouter(prefix="/servers", tags=["Servers"])

NEVER_ONLY_LOOKS = (
    "Looking at a server without installing what is missing is not supported yet. Leave this out, or install "
    "Docker there by hand first: what is there already is not installed."
)


@router.get("", summary="List servers")
async def list_servers(context: ContextOf, principal: Reader) -> list[ServerAnswer]:
    """The team's servers, oldest first."""
    return [ServerAnswer.of(one) for one in await context.store.servers.list(team_id=principal.team_id)]


@router.post("", summary="Add a server", status_code=201)
async def create_server(body: CreateServer, context: ContextOf, principal: Writer) -> ServerAnswer:
    """With `instant_validate` its host key is pinned and it is made usable at once.

    A server that cannot be reached is added all the same; its status says why.
    """
    if not body.private_key_uuid:
        raise InvalidInput(NEEDS_KEY, field="private_key_uuid")
    server = Server(team_id=principal.team_id, name="", address=checked_host(body.ip or ""))
    await apply_fields(context, principal, server, body)
    server.name = server.name or server.address
    server.wildcard_domain = server.wildcard_domain or default_wildcard(server.address)
    server = await context.store.servers.create(server)
    await audit(context, principal, "server.create", "server", server.id, _said_about(server))
    if body.instant_validate:
        server = await try_provisioning(context, principal, server)
    return ServerAnswer.of(server)


@router.get("/{uuid}", summary="One server")
async def get_server_by_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> ServerAnswer:
    """The server."""
    return ServerAnswer.of(await context.store.servers.get(uuid, team_id=principal.team_id))


@router.patch("/{uuid}", summary="Change a server", status_code=201)
async def update_server_by_uuid(
    uuid: Uuid, body: ChangeServer, context: ContextOf, principal: Writer
) -> ServerAnswer:
    """What is left out stays, the pinned host key too. A new way in is tried at once."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    if server.status == ServerStatus.REMOVING:
        check_may_change(server)
    before = server.model_dump()
    await apply_fields(context, principal, server, body)
    written = {name: value for name, value in server.model_dump().items() if value != before[name]}
    server = await context.store.servers.set(server.id, **written)
    given = ", ".join(sorted(body.model_fields_set))
    pinned = f"; host key {fingerprint_of(server.host_key)}" if body.host_key else ""
    await audit(context, principal, "server.update", "server", server.id, given + pinned)
    # One that only built needs a proxy when it runs applications.
    needs_steps = {*WAY_IN, *FLAGS, "is_build_server"}
    has_new_way_in = not written.keys().isdisjoint(needs_steps) and server.status != ServerStatus.NEW
    if not server.is_local and (body.instant_validate or has_new_way_in):
        server = await try_provisioning(context, principal, server)
    return ServerAnswer.of(server)


@router.delete("/{uuid}", summary="Remove a server")
async def delete_server_by_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Writer,
    delete_resources: Annotated[
        bool, Query(description="The applications that live there go too, with their volumes.")
    ] = False,
    forget: Annotated[
        bool, Query(description="For a server that is gone for good: what cannot be taken away stays there.")
    ] = False,
) -> Done:
    """Refused while something lives there, unless `delete_resources` says that it goes too, with its volumes.

    A server from which Seaway's own things cannot be taken away, because it or its Docker does not answer, is
    kept, with the reason as its status and as an event. With `forget`, for one that is gone for good, Seaway
    forgets it and, if `delete_resources` says so, its applications; the answer names what stays.
    """
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    names = await applications_on(context, principal, server)
    requested_by = principal.user_email
    await context.server_operations.remove(
        server, requested_by=requested_by, with_resources=delete_resources, forget=forget
    )
    with_them = f", with {', '.join(names)}" if names else ""
    left = f" {_left_on(server, names)}" if forget else ""
    await audit(
        context, principal, "server.delete", "server", server.id, _said_about(server) + with_them + left
    )
    return Done(message=f"Server deletion started.{left}")


@router.post("/{uuid}/validate", summary="Make a server usable", status_code=201)
async def validate_server_by_uuid(
    uuid: Uuid, context: ContextOf, principal: Writer, body: ValidateServer | None = None
) -> Done:
    """Runs all steps, of which each does only what is still missing. `/steps` tells how they go."""
    if body is not None and not body.install:
        raise InvalidInput(NEVER_ONLY_LOOKS, field="install")
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    await audit(context, principal, "server.validate", "server", server.id, server.name)
    if server.is_local:
        because = f": {server.status_message}" if server.status_message else "."
        is_fine = server.is_reachable and server.is_usable
        how = "reachable and usable." if is_fine else f"not usable now{because}"
        return Done(message=f"The server '{server.name}' is {how}")
    await request_provisioning(context, principal, server)
    return Done(message="Validation started.")


@router.post("/{uuid}/host-key/accept", summary="Accept the host key that a server shows")
async def accept_host_key_by_server_uuid(
    uuid: Uuid, body: AcceptHostKey, context: ContextOf, principal: Writer
) -> ServerAnswer:
    """Pins it, if it is the one with this fingerprint, and makes the server usable again."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    return ServerAnswer.of(await accept_host_key(context, principal, server, body.fingerprint))


async def applications_on(context: ApiContext, principal: Principal, server: Server) -> list[str]:
    """The names of the team's applications that live on a server."""
    here = set(await context.store.locations.applications_on({server.id}))
    rows = await context.store.applications.list(team_id=principal.team_id)
    return [row.name for row in rows if row.id in here]


def _left_on(server: Server, applications: list[str]) -> str:
    things = [f"containers, images and volumes of {', '.join(applications)}"] if applications else []
    if server.data_folder:
        things.append(f"Seaway's proxy and its folder {server.data_folder}")
    stays = "may stay" if server.is_reachable else "stays"
    return f"What {stays} on {server.address}: {'; '.join(things) or 'nothing that Seaway knows of'}."


def _said_about(server: Server) -> str:
    return f"{server.name}: {server.user}@{server.address} port {server.port}"
