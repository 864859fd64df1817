"""Logins for image registries, which open prebuilt and base images. Ours: Coolify has none of these."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import SecretStr

from api.auditing import audit
from api.authentication import Ability, Principal, Reader, Writer, require_ability, sees_secrets
from api.context import ApiContext
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import Done
from api.shapes.descriptions import checked_name
from api.shapes.registries import (
    ChangeRegistry,
    CheckRegistry,
    CreateRegistry,
    RegistryAnswer,
    RegistryCheckAnswer,
)
from domain.errors import InvalidInput, NotFound, NotPossibleNow
from domain.registries import checked_password, checked_registry_host, checked_username
from store.tables import Registry, Server

router = APIRouter(prefix="/registries", tags=["Registries"])


@router.get("", summary="List registries")
async def list_registries(context: ContextOf, principal: Reader) -> list[RegistryAnswer]:
    """The team's logins, those of its projects included, oldest first."""
    registries = await context.store.registries.list(team_id=principal.team_id)
    return [_answer(context, principal, registry) for registry in registries]


@router.post("", summary="Add a registry", status_code=201)
async def create_registry(body: CreateRegistry, context: ContextOf, principal: Writer) -> RegistryAnswer:
    """One login for each registry of a team, and one for each of a project. It is not tried out yet."""
    if body.project_uuid is not None:
        await _require_project(context, principal, body.project_uuid)
    host = checked_registry_host(body.host)
    registry = Registry(
        team_id=principal.team_id,
        project_id=body.project_uuid,
        name=checked_name(body.name) or host,
        host=host,
        username=checked_username(body.username),
        password_sealed="",
    )
    added = await context.store.registries.add(registry, checked_password(body.password))
    summary = f"{added.name}, {added.username} at {added.host}"
    await audit(context, principal, "registry.create", "registry", added.id, summary)
    return _answer(context, principal, added)


@router.get("/{uuid}", summary="One registry")
async def get_registry(uuid: Uuid, context: ContextOf, principal: Reader) -> RegistryAnswer:
    """Its password is shown only to those who may see secrets."""
    registry = await context.store.registries.get(uuid, team_id=principal.team_id)
    return _answer(context, principal, registry)


@router.patch("/{uuid}", summary="Change a registry")
async def update_registry(
    uuid: Uuid, body: ChangeRegistry, context: ContextOf, principal: Writer
) -> RegistryAnswer:
    """What is left out stays. It counts from the next deployment on."""
    registry = await context.store.registries.get(uuid, team_id=principal.team_id)
    password = None if body.password is None else checked_password(body.password)
    if body.host is not None and (host := checked_registry_host(body.host)) != registry.host:
        if password is None:
            # Else whoever may change it, but not see secrets, could have it sent to a host of their own.
            raise InvalidInput("Another registry needs its own password: give it as well.", field="password")
        registry.host = host
    if body.username is not None:
        registry.username = checked_username(body.username)
    registry.name = checked_name(body.name) or registry.name
    changed = await context.store.registries.update(registry, password)
    given = ", ".join(sorted(body.model_fields_set))
    await audit(context, principal, "registry.update", "registry", changed.id, given)
    return _answer(context, principal, changed)


@router.delete("/{uuid}", summary="Delete a registry")
async def delete_registry(uuid: Uuid, context: ContextOf, principal: Writer) -> Done:
    """Forgets the login. What runs goes on; what needs it to be deployed again will be refused."""
    registry = await context.store.registries.get(uuid, team_id=principal.team_id)
    await context.store.registries.delete(registry.id, team_id=principal.team_id)
    await audit(context, principal, "registry.delete", "registry", registry.id, registry.name)
    return Done(message="Registry deleted.")


@router.post("/{uuid}/check", summary="Log in to a registry")
async def check_registry(
    uuid: Uuid, context: ContextOf, principal: Writer, body: CheckRegistry | None = None
) -> RegistryCheckAnswer:
    """Logs in from a server, as pulling does, and tells what came of it: `fine`, `wrong_credentials` or
    `unreachable`. The server is shown the login, as by a deployment, so it takes the ability to deploy, too.
    """
    # Else who may add servers, but neither deploy nor see secrets, could have it shown to one of their own.
    require_ability(principal, Ability.DEPLOY)
    registry = await context.store.registries.get(uuid, team_id=principal.team_id)
    server = await _server_for(context, principal, body.server_uuid if body is not None else None)
    check = await context.registry_checks.check(server, context.store.registries.reveal(registry))
    summary = f"{registry.host} from {server.name}: {check.state}"
    await audit(context, principal, "registry.check", "registry", registry.id, summary)
    return RegistryCheckAnswer.of(check, server)


async def login_servers(context: ApiContext, principal: Principal) -> list[Server]:
    """The team's servers that can log in; the one that does, unless told otherwise, comes first."""
    servers = await context.store.servers.list(team_id=principal.team_id)
    return sorted((server for server in servers if server.is_usable), key=lambda one: not one.is_local)


async def _require_project(context: ApiContext, principal: Principal, project_id: str) -> None:
    try:
        await context.store.projects.get(project_id, team_id=principal.team_id)
    except NotFound as error:
        raise InvalidInput(error.message, field="project_uuid") from error


async def _server_for(context: ApiContext, principal: Principal, server_id: str | None) -> Server:
    if server_id is not None:
        try:
            return await context.store.servers.get(server_id, team_id=principal.team_id)
        except NotFound as error:
            raise InvalidInput(error.message, field="server_uuid") from error
    usable = await login_servers(context, principal)
    if not usable:
        raise NotPossibleNow("The team has no usable server to log in from. Add one first.")
    return usable[0]


def _answer(context: ApiContext, principal: Principal, registry: Registry) -> RegistryAnswer:
    password: SecretStr | None = None
    if sees_secrets(principal):
        password = context.store.registries.reveal(registry).password
    return RegistryAnswer.of(registry, password)
