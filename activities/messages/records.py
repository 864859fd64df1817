"""What is written down of a deployment, and what it tells of itself."""

from __future__ import annotations

from activities.messages.commands import Command
from activities.messages.message import Message
from activities.messages.plans import Served
from domain.deployments import DeploymentStatus, Step, StepName


class BeginDeployment(Message):
    """Record the start of a command."""

    command: Command


class LeaveOutServer(Message):
    """Record that a release goes on without this server, which failed in a step; both by their names.

    What only that server was to do, `instead` does.
    """

    deployment_id: str
    server: str
    instead: str
    failed: StepName
    message: str


class RecordRelease(Message):
    """This is what serves now; None means nothing does, because the application was stopped."""

    command: Command
    serve: Served | None


class FinishDeployment(Message):
    """Record the one final state."""

    command: Command
    status: DeploymentStatus
    steps: tuple[Step, ...] = ()
    error_code: str = ""
    error_message: str = ""
    error_detail: str = ""
    superseded_by: str | None = None
    note: str = ""
    """What there is to know about one that has finished: which servers it left out."""


class ForgetApplication(Message):
    """Remove every row of a deleted application."""

    application_id: str


class DeploymentResult(Message):
    """How a deployment ended."""

    deployment_id: str
    status: DeploymentStatus


class Progress(Message):
    """Where a deployment stands: the answer of the query `progress`."""

    deployment_id: str
    status: DeploymentStatus
    steps: tuple[Step, ...] = ()
    cancellable: bool = True
