"""The words of the pages for states and operations."""

from __future__ import annotations

from api.pages.views import StatusView
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import InvalidInput
from domain.image_references import parse_image_reference
from domain.servers import ServerStatus
from store.tables import Application, Deployment, Server
from store.tables.applications import DesiredState
from ui.formats import short_commit

KIND_LABELS = {
    OperationKind.DEPLOY: "Deploy",
    OperationKind.ROLLBACK: "Roll back",
    OperationKind.RESTART: "Restart",
    OperationKind.START: "Start",
    OperationKind.SCALE: "Scale",
    OperationKind.STOP: "Stop",
    OperationKind.DELETE: "Delete",
}
UNDER_WAY_LABELS = {
    OperationKind.DEPLOY: "Deploying",
    OperationKind.ROLLBACK: "Rolling back",
    OperationKind.RESTART: "Restarting",
    OperationKind.START: "Starting",
    OperationKind.SCALE: "Scaling",
    OperationKind.STOP: "Stopping",
    OperationKind.DELETE: "Deleting",
}
DEPLOYMENT_STATUSES = {
    DeploymentStatus.QUEUED: StatusView("Queued", "idle", "Waits for what is before it"),
    DeploymentStatus.IN_PROGRESS: StatusView("In progress", "busy"),
    DeploymentStatus.FINISHED: StatusView("Finished", "good"),
    DeploymentStatus.FAILED: StatusView("Failed", "bad"),
    DeploymentStatus.CANCELLED: StatusView("Cancelled", "idle"),
    DeploymentStatus.SUPERSEDED: StatusView("Superseded", "idle", "A newer one took its place"),
}
UNKNOWN = StatusView("Unknown", "unknown", "The server does not answer at the moment")
RUNTIME_STATUSES = {
    "running:healthy": StatusView("Running", "good", "Healthy"),
    "running:unhealthy": StatusView("Unhealthy", "bad", "It runs, but its health check fails"),
    "running": StatusView("Running", "good"),
    "starting": StatusView("Starting", "busy"),
    "restarting": StatusView("Restarting", "bad", "Its container ends and is started again"),
    "degraded": StatusView("Degraded", "bad", "Not every replica runs"),
}


SERVER_STATUSES = {
    ServerStatus.NEW: StatusView("Not checked", "idle", "Nobody has tried to make it usable yet"),
    ServerStatus.PROVISIONING: StatusView("Setting up", "busy"),
    ServerStatus.USABLE: StatusView("Usable", "good"),
    ServerStatus.NOT_USABLE: StatusView("Not usable", "bad"),
    ServerStatus.UNREACHABLE: StatusView("Unreachable", "bad", "What runs there goes on, but cannot be seen"),
    ServerStatus.HOST_KEY_CHANGED: StatusView("Host key changed", "bad", "Nothing goes there until you look"),
    ServerStatus.REMOVING: StatusView("Removing", "busy"),
}


def server_status(server: Server) -> StatusView:
    """How a server stands."""
    return SERVER_STATUSES[ServerStatus(server.status)]


def deployment_status(deployment: Deployment) -> StatusView:
    """How a deployment stands."""
    return DEPLOYMENT_STATUSES[DeploymentStatus(deployment.status)]


def application_status(
    application: Application, runtime_status: str, latest: Deployment | None
) -> StatusView:
    """How an application stands: what is being done to it, or else what runs."""
    if latest is not None and latest.status == DeploymentStatus.IN_PROGRESS:
        hint = "What ran before keeps serving meanwhile" if application.current_deployment_id else ""
        return StatusView(UNDER_WAY_LABELS[OperationKind(latest.kind)], "busy", hint)
    if latest is not None and latest.status == DeploymentStatus.QUEUED:
        return DEPLOYMENT_STATUSES[DeploymentStatus.QUEUED]
    match application.desired_state:
        case DesiredState.NEVER_DEPLOYED:
            return StatusView("Not deployed", "idle")
    return _running_status(application, runtime_status)


def _running_status(application: Application, runtime_status: str) -> StatusView:
    state = runtime_status.partition(":")[0]
    if state == "exited":
        stopped = application.desired_state == DesiredState.STOPPED
        return (
            StatusView("Stopped", "idle")
            if stopped
            else StatusView("Exited", "bad", "It should run, but does not")
        )
    return RUNTIME_STATUSES.get(runtime_status) or RUNTIME_STATUSES.get(state) or UNKNOWN


def version_of(deployment: Deployment) -> str:
    """The commit, or the tag or digest of a prebuilt image."""
    if deployment.commit:
        return short_commit(deployment.commit)
    if deployment.image:
        _, tag = _split_image(deployment.image)
        return tag
    return short_commit(deployment.requested_commit) if deployment.requested_commit != "HEAD" else ""


def _split_image(reference: str) -> tuple[str, str]:
    try:
        image = parse_image_reference(reference)
    except InvalidInput:
        return reference, ""
    return image.name, image.digest.removeprefix("sha256:")[:12] if image.digest else image.tag


def summary_of(deployment: Deployment) -> str:
    """What it was about, on one line."""
    kind = OperationKind(deployment.kind)
    if kind is OperationKind.SCALE and deployment.replicas is not None:
        return f"Scale to {deployment.replicas} replica{'' if deployment.replicas == 1 else 's'}"
    subject = deployment.commit_message.strip().splitlines()[:1]
    if kind in (OperationKind.DEPLOY, OperationKind.ROLLBACK) and subject:
        return subject[0]
    if kind is OperationKind.DEPLOY:
        return _split_image(deployment.image)[0] if deployment.image and not deployment.commit else "Deploy"
    return KIND_LABELS[kind]
