"""The one route that CI calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.authentication import Deployer
from api.operation_requests import request_operation
from api.routes.parameters import ContextOf, IdempotencyKey
from api.shapes.deployments import QueuedDeployment, QueuedDeployments
from domain.deployments import OperationKind
from domain.errors import InvalidInput, NotFound
from domain.git_references import validate_revision
from domain.identifiers import is_identifier

router = APIRouter(tags=["Deployments"])

MAXIMUM_APPLICATIONS = 50


@router.post("/deploy", summary="Deploy applications")
async def deploy_by_tag_or_uuid(
    context: ContextOf,
    principal: Deployer,
    idempotency_key: IdempotencyKey = None,
    uuid: Annotated[str, Query(description="Applications, comma-separated.")] = "",
    force: Annotated[bool, Query(description="Build again, without the cache.")] = False,
    branch: Annotated[str, Query(description="Another branch or tag than the configured one.")] = "",
    commit: Annotated[str, Query(description="This commit.")] = "",
    tag: Annotated[str | None, Query(description="Not supported yet.")] = None,
    pr: Annotated[int, Query(description="Not supported yet.")] = 0,
    pull_request_id: Annotated[int, Query(description="Not supported yet.")] = 0,
    docker_tag: Annotated[str | None, Query(description="Not supported yet.")] = None,
) -> QueuedDeployments:
    """Each becomes a deployment of its own; nothing is queued unless all of them exist."""
    _refuse_unsupported(tag=tag, pr=pr, pull_request_id=pull_request_id, docker_tag=docker_tag)
    uuids = list(dict.fromkeys(part.strip() for part in uuid.split(",") if part.strip()))
    if not uuids or len(uuids) > MAXIMUM_APPLICATIONS:
        raise InvalidInput(f"Name 1 to {MAXIMUM_APPLICATIONS} applications by their uuid.", field="uuid")
    if not all(is_identifier(one) for one in uuids):
        raise NotFound("There is no such application.")
    applications = [await context.store.applications.get(one, team_id=principal.team_id) for one in uuids]
    options = {
        "force": force,
        "branch": _revision(branch, "branch") if branch else "",
        "commit": _revision(commit, "commit") if commit else "",
    }
    deployments = []
    for application in applications:
        queued = await request_operation(
            context,
            principal,
            application,
            OperationKind.DEPLOY,
            idempotency_key=idempotency_key,
            **options,
        )
        deployments.append(
            QueuedDeployment(
                message=queued.message,
                resource_uuid=application.id,
                deployment_uuid=queued.deployment.id,
            )
        )
    return QueuedDeployments(deployments=deployments)


def _revision(text: str, field: str) -> str:
    try:
        return validate_revision(text)
    except InvalidInput as error:
        raise InvalidInput(error.message, field=field) from error


def _refuse_unsupported(**given: object) -> None:
    problems = {name: ["This is not supported yet."] for name, value in given.items() if value}
    if problems:
        raise InvalidInput("This is not supported yet.", fields=problems)
