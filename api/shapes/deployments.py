"""Deployments, their steps and their logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from pydantic import Field

from api.context import ApiSettings
from api.shapes.answers import Answer, Resource, number_of
from domain.deployments import DeploymentStatus, OperationKind, Step
from store.tables import Deployment, LogLine
from workflows.names import deployment_workflow_id


class StepAnswer(Answer):
    """One step on one server."""

    name: str
    title: str
    server: str
    status: str
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    message: str

    @classmethod
    def of(cls, step: Step) -> StepAnswer:
        """The answer for a step."""
        return cls(title=step.title, **step.model_dump())


class LogLineAnswer(Answer):
    """One line of a deployment's log. Ids grow; ask for what is after the last one you have."""

    id: int
    step: str
    server: str
    attempt: int
    at: datetime
    text: str

    @classmethod
    def of(cls, line: LogLine) -> LogLineAnswer:
        """The answer for a line."""
        return cls.model_validate(line)


class LogPage(Answer):
    """Some lines. `next_after` is the cursor for the next page; `is_open` tells whether more may come."""

    lines: list[LogLineAnswer]
    next_after: int
    is_open: bool


class DeploymentProblem(Answer):
    """Why a deployment failed. `detail` is evidence (lines of logs), for those who may see secrets."""

    code: str
    message: str
    detail: str | None


class DeploymentAnswer(Resource):
    """One operation on an application, in the shape of Coolify's deployment queue and more."""

    application_id: str = Field(description="The application's uuid.")
    application_uuid: str
    application_name: str
    deployment_uuid: str
    deployment_url: str
    server_id: int
    server_name: str
    kind: OperationKind
    status: str = Field(description="As Coolify has it: a superseded one is `cancelled-by-user`.")
    outcome: DeploymentStatus | None = Field(description="The final state itself; null while it is open.")
    commit: str
    commit_message: str | None
    branch: str | None
    image: str | None
    pushed_image: str | None = Field(description="Where it is in a registry, by its digest.")
    pull_request_id: int = 0
    docker_registry_image_tag: str | None = None
    configuration_hash: str | None
    force_rebuild: bool
    is_webhook: bool
    is_api: bool
    restart_only: bool
    rollback: bool
    only_this_server: bool = False
    git_type: str | None = None
    destination_id: str | None = None
    current_process_id: str | None = None
    target_deployment_uuid: str | None
    replicas: int | None
    superseded_by: str | None
    requested_by: str
    trigger: str
    workflow_url: str | None
    error: DeploymentProblem | None
    note: str | None = Field(description="Of one that has finished: which servers it went on without.")
    steps: list[StepAnswer] | None = None
    logs: str | None = Field(default=None, description="JSON text; only for those who may see secrets.")
    requested_at: datetime
    started_at: datetime | None
    serving_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    updated_at: datetime


class DeploymentList(Answer):
    """One page."""

    count: int
    deployments: list[DeploymentAnswer]


class OperationList(Answer):
    """One page."""

    count: int
    operations: list[DeploymentAnswer]


class QueuedDeployment(Answer):
    """One deployment of a request."""

    message: str
    resource_uuid: str
    deployment_uuid: str


class QueuedDeployments(Answer):
    """What a request for deployments became."""

    deployments: list[QueuedDeployment]


class Cancelled(Answer):
    """What became of a cancellation. While it unwinds, the status is still `in_progress`."""

    message: str
    deployment_uuid: str
    status: str


@dataclass(frozen=True)
class Surroundings:
    """What a deployment's row does not know."""

    application_name: str
    server_id: str
    server_name: str
    settings: ApiSettings
    sees_logs: bool = False


def coolify_status(status: str) -> str:
    """The status in the words that clients of Coolify know."""
    return DeploymentStatus.CANCELLED if status == DeploymentStatus.SUPERSEDED else status


def deployment_page(settings: ApiSettings, deployment_id: str) -> str:
    """Where people look at it."""
    return f"{settings.public_url.rstrip('/')}/deployments/{deployment_id}"


def workflow_page(settings: ApiSettings, deployment_id: str) -> str | None:
    """Its workflow in Temporal's web UI."""
    if not settings.temporal_ui_url:
        return None
    workflow = quote(deployment_workflow_id(deployment_id), safe="")
    base = settings.temporal_ui_url.rstrip("/")
    return f"{base}/namespaces/{settings.temporal_namespace}/workflows/{workflow}"


def show_deployment(
    row: Deployment,
    around: Surroundings,
    *,
    steps: Sequence[Step] | None = None,
    lines: Sequence[LogLine] | None = None,
) -> DeploymentAnswer:
    """The answer for a deployment; `steps` and `lines` only where one is asked for."""
    status = DeploymentStatus(row.status)
    return DeploymentAnswer(
        id=number_of(row.id),
        uuid=row.id,
        application_id=row.application_id,
        application_uuid=row.application_id,
        application_name=around.application_name,
        deployment_uuid=row.id,
        deployment_url=deployment_page(around.settings, row.id),
        server_id=number_of(around.server_id),
        server_name=around.server_name,
        kind=OperationKind(row.kind),
        status=coolify_status(status),
        outcome=status if status.is_final else None,
        commit=row.commit or row.requested_commit or "HEAD",
        commit_message=row.commit_message or None,
        branch=row.branch or None,
        image=row.image or None,
        pushed_image=row.pushed_image or None,
        configuration_hash=row.configuration_hash or None,
        force_rebuild=row.force_rebuild,
        is_webhook=row.trigger == "webhook",
        is_api=row.trigger == "api",
        restart_only=row.kind == OperationKind.RESTART,
        rollback=row.kind == OperationKind.ROLLBACK,
        target_deployment_uuid=row.target_deployment_id,
        replicas=row.replicas,
        superseded_by=row.superseded_by,
        requested_by=row.requested_by,
        trigger=row.trigger,
        workflow_url=workflow_page(around.settings, row.id),
        error=_problem(row, with_detail=around.sees_logs),
        note=row.note or None,
        steps=None if steps is None else [StepAnswer.of(step) for step in steps],
        logs=None if lines is None else _coolify_logs(lines),
        requested_at=row.requested_at,
        started_at=row.started_at,
        serving_at=row.serving_at,
        finished_at=row.finished_at,
        created_at=row.requested_at,
        updated_at=row.finished_at or row.serving_at or row.started_at or row.requested_at,
    )


def _problem(row: Deployment, *, with_detail: bool) -> DeploymentProblem | None:
    if not row.error_code:
        return None
    detail = row.error_detail if with_detail else ""
    return DeploymentProblem(code=row.error_code, message=row.error_message, detail=detail or None)


def _coolify_logs(lines: Sequence[LogLine]) -> str:
    entries = [
        {
            "command": None,
            "output": line.text,
            "type": "stdout",
            "timestamp": line.at.isoformat(),
            "hidden": False,
            "batch": 1,
            "order": order,
        }
        for order, line in enumerate(lines, start=1)
    ]
    return json.dumps(entries)
