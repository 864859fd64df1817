"""From a request to a queued operation, and what to tell about it."""

from __future__ import annotations

from dataclasses import dataclass

from activities.messages import CommandReceipt
from api.auditing import audit
from api.context import ApiContext
from domain.deployments import OperationKind
from domain.errors import Conflict, NotPossibleNow
from store.access import Principal
from store.tables import Application, Deployment

_TITLES = {
    OperationKind.DEPLOY: "Deployment",
    OperationKind.ROLLBACK: "Rollback",
    OperationKind.RESTART: "Restart",
    OperationKind.START: "Start",
    OperationKind.SCALE: "Scaling",
    OperationKind.STOP: "Stop",
    OperationKind.DELETE: "Deletion",
}


@dataclass(frozen=True)
class QueuedOperation:
    """The deployment that a request became."""

    deployment: Deployment
    message: str


async def request_operation(
    context: ApiContext,
    principal: Principal,
    application: Application,
    kind: OperationKind,
    *,
    idempotency_key: str | None = None,
    **options: object,
) -> QueuedOperation:
    """Queues the operation and records who asked for it. Raises NotPossibleNow, Conflict, TransientError."""
    _, project = await context.store.projects.environment_by_id(application.environment_id)
    deployment, receipt = await context.operations.submit(
        application,
        project,
        kind,
        requested_by=principal.user_email,
        idempotency_key=idempotency_key or "",
        options=options,
    )
    if receipt.repeated and deployment.kind != kind:
        raise Conflict(
            f"This Idempotency-Key already stands for a {deployment.kind} of this application; use another."
        )
    if not receipt.repeated:
        summary = f"{kind} of '{application.name}' as {deployment.id}"
        await audit(context, principal, f"application.{kind}", "application", application.id, summary)
    return QueuedOperation(deployment, _message(application, kind, receipt))


def require_deployed(application: Application) -> None:
    """Raises NotPossibleNow for an application that was never deployed."""
    if application.current_deployment_id is None:
        raise NotPossibleNow(f"'{application.name}' was never deployed. Deploy it first.")


def _message(application: Application, kind: OperationKind, receipt: CommandReceipt) -> str:
    title = f"{_TITLES[kind]} of '{application.name}'"
    if receipt.repeated:
        return f"{title} was requested before with this key; it is the same one."
    parts = [f"{title} queued"]
    if receipt.position > 0:
        parts.append(f"at position {receipt.position}")
    if receipt.after_deployment_id:
        runs = receipt.after_deployment_id == receipt.running_deployment_id
        parts.append(f"after {receipt.after_deployment_id}, which {'is running' if runs else 'waits too'}")
    message = " ".join(parts) + "."
    if receipt.superseded:
        message += f" It replaces {', '.join(receipt.superseded)}."
    return message
