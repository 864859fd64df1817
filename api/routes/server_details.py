"""What is known about a server: its steps, its host key, and what runs there."""

from __future__ import annotations

from fastapi import APIRouter

from api.authentication import Reader, sees_secrets
from api.routes.parameters import ContextOf, Uuid
from api.server_provisioning import check_may_change
from api.shapes.answers import number_of
from api.shapes.applications import ShownApplication
from api.shapes.servers import (
    HostKeysAnswer,
    ServerBuildAnswer,
    ServerDomains,
    ServerResource,
    ServerStepAnswer,
    SwarmAnswer,
)
from api.shown_applications import load_applications
from domain.domains import entrances

router = APIRouter(tags=["Servers"])


@router.get("/servers/{uuid}/steps", summary="How making a server usable went")
async def list_steps_by_server_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[ServerStepAnswer]:
    """The steps in their order; empty before the first time."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    with_evidence = sees_secrets(principal)
    steps = await context.store.servers.steps(server.id)
    return [ServerStepAnswer.of(step, with_evidence=with_evidence) for step in steps]


@router.get("/servers/{uuid}/builds", summary="What is built on a server")
async def list_builds_by_server_uuid(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> list[ServerBuildAnswer]:
    """The builds that run there, and those that wait until there is room."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    builds = await context.store.builds.on_server(server.id, team_id=principal.team_id)
    return [ServerBuildAnswer.of(build) for build in builds]


@router.get("/servers/{uuid}/host-key", summary="The host key that a server shows now")
async def get_host_key_by_server_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> HostKeysAnswer:
    """Asks the server, without logging in to it, and shows what is pinned beside it."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    check_may_change(server)
    return HostKeysAnswer.of(server, await context.host_keys.shown_by(server))


@router.get("/servers/{uuid}/swarm", summary="What a server is in a Docker Swarm")
async def get_swarm_by_server_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> SwarmAnswer:
    """Asks its engine, and of a manager all nodes."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    return SwarmAnswer.of(await context.swarms.facts(server.id))


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
    """The hosts whose visitors come there. Those of an application with an edge come to that."""
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    hosts = {
        domain.host
        for one in await load_applications(context, principal)
        if server.id in entrances(one.configuration)
        for domain in one.configuration.routing.domains
    }
    return [ServerDomains(ip=server.address, domains=sorted(hosts))]


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
