"""What an application's workflow is asked for, and what it answers."""

from __future__ import annotations

from datetime import datetime

from activities.messages.message import Message
from domain.deployments import OperationKind


class Command(Message):
    """One wish for an application; it becomes the deployment with this id.

    `without_server_id` is a server that is gone for good, of which nothing is asked any more.
    """

    deployment_id: str
    application_id: str
    kind: OperationKind
    team_id: str = ""
    project_id: str = ""
    branch: str = ""
    commit: str = ""
    force: bool = False
    target_deployment_id: str | None = None
    replicas: int | None = None
    delete_volumes: bool = False
    without_server_id: str = ""
    requested_by: str = ""
    trigger: str = "api"
    requested_at: datetime | None = None


class CommandReceipt(Message):
    """What became of a command: where it stands in the queue and which commands it replaced."""

    deployment_id: str
    position: int
    running_deployment_id: str | None = None
    after_deployment_id: str | None = None
    superseded: tuple[str, ...] = ()
    repeated: bool = False


class CancelRequest(Message):
    """The wish to end one deployment."""

    deployment_id: str
    requested_by: str = ""


class CancelReceipt(Message):
    """Whether the deployment was there to be cancelled."""

    deployment_id: str
    was_queued: bool = False
    was_running: bool = False
