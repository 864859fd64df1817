"""What workflows and activities say to each other: ids and facts, never secrets.

These are wire formats that histories keep: they grow by fields with defaults, and nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.deployments import DeploymentStatus, OperationKind, Step, StepName


class Message(BaseModel):
    """An immutable message."""

    model_config = ConfigDict(frozen=True)


class Command(Message):
    """One wish for an application; it becomes the deployment with this id."""

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
    requested_by: str = ""
    trigger: str = "api"
    requested_at: datetime | None = None


class CommandReceipt(Message):
    """What became of a command: where it stands in the queue and which commands it replaced."""

    deployment_id: str
    position: int
    running_deployment_id: str | None = None
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


class StepReference(Message):
    """The line of the progress that an activity works for; with `undo`, that it takes back."""

    deployment_id: str
    name: StepName
    server: str
    undo: bool = False


class StepInput(Message):
    """What every activity of a step needs. Activities load the rest from the store by these ids."""

    step: StepReference
    application_id: str
    server_id: str = ""


class StepOutcome(Message):
    """What every activity of a step answers."""

    message: str = ""
    skipped: bool = False


class PlannedServer(Message):
    """A server that the release runs on."""

    id: str
    name: str


class ReleasePlan(Message):
    """The facts that steer a deployment, read once at its beginning."""

    servers: tuple[PlannedServer, ...]
    steps: tuple[Step, ...]
    release_id: str
    previous_deployment_id: str | None = None
    previous_release_id: str | None = None
    starts: bool = True
    builds: bool = True
    stop_first: bool = False
    replicas: int = 1
    previous_replicas: int = 0
    drain: timedelta = timedelta(seconds=30)
    stop_grace: timedelta = timedelta(seconds=30)
    health_limit: timedelta = timedelta(minutes=10)
    command_limit: timedelta = timedelta(minutes=10)
    build_limit: timedelta = timedelta(hours=1)
    git_reference: str = ""


class RunStep(StepInput):
    """A step that needs nothing but its ids."""

    release_id: str


class ResolvedSource(StepOutcome):
    """The commit and the name of its image; `image_present` tells whether it needs no build."""

    commit: str = ""
    image: str = ""
    image_present: bool = False


class BuildImage(StepInput):
    """Build this commit under this name."""

    commit: str
    image: str


class BuiltImage(StepOutcome):
    """The image by name and by the engine's id."""

    image: str = ""
    image_id: str = ""


class ReplicaSelection(StepInput):
    """Replicas of one release: numbers `first` to `last`, both included, counted from 1."""

    release_id: str
    first: int = 1
    last: int = 1


class ApplyRoutes(StepInput):
    """Send traffic to these replicas with the routes of `deployment_id`'s configuration.

    Without `release_id` the application has no route any more.
    """

    configuration_of: str | None = None
    release_id: str | None = None
    replicas: int = 0


class DrainReplicas(ReplicaSelection):
    """Wait until nobody is connected to these replicas, at most until the deadline."""

    deadline: datetime


class StopReplicas(ReplicaSelection):
    """Stop these replicas, each within its grace; with `remove`, remove them too."""

    remove: bool = True


class BeginDeployment(Message):
    """Record the start of a command."""

    command: Command


class RecordRelease(Message):
    """This release serves now (or, for a stop, nothing does)."""

    command: Command
    release_id: str | None


class FinishDeployment(Message):
    """Record the one final state."""

    command: Command
    status: DeploymentStatus
    steps: tuple[Step, ...] = ()
    error_code: str = ""
    error_message: str = ""
    error_detail: str = ""
    superseded_by: str | None = None


class Nothing(Message):
    """An answer without content."""


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
