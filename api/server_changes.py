"""What people write about servers, checked, and which changes a server allows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import ip_address

from api.authentication import Principal
from api.context import ApiContext
from api.safeguards import check_way_in
from api.shapes.descriptions import checked_description, checked_name
from api.shapes.servers import ServerFields
from api.swarm import apply_swarm, check_roles
from domain.domains import generated_domain, sslip_wildcard
from domain.errors import InvalidInput, NotFound, NotPossibleNow
from domain.host_keys import host_key_of
from domain.servers import MOST_JUMPS, ServerStatus, checked_host, checked_port, checked_user
from store.tables import Server

MACHINE = ("address", "port", "user", "jump_server_id", "host_key")
"""What tells which machine a server is, and as whom it is entered."""

WAY_IN = ("address", "port", "user", "private_key_id", "jump_server_id", "host_key")
NEEDS_KEY = "Choose a private key that opens the server, or make one: POST /security/keys/generate."
NO_WAY_IN = "Seaway runs on this server itself, so there is no way in to change."


async def apply_fields(context: ApiContext, principal: Principal, server: Server, body: ServerFields) -> None:
    """Writes the given fields into the row, not yet into the store.

    Raises InvalidInput that names the field, also for keys and servers of others, NotPossibleNow for the way
    in to Seaway's own server, Forbidden as `check_way_in` does.
    """
    given = body.model_fields_set
    way_in = given & {"ip", "port", "user", "private_key_uuid", "jump_server_uuid", "host_key"}
    if server.is_local and way_in:
        raise NotPossibleNow(NO_WAY_IN)
    check_roles(server, body)
    server.name = checked_name(body.name) or server.name
    if "description" in given:
        server.description = checked_description(body.description)
    if "wildcard_domain" in given:
        server.wildcard_domain = checked_wildcard(body.wildcard_domain or "")
    if body.is_build_server and not server.is_build_server:
        await _check_runs_nothing(context, server)
    server.is_build_server = server.is_build_server if body.is_build_server is None else body.is_build_server
    server.concurrent_builds = body.concurrent_builds or server.concurrent_builds
    if "build_cpu_percent" in given:
        server.build_cpu_percent = body.build_cpu_percent
    if "build_memory_percent" in given:
        server.build_memory_percent = body.build_memory_percent
    await apply_swarm(context, principal, server, body)
    await _apply_way_in(context, principal, server, body)


async def _check_runs_nothing(context: ApiContext, server: Server) -> None:
    locations = context.store.locations
    if await locations.applications_on({server.id}) or await locations.applications_with_edge(server.id):
        raise NotPossibleNow(
            f"Applications live on the server '{server.name}' or are reached over it, and a build server "
            "runs none. Move or delete them first."
        )


async def _apply_way_in(
    context: ApiContext, principal: Principal, server: Server, body: ServerFields
) -> None:
    given = body.model_fields_set
    before = server.model_dump(include=set(MACHINE))
    if "ip" in given:
        server.address = checked_host(body.ip or "")
    server.port = server.port if body.port is None else checked_port(body.port)
    server.user = server.user if body.user is None else checked_user(body.user)
    if "private_key_uuid" in given:
        server.private_key_id = await _key(context, principal, body.private_key_uuid)
    if "jump_server_uuid" in given:
        server.jump_server_id = await _jump(context, principal, server, body.jump_server_uuid)
    if body.host_key:
        server.host_key, server.shown_host_key = host_key_of(body.host_key).text, ""
    # Nothing lives on a server before its first contact, but an engine may be meant to join a Swarm by then.
    is_known = before["host_key"] or server.is_swarm_manager or server.is_swarm_worker
    if is_known and before != server.model_dump(include=set(MACHINE)):
        await check_way_in(context, principal, server)


async def _key(context: ApiContext, principal: Principal, uuid: str | None) -> str:
    """The key's id. Raises InvalidInput where there is none."""
    if not uuid:
        raise InvalidInput(NEEDS_KEY, field="private_key_uuid")
    try:
        return (await context.store.servers.key(uuid, team_id=principal.team_id)).id
    except NotFound as error:
        raise InvalidInput(error.message, field="private_key_uuid") from error


