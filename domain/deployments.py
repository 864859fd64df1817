"""The words for a deployment: what kind it is, how it stands, and its steps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class OperationKind(StrEnum):
    """Everything that changes what runs is one operation in the application's queue."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RESTART = "restart"
    START = "start"
    SCALE = "scale"
    STOP = "stop"
    DELETE = "delete"


class DeploymentStatus(StrEnum):
    """The states of a deployment; the values are those that clients of Coolify's API know."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled-by-user"
    SUPERSEDED = "superseded"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state."""
        return self not in (DeploymentStatus.QUEUED, DeploymentStatus.IN_PROGRESS)


class StepName(StrEnum):
    """The steps of a release, in the order in which they run."""

    RESOLVE_SOURCE = "resolve_source"
    BUILD = "build"
    PUSH = "push"
    DISTRIBUTE = "distribute"
    PRE_DEPLOY = "pre_deploy"
    RELEASE_COMMAND = "release_command"
    START = "start"
    HEALTH = "health"
    SWITCH = "switch"
    EDGE = "edge"
    POST_DEPLOY = "post_deploy"
    DRAIN = "drain"
    STOP_OLD = "stop_old"
    PUBLISH = "publish"
    CLEAN_UP = "clean_up"


STEP_TITLES: dict[StepName, str] = {
    StepName.RESOLVE_SOURCE: "Resolve source",
    StepName.BUILD: "Build image",
    StepName.PUSH: "Push image to registry",
    StepName.DISTRIBUTE: "Send image to servers",
    StepName.PRE_DEPLOY: "Pre-deploy command",
    StepName.RELEASE_COMMAND: "Release command",
    StepName.START: "Start new replicas",
    StepName.HEALTH: "Check health",
    StepName.SWITCH: "Switch traffic",
    StepName.EDGE: "Spread traffic at the edge",
    StepName.POST_DEPLOY: "Post-deploy command",
    StepName.DRAIN: "Drain old version",
    StepName.STOP_OLD: "Stop old version",
    StepName.PUBLISH: "Tag image in registry",
    StepName.CLEAN_UP: "Clean up",
}


class StepStatus(StrEnum):
    """How one step stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    COMPENSATED = "compensated"
    SKIPPED = "skipped"


class Step(BaseModel):
    """One line of a deployment's progress, the same in the query, the database, the API and the pages."""

    model_config = ConfigDict(frozen=True)

    name: StepName
    server: str
    status: StepStatus = StepStatus.PENDING
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    message: str = ""

    @property
    def title(self) -> str:
        """The step's name for people."""
        return STEP_TITLES[self.name]
