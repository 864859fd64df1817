"""New applications: from a public repository, one with a deploy key, or a Docker image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from api.auditing import audit
from api.authentication import Ability, Principal, Writer, require_ability, sees_secrets
from api.context import ApiContext
from api.operation_requests import request_operation
from api.routes.parameters import ContextOf, IdempotencyKey
from api.safeguards import check_domains, check_source
from api.server_changes import check_edge, named_servers, takes_applications, usable_servers
from api.shapes.application_changes import change_configuration
from api.shapes.applications import (
    ApplicationAnswer,
    CreateDeployKeyApplication,
    CreateImageApplication,
    CreatePublicApplication,
    Creation,
    show_application,
)
from api.shapes.descriptions import checked_description
from api.shown_applications import complete_application
from api.swarm import check_places
from domain.configuration import (
    ApplicationConfiguration,
    BuildOptions,
    BuildPack,
    GitSource,
    ImageSource,
    RoutingOptions,
)
from domain.deployments import OperationKind
from domain.domains import generated_domain
from domain.errors import InvalidInput, NotFound, NotPossibleNow
from domain.git_references import HEAD, parse_repository
from domain.identifiers import derived_identifier, new_identifier
from domain.image_references import parse_image_reference
from domain.names import slug, validate_name
from store.tables import Application, Environment, Project, Server

router = APIRouter(prefix="/applications", tags=["Applications"])

LISTED = 3
"""So many servers does a refusal tell of."""


@router.post(
    "/public",
    summary="Create an application from a repository",
    status_code=201,
    response_model=ApplicationAnswer,
)
async def create_public_application(
    body: CreatePublicApplication,
    context: ContextOf,
    principal: Writer,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """The answer holds the whole application. With `instant_deploy` it is deployed at once."""
    return await _create(context, principal, body, GitSource(repository="", branch=HEAD), idempotency_key)


@router.post(
    "/private-deploy-key",
    summary="Create an application from a repository with a deploy key",
    status_code=201,
    response_model=ApplicationAnswer,
)
async def create_private_deploy_key_application(
    body: CreateDeployKeyApplication,
    context: ContextOf,
    principal: Writer,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """The key is one of `/security/keys`."""
    return await _create(context, principal, body, GitSource(repository="", branch=HEAD), idempotency_key)


@router.post(
    "/dockerimage",
    summary="Create an application from a Docker image",
    status_code=201,
    response_model=ApplicationAnswer,
)
async def create_dockerimage_application(
    body: CreateImageApplication,
    context: ContextOf,
    principal: Writer,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """A tag or digest may stand in either field."""
    return await _create(context, principal, body, ImageSource(reference=""), idempotency_key)


@router.post("/dockerfile", summary="Create an application from a Dockerfile", status_code=201)
async def create_dockerfile_application(
    body: dict[str, Any], context: ContextOf, principal: Writer
) -> ApplicationAnswer:
    """Not possible yet."""
    raise InvalidInput(
        "A Dockerfile without a repository is not supported yet. Put it into a Git repository and use "
        "/applications/public with build_pack 'dockerfile'.",
        field="dockerfile",
    )


async def _create(
    context: ApiContext,
    principal: Principal,
    body: Creation,
    source: GitSource | ImageSource,
    idempotency_key: str | None,
) -> dict[str, Any]:
    if body.instant_deploy:
        require_ability(principal, Ability.DEPLOY)
    project = await context.store.projects.get(body.project_uuid, team_id=principal.team_id)
    if idempotency_key:
        application_id = derived_identifier("application", project.id, idempotency_key)
        if known := await _known(context, principal, application_id):
            return await _answer(context, principal, body, known, idempotency_key)
    else:
        application_id = new_identifier()
    environment = await _environment(context, project, body)
    servers = await _servers(context, principal, body)
    edge_id = getattr(body, "edge_server_uuid", None)
    await check_edge(context, principal, edge_id, [server.id for server in servers])
    # Visitors come to the edge, so it is its addresses that are given away.
    front = await context.store.servers.get(edge_id, team_id=principal.team_id) if edge_id else servers[0]
    row, configuration, spelled = _new_application(
        application_id, principal, body, source, project, environment, servers, front
    )
    check_source(principal, configuration)
    check_domains(context.settings, configuration.routing.domains)
    if isinstance(configuration.source, GitSource) and configuration.source.private_key_id:
        await context.store.servers.key(configuration.source.private_key_id, team_id=principal.team_id)
    row = await context.store.applications.create(row, configuration, spelled)
    await audit(context, principal, "application.create", "application", row.id, row.name)
    return await _answer(context, principal, body, row, idempotency_key)


async def _known(context: ApiContext, principal: Principal, application_id: str) -> Application | None:
    """What an earlier request with the same key made."""
    try:
        return await context.store.applications.get(application_id, team_id=principal.team_id)
    except NotFound:
        return None


async def _answer(
    context: ApiContext,
    principal: Principal,
    body: Creation,
    row: Application,
    idempotency_key: str | None,
) -> dict[str, Any]:
    deployment_id = None
    if body.instant_deploy:
        queued = await request_operation(
            context, principal, row, OperationKind.DEPLOY, idempotency_key=idempotency_key
        )
        deployment_id = queued.deployment.id
    return show_application(
        await complete_application(context, row),
        with_secrets=sees_secrets(principal),
        deployment_id=deployment_id,
    )


def _new_application(
    application_id: str,
    principal: Principal,
    body: Creation,
    source: GitSource | ImageSource,
    project: Project,
    environment: Environment,
    servers: Sequence[Server],
    front: Server,
) -> tuple[Application, ApplicationConfiguration, dict[str, Any]]:
    is_image = isinstance(source, ImageSource)
    written = {name: getattr(body, name) for name in body.model_fields_set}
    configuration, spelled = change_configuration(
        ApplicationConfiguration(
            application_id=application_id,
            name="",
            team_id=principal.team_id,
            project_id=project.id,
            environment_name=environment.name,
            server_ids=tuple(server.id for server in servers),
            source=source,
            build=BuildOptions(pack=BuildPack.DOCKER_IMAGE if is_image else BuildPack.DOCKERFILE),
        ),
        {},
        written,
    )
    check_places(servers, configuration)
    name = (
        validate_name(body.name)
        if body.name is not None
        else f"{slug(_base_name(configuration.source))}-{application_id[-6:]}"
    )
    configuration = configuration.model_copy(update={"name": name})
    wildcard = front.wildcard_domain
    if not configuration.routing.domains and body.autogenerate_domain and wildcard:
        domain = generated_domain(name, application_id, wildcard)
        routing: RoutingOptions = configuration.routing.model_copy(update={"domains": (domain,)})
        configuration = configuration.model_copy(update={"routing": routing})
        spelled.pop("domains", None)
    row = Application(
        id=application_id,
        team_id=principal.team_id,
        environment_id=environment.id,
        name=name,
        description=checked_description(body.description),
        configuration_sealed="",
    )
    return row, configuration, spelled


def _base_name(source: GitSource | ImageSource) -> str:
    """What a repository or an image is called, for want of a name."""
    if isinstance(source, ImageSource):
        return parse_image_reference(source.reference).name.rpartition("/")[2]
    return parse_repository(source.repository).path.rstrip("/").rpartition("/")[2].removesuffix(".git")


async def _environment(context: ApiContext, project: Project, body: Creation) -> Environment:
    wanted = body.environment_uuid or body.environment_name or "production"
    return await context.store.projects.environment(project.id, wanted)


async def _servers(context: ApiContext, principal: Principal, body: Creation) -> Sequence[Server]:
    if wanted := named_servers(body.server_uuid, body.server_uuids):
        return await usable_servers(context, principal, wanted)
    servers = await context.store.servers.list(team_id=principal.team_id)
    for server in servers:
        if takes_applications(server):
            return [server]
    reasons = [f" {one.name}: {one.status_message}" for one in servers if one.status_message]
    raise NotPossibleNow(f"Your team has no server that can be used.{''.join(reasons[:LISTED])}")
