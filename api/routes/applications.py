"""Applications: looking at them, changing and deleting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.auditing import audit
from api.authentication import Ability, Principal, Reader, Writer, require_ability, sees_secrets
from api.context import ApiContext
from api.operation_requests import request_operation
from api.routes.parameters import ContextOf, IdempotencyKey, Ignored, Uuid
from api.safeguards import check_domains, check_placement, check_source
from api.server_changes import check_edge, named_servers, usable_servers
from api.shapes.answers import Queued
from api.shapes.application_changes import change_configuration
from api.shapes.applications import (
    ApplicationAnswer,
    Change,
    ChangeApplication,
    ShownApplication,
    show_application,
)
from api.shapes.descriptions import checked_description, checked_name
from api.shown_applications import complete_application, load_application, load_applications
from api.swarm import check_places, places
from domain.configuration import ApplicationConfiguration
from domain.deployments import OperationKind
from domain.errors import InvalidInput
from store.tables import Application

router = APIRouter(prefix="/applications", tags=["Applications"])


@router.get("", summary="List applications", response_model=list[ApplicationAnswer])
async def list_applications(
    context: ContextOf,
    principal: Reader,
    tag: Annotated[str | None, Query(description="Only those with this tag.")] = None,
) -> list[dict[str, Any]]:
    """The team's applications with their status, oldest first. Nothing has a tag yet."""
    applications = [] if tag else await load_applications(context, principal)
    return [_answer(context, principal, one) for one in applications]


@router.get("/{uuid}", summary="One application", response_model=ApplicationAnswer)
async def get_application_by_uuid(uuid: Uuid, context: ContextOf, principal: Reader) -> dict[str, Any]:
    """Every field as it was written."""
    return _answer(context, principal, await load_application(context, principal, uuid))


@router.patch("/{uuid}", summary="Change an application", response_model=ApplicationAnswer)
async def update_application_by_uuid(
    uuid: Uuid,
    body: ChangeApplication,
    context: ContextOf,
    principal: Writer,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """What is left out stays. The next deployment releases the change."""
    change: Change = body
    if change.instant_deploy:
        require_ability(principal, Ability.DEPLOY)
    shown = await load_application(context, principal, uuid)
    _refuse_move(change, shown)
    server_ids = await _server_ids(context, principal, change, shown)
    written = {name: getattr(change, name) for name in change.model_fields_set}
    servers = await places(context, server_ids)
    present_edge = shown.configuration.routing.edge_server_id
    edge = written.get("edge_server_uuid", present_edge)
    await check_edge(context, principal, edge, server_ids, is_new=edge != present_edge)
    if written.get("private_key_uuid"):
        await context.store.servers.key(written["private_key_uuid"], team_id=principal.team_id)
    name, description = checked_name(change.name), checked_description(change.description)

    def edit(
        row: Application, configuration: ApplicationConfiguration, earlier: Mapping[str, object]
    ) -> tuple[ApplicationConfiguration, Mapping[str, object]]:
        row.name = row.name if name is None else name
        row.description = description if "description" in written else row.description
        moved = configuration.model_copy(update={"server_ids": server_ids})
        changed, spelled = change_configuration(moved, earlier, written)
        check_placement(principal, configuration, changed)
        check_places(servers, changed)
        if "git_repository" in written:
            check_source(principal, changed)
        if "domains" in written:
            check_domains(context.settings, changed.routing.domains)
        return changed, spelled

    row = await context.store.applications.modify(uuid, team_id=principal.team_id, edit=edit)
    await audit(context, principal, "application.update", "application", row.id, ", ".join(sorted(written)))
    deployment_id = None
    if change.instant_deploy:
        queued = await request_operation(
            context, principal, row, OperationKind.DEPLOY, idempotency_key=idempotency_key
        )
        deployment_id = queued.deployment.id
    return _answer(context, principal, await complete_application(context, row), deployment_id)


@router.delete("/{uuid}", summary="Delete an application")
async def delete_application_by_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Writer,
    idempotency_key: IdempotencyKey = None,
    delete_volumes: Annotated[
        bool, Query(description="Its volumes go too, and the data in them is lost for good.")
    ] = True,
    delete_configurations: Ignored = True,
    docker_cleanup: Ignored = True,
    delete_connected_networks: Ignored = True,
) -> Queued:
    """Queues the deletion of its containers, images, routes and, unless told otherwise, its volumes.

    The other flags of Coolify are taken and mean what always happens.
    """
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    queued = await request_operation(
        context,
        principal,
        application,
        OperationKind.DELETE,
        idempotency_key=idempotency_key,
        delete_volumes=delete_volumes,
    )
    return Queued(message=queued.message, deployment_uuid=queued.deployment.id)


def _answer(
    context: ApiContext, principal: Principal, shown: ShownApplication, deployment_id: str | None = None
) -> dict[str, Any]:
    return show_application(shown, with_secrets=sees_secrets(principal), deployment_id=deployment_id)


async def _server_ids(
    context: ApiContext, principal: Principal, change: Change, shown: ShownApplication
) -> tuple[str, ...]:
    """The servers that it lives on from now on. One where it lives already may be out of order.

    Raises InvalidInput for a list that is null, which would say that it lives nowhere. The one server may be
    null: clients of Coolify's API send what they leave as it is so.
    """
    if "server_uuids" in change.model_fields_set and change.server_uuids is None:
        raise InvalidInput("An application lives on a server at least: name it.", field="server_uuids")
    present = shown.configuration.server_ids
    if change.server_uuids is None and change.server_uuid in (None, present[0]):
        return present
    wanted = named_servers(change.server_uuid, change.server_uuids)
    await usable_servers(context, principal, [one for one in wanted if one not in present])
    return wanted


def _refuse_move(change: Change, shown: ShownApplication) -> None:
    present = {
        "project_uuid": shown.project.id,
        "environment_name": shown.environment.name,
    }
    problems = {
        name: ["Moving an application is not supported yet."]
        for name, value in present.items()
        if getattr(change, name) not in (None, value)
    }
    if problems:
        raise InvalidInput("Moving an application is not supported yet.", fields=problems)