async def _jump(context: ApiContext, principal: Principal, server: Server, uuid: str | None) -> str | None:
    """The jump server's id, or None. Raises InvalidInput where the way would lead nowhere."""
    if not uuid or uuid == server.jump_server_id:
        return uuid or None
    servers = {one.id: one for one in await context.store.servers.list(team_id=principal.team_id)}
    jump = gate = servers.get(uuid)
    if jump is None:
        raise InvalidInput("There is no such server.", field="jump_server_uuid")
    if jump.is_local:
        raise InvalidInput(
            "Seaway runs on this one itself: leave the jump server out.", field="jump_server_uuid"
        )
    jumps = 0
    while gate is not None and jumps <= MOST_JUMPS:
        if gate.id == server.id:
            raise InvalidInput("The way to the server would lead over itself.", field="jump_server_uuid")
        gate, jumps = servers.get(gate.jump_server_id or ""), jumps + 1
    if jumps > MOST_JUMPS:
        raise InvalidInput(f"The way leads over more than {MOST_JUMPS} servers.", field="jump_server_uuid")
    if jumps + _jumps_behind(server, servers.values()) > MOST_JUMPS:
        raise InvalidInput(
            f"The way to a server behind this one would lead over more than {MOST_JUMPS} servers.",
            field="jump_server_uuid",
        )
    return jump.id


def _jumps_behind(server: Server, servers: Collection[Server]) -> int:
    """How many jumps the longest way from this server on has; more than are allowed count as one more."""
    jumps, gates = 0, {server.id}
    while jumps <= MOST_JUMPS and (gates := {one.id for one in servers if one.jump_server_id in gates}):
        jumps += 1
    return jumps


def checked_wildcard(text: str) -> str:
    """A wildcard domain that addresses can be made below, or nothing. Raises InvalidInput."""
    wildcard = text.strip()
    if wildcard:
        try:
            generated_domain("application", "x" * 24, wildcard)
        except InvalidInput as error:
            raise InvalidInput(error.message, field="wildcard_domain") from error
    return wildcard


def default_wildcard(address: str) -> str:
    """A wildcard that needs no DNS, for a server that is named by its IP address; else nothing."""
    try:
        ip_address(address)
    except ValueError:
        return ""
    return sslip_wildcard(address)


def named_servers(uuid: str | None, uuids: Sequence[str] | None) -> tuple[str, ...]:
    """The servers that a request names, each once, in either of its two fields. Raises InvalidInput."""
    if uuid and uuids and uuid not in uuids:
        raise InvalidInput("This names another server than server_uuid does.", field="server_uuids")
    return tuple(dict.fromkeys([*([uuid] if uuid else []), *(uuids or ())]))


def takes_applications(server: Server) -> bool:
    """Whether applications may be put there.

    Not where it is being removed, usable or not, where it only builds, and where a Swarm's manager decides.
    """
    serves_others = server.is_build_server or server.is_swarm_worker
    return server.is_usable and server.status != ServerStatus.REMOVING and not serves_others


async def usable_servers(context: ApiContext, principal: Principal, uuids: Sequence[str]) -> list[Server]:
    """The servers that an application is to live on.

    Raises NotFound, also for another team's, and NotPossibleNow for one that is not usable.
    """
    servers = []
    for uuid in uuids:
        try:
            server = await context.store.servers.get(uuid, team_id=principal.team_id)
        except NotFound as error:
            raise NotFound(f"There is no server '{uuid[:64]}'. `GET /servers` lists yours.") from error
        if server.is_build_server:
            raise NotPossibleNow(
                f"The server '{server.name}' builds for others and runs no applications. Choose another, or "
                "set its is_build_server to false."
            )
        if server.is_swarm_worker:
            raise NotPossibleNow(
                f"The server '{server.name}' is a worker of a Docker Swarm, whose manager decides what runs "
                "there. Choose the manager."
            )
        if not takes_applications(server):
            because = f": {server.status_message}" if server.status_message else "."
            way_out = "Choose another." if server.is_local else "Validate it, or choose another."
            raise NotPossibleNow(f"The server '{server.name}' is not usable now{because} {way_out}")
        servers.append(server)
    return servers


async def check_edge(
    context: ApiContext,
    principal: Principal,
    uuid: str | None,
    server_ids: Sequence[str],
    *,
    is_new: bool = True,
) -> None:
    """Whether the server can spread visitors over the others. One that does already may be out of order.

    Raises NotFound, also for another team's, NotPossibleNow for one that is not usable, and InvalidInput for
    `edge_server_uuid` where it could not reach one of the servers.
    """
    if not uuid:
        return
    if is_new:
        await usable_servers(context, principal, [uuid])
    for one in server_ids:
        server = await context.store.servers.get(one, team_id=principal.team_id)
        if server.is_local and server.id != uuid:
            raise InvalidInput(
                f"Seaway does not know under which address other servers reach '{server.name}', on which it "
                "runs itself. Make that the edge, or take it out of the application's servers.",
                field="edge_server_uuid",
            )
