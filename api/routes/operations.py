"""What is done to an application: start, stop, restart, scale, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from api.authentication import Deployer, Reader
from api.operation_requests import QueuedOperation, request_operation, require_deployed
from api.routes.parameters import ContextOf, IdempotencyKey, Ignored, Skip, Take, Uuid
from api.shapes.answers import Queued
from api.shapes.deployments import OperationList, show_deployment
from api.shapes.operations import Rollback, RollbackImage, RollbackImages, Scale
from api.shown_deployments import surroundings_of
from domain.configuration import RuntimeOptions
from domain.deployments import OperationKind
from domain.errors import InvalidInput, NotFound
from store.tables import Deployment
from store.tables.applications import DesiredState

router = APIRouter(prefix="/applications/{uuid}", tags=["Applications"])

ROLLBACK_KINDS = (OperationKind.DEPLOY, OperationKind.ROLLBACK)
SHORTEST_COMMIT = 7


@router.post("/start", summary="Start an application")
async def start_application_by_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Deployer,
    idempotency_key: IdempotencyKey = None,
    force: Annotated[bool, Query(description="Build again, without the cache.")] = False,
    instant_deploy: Ignored = False,
) -> Queued:
    """A stopped application starts with its last release; any other is deployed."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    was_stopped = application.desired_state == DesiredState.STOPPED and application.current_deployment_id
    if was_stopped and not force:
        queued = await request_operation(
            context, principal, application, OperationKind.START, idempotency_key=idempotency_key
        )
    else:
        queued = await request_operation(
            context,
            principal,
            application,
            OperationKind.DEPLOY,
            idempotency_key=idempotency_key,
            force=force,
        )
    return _answer(queued)


@router.post("/stop", summary="Stop an application")
async def stop_application_by_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Deployer,
    idempotency_key: IdempotencyKey = None,
    docker_cleanup: Ignored = True,
) -> Queued:
    """Its containers end, its route goes; its release stays, so that it can be started again."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    return _answer(
        await request_operation(
            context, principal, application, OperationKind.STOP, idempotency_key=idempotency_key
        )
    )


@router.post("/restart", summary="Restart an application")
async def restart_application_by_uuid(
    uuid: Uuid, context: ContextOf, principal: Deployer, idempotency_key: IdempotencyKey = None
) -> Queued:
    """New replicas of the same image take over; no request is lost."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    require_deployed(application)
    return _answer(
        await request_operation(
            context, principal, application, OperationKind.RESTART, idempotency_key=idempotency_key
        )
    )


@router.post("/scale", summary="Change the number of replicas")
async def scale_application_by_uuid(
    uuid: Uuid, body: Scale, context: ContextOf, principal: Deployer, idempotency_key: IdempotencyKey = None
) -> Queued:
    """Adds or removes replicas of the running release."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    require_deployed(application)
    configuration, _ = context.store.applications.configured(application)
    _refuse_shared_ports(configuration.runtime, body.replicas)
    return _answer(
        await request_operation(
            context,
            principal,
            application,
            OperationKind.SCALE,
            idempotency_key=idempotency_key,
            replicas=body.replicas,
        )
    )


@router.get("/rollback-images", summary="What can be rolled back to")
async def list_application_rollback_images(
    uuid: Uuid, context: ContextOf, principal: Reader
) -> RollbackImages:
    """The kept releases, newest first."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    configuration, _ = context.store.applications.configured(application)
    current = application.current_deployment_id
    finished = await context.store.deployments.list_finished(uuid)
    kept = [one for one in finished if one.kind in ROLLBACK_KINDS][: max(configuration.images_to_keep, 1)]
    images = [RollbackImage.of(one, is_current=one.id == current) for one in kept]
    return RollbackImages(
        current=next(
            (RollbackImage.of(one, is_current=True).tag for one in finished if one.id == current), None
        ),
        images=images,
    )


@router.post("/rollback", summary="Go back to an earlier release")
async def rollback_application_by_uuid(
    uuid: Uuid,
    body: Rollback,
    context: ContextOf,
    principal: Deployer,
    idempotency_key: IdempotencyKey = None,
) -> Queued:
    """Image and configuration of a finished deployment, named by its uuid or its commit."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    finished = await context.store.deployments.list_finished(uuid)
    target = _target(finished, body)
    return _answer(
        await request_operation(
            context,
            principal,
            application,
            OperationKind.ROLLBACK,
            idempotency_key=idempotency_key,
            target_deployment_id=target.id,
        )
    )


@router.get("/operations", summary="Everything that was done to an application")
async def list_operations_by_application_uuid(
    uuid: Uuid,
    context: ContextOf,
    principal: Reader,
    skip: Skip = 0,
    take: Take = 10,
) -> OperationList:
    """Operations of every kind, newest first."""
    application = await context.store.applications.get(uuid, team_id=principal.team_id)
    count, rows = await context.store.deployments.list_of_application(uuid, skip=skip, take=take)
    surroundings = await surroundings_of(context, principal, application)
    return OperationList(count=count, operations=[show_deployment(row, surroundings) for row in rows])


def _answer(queued: QueuedOperation) -> Queued:
    return Queued(message=queued.message, deployment_uuid=queued.deployment.id)


def _refuse_shared_ports(runtime: RuntimeOptions, replicas: int) -> None:
    if replicas > 1 and runtime.port_mappings:
        raise InvalidInput(
            "Replicas cannot share a port of the host: remove ports_mappings first.", field="replicas"
        )


def _target(finished: Sequence[Deployment], body: Rollback) -> Deployment:
    """The newest finished deployment that is meant. Raises InvalidInput, NotFound."""
    wanted = (body.commit or "").strip()
    if bool(wanted) is bool(body.deployment_uuid):
        raise InvalidInput("Give either a commit or a deployment_uuid.", field="commit")
    for deployment in finished:
        tag = RollbackImage.of(deployment, is_current=False).tag
        is_commit = len(wanted) >= SHORTEST_COMMIT and deployment.commit.startswith(wanted.lower())
        if deployment.id == body.deployment_uuid or (wanted and (is_commit or tag == wanted)):
            return deployment
    raise NotFound(
        "No finished deployment of this application is that one, so there is nothing to go back to."
    )
