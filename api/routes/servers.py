"""Servers, and what runs on them."""

from __future__ import annotations

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Reader, Writer
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import Done, number_of
from api.shapes.applications import ShownApplication
from api.shapes.servers import CreateServer, ServerAnswer, ServerDomains, ServerResource, ValidateServer
from api.shown_applications import load_applications
from domain.errors import NotPossibleNow

router = APIRouter(tags=["Servers"])


@router.get("/servers", summary="List servers")
async def list_servers(context: ContextOf, principal: Reader) -> list[ServerAnswer]:
    """The team's servers, oldest first."""
    return [ServerAnswer.of(one) for one in await context.store.servers.list(team_id=principal.team_id)]


@router.post("/servers", summary="Add a server", status_code=201)
async def create_server(body: CreateServer, context: ContextOf, principal: Writer) -> ServerAnswer:
    """Not possible yet."""
    raise NotPossibleNow(
        "Seaway deploys to the server it runs on. Servers over SSH are not supported yet; "
        "'localhost' is there already."
    )


@router.get("/servers/{uuid}", summary="One server")
async def get_server_by_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> ServerAnswer:
    """The server."""
    return ServerAnswer.of(await context.store.servers.get(uuid, team_id=principal.team_id))


@router.get("/servers/{uuid}/resources", summary="What runs on a server")
async def get_resources_by_server_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[ServerResource]:
    """The applications whose replicas run there."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    applications = await load_applications(context, principal)
    return [_resource(one) for one in applications if server.id in one.configuration.server_ids]


@router.get("/servers/{uuid}/domains", summary="Which hosts lead to a server")
async def get_domains_by_server_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[ServerDomains]:
    """The hosts of the applications that run there."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    hosts = {
        domain.host
        for one in await load_applications(context, principal)
        if server.id in one.configuration.server_ids
        for domain in one.configuration.routing.domains
    }
    return [ServerDomains(ip=server.address, domains=sorted(hosts))]


@router.post("/servers/{uuid}/validate", summary="Look at a server", status_code=201)
async def validate_server_by_uuid(
    uuid: Uuid, context: ContextOf, principal: Writer, body: ValidateServer | None = None
) -> Done:
    """Seaway watches its own server all the time, so this tells what it knows."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    await audit(context, principal, "server.validate", "server", server.id, server.name)
    usable = "reachable and usable" if server.is_reachable and server.is_usable else "not usable now"
    return Done(message=f"The server '{server.name}' is {usable}.")


@router.get("/resources", summary="Everything that runs")
async def list_resources(context: ContextOf, principal: Reader) -> list[ServerResource]:
    """The team's applications with their status."""
    return [_resource(one) for one in await load_applications(context, principal)]


def _resource(shown: ShownApplication) -> ServerResource:
    return ServerResource(
        id=number_of(shown.row.id),
        uuid=shown.row.id,
        name=shown.row.name,
        type="application",
        status=shown.status,
        created_at=shown.row.created_at,
        updated_at=shown.row.updated_at,
    )
