"""Waits for an operation, says how it ended, and turns that into an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.deployments import DeploymentStatus
from domain.errors import NotFound
from seaway.cli.exit_codes import ExitCode
from seaway.cli.live import view_for
from seaway.cli.output import Output, duration, plain
from seaway.cli.watch import DeploymentWatch

if TYPE_CHECKING:
    from seaway.cli.answers import Application, Deployment, Receipt
    from seaway.cli.session import Session

_DONE = {
    "deploy": "{name} is deployed",
    "rollback": "{name} is rolled back",
    "restart": "{name} has restarted",
    "start": "{name} runs",
    "scale": "{name} is scaled",
    "stop": "{name} is stopped",
    "delete": "{name} is deleted",
}
_EXIT = {
    DeploymentStatus.FINISHED: ExitCode.SUCCESS,
    DeploymentStatus.FAILED: ExitCode.FAILED,
    DeploymentStatus.CANCELLED: ExitCode.REPLACED,
    DeploymentStatus.SUPERSEDED: ExitCode.REPLACED,
}


def exit_code_of_status(status: DeploymentStatus) -> ExitCode:
    """The exit code for a final state."""
    return _EXIT[status]


def conclude(
    session: Session, application: Application, receipt: Receipt, *, wait: bool, kind: str
) -> ExitCode:
    """Says that the operation was taken, or follows it to its end and says how it ended."""
    output, uuid = session.output, receipt.deployment_uuid
    if not wait:
        output.show(receipt.document(), lambda: _say_taken(output, receipt))
        return ExitCode.SUCCESS
    try:
        deployment = follow(session, uuid)
    except NotFound:
        if kind != "delete":
            raise
        # The record of a deletion goes with the application that it deleted.
        gone = {**receipt.document(), "status": DeploymentStatus.FINISHED.value}
        output.show(gone, lambda: output.say(f"✓ {application.name} is deleted", "green"))
        return ExitCode.SUCCESS
    output.show(deployment.document(), lambda: explain(output, application, deployment, kind))
    return _EXIT[deployment.state]


def follow(session: Session, deployment_uuid: str) -> Deployment:
    """Shows a deployment until its end. Ctrl-C leaves it running and says how to cancel it."""
    watch = DeploymentWatch(session.client, deployment_uuid)
    output = session.output
    try:
        with view_for(output.console, watch.progress, as_json=output.as_json) as view:
            return watch.follow(view.tell)
    except KeyboardInterrupt:
        output.notes.print(
            f"Interrupted. The deployment goes on; `seaway cancel {deployment_uuid}` cancels it, "
            f"`seaway logs --build {deployment_uuid} -f` shows it again.",
            markup=False,
            highlight=False,
        )
        raise


def explain(output: Output, application: Application, deployment: Deployment, kind: str) -> None:
    """The last lines: what happened and where it serves, or what went wrong and what to do."""
    match deployment.state:
        case DeploymentStatus.FINISHED:
            _explain_success(output, application, deployment, kind)
        case DeploymentStatus.FAILED:
            _explain_failure(output, application, deployment, kind)
        case DeploymentStatus.SUPERSEDED:
            by = f" by {deployment.superseded_by}" if deployment.superseded_by else " by a newer one"
            output.say(
                f"Superseded{by}, before it began. Nothing is lost: the newer one does its work.", "yellow"
            )
        case _:
            output.say("Cancelled. What ran before still runs.", "yellow")


def _explain_success(output: Output, application: Application, deployment: Deployment, kind: str) -> None:
    words = _DONE.get(kind, "{name}: done").format(name=application.name)
    at = (
        f" at {deployment.short_commit}" if deployment.short_commit and kind in ("deploy", "rollback") else ""
    )
    took = f" in {duration(deployment.seconds)}" if deployment.seconds is not None else ""
    output.say(f"✓ {words}{at}{took}", "green")
    if deployment.note:
        output.say(f"  {plain(deployment.note)}", "yellow")
    if kind not in ("stop", "delete"):
        for url in application.urls:
            output.say(f"  {url}")


def _explain_failure(output: Output, application: Application, deployment: Deployment, kind: str) -> None:
    output.say(f"✗ The {kind} of {application.name} failed", "bold red")
    error = deployment.error
    if error is not None:
        output.say(f"  {plain(error.message)}")
        for line in plain(error.detail or "").splitlines():
            output.say(f"  | {line}", "dim")
    output.say(f"  Whole log: seaway logs --build {deployment.deployment_uuid}")
    if deployment.workflow_url:
        output.say(f"  Workflow:  {deployment.workflow_url}")


def _say_taken(output: Output, receipt: Receipt) -> None:
    output.say(receipt.message or "Queued.")
    output.say(f"  Deployment {receipt.deployment_uuid}")
    output.say(f"  Follow it with: seaway logs --build {receipt.deployment_uuid} -f", "dim")
