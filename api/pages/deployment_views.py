"""Deployments as the pages show them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from urllib.parse import quote

from api.context import ApiContext
from api.pages.views import (
    DeploymentRow,
    DeploymentView,
    LinkView,
    LogBlock,
    LogLineView,
    OutcomeView,
    StepView,
)
from api.pages.visitors import Visitor
from api.pages.wording import KIND_LABELS, deployment_status, summary_of, version_of
from domain.deployments import STEP_TITLES, DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.release_planning import is_past_return
from store.tables import Deployment, LogLine
from ui.formats import duration
from workflows import names

LINES_PER_BLOCK = 200
WHAT_NOW = "What ran before is untouched. Mend the cause and deploy again."
REPLACED = "It went into service; a later operation has replaced it."
NOTHING_BEFORE = "Nothing of it was left behind. Mend the cause and deploy again."


def deployment_row(
    deployment: Deployment,
    *,
    current_id: str | None = None,
    kept: Collection[str] = (),
    may_deploy: bool = False,
) -> DeploymentRow:
    """One line of a list. `kept` are the deployments that can be gone back to."""
    is_open = not DeploymentStatus(deployment.status).is_final
    return DeploymentRow(
        id=deployment.id,
        url=f"/deployments/{deployment.id}",
        kind_label=KIND_LABELS[OperationKind(deployment.kind)],
        status=deployment_status(deployment),
        version=version_of(deployment),
        summary=summary_of(deployment),
        branch=deployment.branch,
        requested_by=deployment.requested_by,
        at=deployment.requested_at,
        seconds=_seconds(deployment),
        running_since=deployment.started_at if is_open else None,
        is_current=deployment.id == current_id,
        may_cancel=may_deploy and is_open,
        may_roll_back=may_deploy and _may_roll_back(deployment, current_id, kept),
    )


def deployment_view(
    context: ApiContext,
    visitor: Visitor,
    deployment: Deployment,
    steps: Sequence[Step],
    *,
    current_id: str | None,
    kept: Collection[str],
) -> DeploymentView:
    """The deployment on its own page."""
    is_open = not DeploymentStatus(deployment.status).is_final
    summary = summary_of(deployment)
    label = KIND_LABELS[OperationKind(deployment.kind)]
    return DeploymentView(
        id=deployment.id,
        url=f"/deployments/{deployment.id}",
        title=summary if summary.startswith(label) else f"{label}: {summary}",
        status=deployment_status(deployment),
        version=version_of(deployment),
        branch=deployment.branch,
        requested_by=deployment.requested_by or "Seaway",
        trigger=deployment.trigger,
        at=deployment.requested_at,
        seconds=_seconds(deployment),
        running_since=deployment.started_at if is_open else None,
        workflow_url=_workflow_url(context, deployment),
        outcome=_outcome(deployment, steps, current_id, with_evidence=visitor.sees_secrets),
        steps=_step_views(steps),
        progress=_progress(steps),
        waiting=_waiting(deployment),
        is_open=is_open,
        may_cancel=visitor.may_deploy and is_open and not is_past_return(steps),
        may_roll_back=visitor.may_deploy and _may_roll_back(deployment, current_id, kept),
    )


def log_blocks(lines: Iterable[LogLine], *, servers: int) -> tuple[LogBlock, ...]:
    """The lines under the names of their steps, in the order in which they were written."""
    blocks: list[LogBlock] = []
    number = 0
    for (step, server, attempt), group in groupby(lines, lambda line: (line.step, line.server, line.attempt)):
        numbered = [LogLineView(number := number + 1, line.text) for line in group]
        heading = step_heading(step, server if servers > 1 else "", attempt)
        for start in range(0, len(numbered), LINES_PER_BLOCK):
            part = tuple(numbered[start : start + LINES_PER_BLOCK])
            blocks.append(LogBlock(f"{step}@{server}", heading if start == 0 else "", attempt, part))
    return tuple(blocks)


def step_heading(step: str, server: str, attempt: int) -> str:
    """The name of a step above its lines."""
    title = STEP_TITLES[StepName(step)] if step in set(StepName) else step
    return title + (f" on {server}" if server else "") + (f", attempt {attempt}" if attempt > 1 else "")


def _seconds(deployment: Deployment) -> float | None:
    if deployment.started_at is None or deployment.finished_at is None:
        return None
    return (deployment.finished_at - deployment.started_at).total_seconds()


def _may_roll_back(deployment: Deployment, current_id: str | None, kept: Collection[str]) -> bool:
    return deployment.id in kept and deployment.id != current_id


def _workflow_url(context: ApiContext, deployment: Deployment) -> str:
    settings = context.settings
    if not settings.temporal_ui_url:
        return ""
    # A deployment that was refused in the queue has no workflow of its own; the queue tells about it.
    started = deployment.started_at is not None
    workflow_id = (
        names.deployment_workflow_id(deployment.id)
        if started
        else names.application_workflow_id(deployment.application_id)
    )
    base = settings.temporal_ui_url.rstrip("/")
    namespace = quote(settings.temporal_namespace, safe="")
    return f"{base}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"


def _outcome(
    deployment: Deployment, steps: Sequence[Step], current_id: str | None, *, with_evidence: bool
) -> OutcomeView | None:
    match DeploymentStatus(deployment.status):
        case DeploymentStatus.FINISHED:
            return _success(deployment, current_id, with_evidence=with_evidence)
        case DeploymentStatus.FAILED:
            failed = next((step.title for step in steps if step.status is StepStatus.FAILED), "")
            return OutcomeView(
                "bad",
                f"Failed at: {failed}" if failed else "The deployment failed",
                deployment.error_message,
                WHAT_NOW if current_id else NOTHING_BEFORE,
                deployment.error_detail if with_evidence else "",
            )
        case DeploymentStatus.CANCELLED:
            return OutcomeView("idle", "Cancelled. What it had done was undone.", deployment.error_message)
        case DeploymentStatus.SUPERSEDED:
            links = (
                (LinkView("Open the newer deployment", f"/deployments/{deployment.superseded_by}"),)
                if deployment.superseded_by
                else ()
            )
            return OutcomeView("idle", "A newer deployment took its place before it began.", links=links)
    return None


def _success(deployment: Deployment, current_id: str | None, *, with_evidence: bool) -> OutcomeView:
    took = duration(_seconds(deployment))
    taken = f"It took {took}." if took else ""
    match OperationKind(deployment.kind):
        case OperationKind.STOP:
            return OutcomeView("good", "The application is stopped.", taken)
        case OperationKind.DELETE:
            return OutcomeView("good", "The application is deleted.", taken)
    if deployment.note:
        title = "This version serves, but not on all servers." if deployment.id == current_id else REPLACED
        evidence = deployment.error_detail if with_evidence else ""
        return OutcomeView("busy", title, deployment.note, taken, evidence)
    if deployment.id == current_id:
        return OutcomeView("good", "This version serves.", taken)
    return OutcomeView("good", REPLACED, taken)


def _step_views(steps: Sequence[Step]) -> tuple[StepView, ...]:
    has_several_servers = len({step.server for step in steps}) > 1
    return tuple(
        StepView(
            key=f"{step.name}@{step.server}",
            title=step.title,
            server=step.server if has_several_servers else "",
            status=step.status.value,
            attempt=step.attempt,
            message=step.message,
            seconds=(step.finished_at - step.started_at).total_seconds()
            if step.started_at and step.finished_at
            else None,
            running_since=step.started_at if step.status is StepStatus.RUNNING else None,
        )
        for step in steps
    )


def _progress(steps: Sequence[Step]) -> str:
    over = sum(step.status not in (StepStatus.PENDING, StepStatus.RUNNING) for step in steps)
    return f"{over} of {len(steps)}" if steps else ""


def _waiting(deployment: Deployment) -> str:
    if deployment.status == DeploymentStatus.QUEUED:
        return "Its steps will be listed here as soon as what is before it in the queue is done."
    return "It never began, so it has no steps."
