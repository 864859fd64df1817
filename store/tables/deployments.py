"""Deployments, their steps and their logs."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.builders import BuildState
from domain.deployments import DeploymentStatus, OperationKind, StepStatus
from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now

_LogId = BigInteger().with_variant(Integer(), "sqlite")


class Deployment(SQLModel, table=True):
    """One operation on an application, from the request to its one final state.

    `release_id` names the containers that this operation brought into service: its own id, or, for
    a scaling, the id of the release that was scaled. `snapshot_sealed` is the whole configuration.
    `pushed_image` is where the image is in a registry, by its digest.
    """

    __tablename__ = "deployment"
    __table_args__ = (Index("ix_deployment_application_requested", "application_id", "requested_at"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    application_id: str = Field(foreign_key="application.id", index=True)
    kind: str = OperationKind.DEPLOY
    status: str = Field(default=DeploymentStatus.QUEUED, index=True)
    requested_by: str = ""
    trigger: str = "api"
    branch: str = ""
    requested_commit: str = ""
    commit: str = ""
    commit_message: str = ""
    force_rebuild: bool = False
    target_deployment_id: str | None = None
    replicas: int | None = None
    delete_volumes: bool = False
    release_id: str | None = None
    image: str = ""
    image_id: str = ""
    build_server_id: str | None = Field(default=None, index=True)
    """Where it is built or waits to be, or was; see `BuildState`."""
    build_state: str = BuildState.NONE
    repository_key: str = Field(default="", index=True)
    """A fingerprint of the team and the repository that it was built from."""
    pushed_image: str = ""
    snapshot_sealed: str | None = None
    configuration_hash: str = ""
    superseded_by: str | None = None
    note: str = ""
    """What there is to know about one that has finished."""
    error_code: str = ""
    error_message: str = ""
    error_detail: str = ""
    requested_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    serving_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DeletedApplication(SQLModel, table=True):
    """An application that is being deleted, or was, on a server that may still have something of it.

    Looks at the server take it away from `since` on, clean-ups at once.
    """

    __tablename__ = "deleted_application"

    server_id: str = Field(primary_key=True)
    application_id: str = Field(primary_key=True)
    delete_volumes: bool = False
    since: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ServerRelease(SQLModel, table=True):
    """Which release of an application a server has; one that has none has no row.

    No foreign key to the server: the row of one that was removed tells until the next release that the
    application's current release was there and nowhere else.
    """

    __tablename__ = "server_release"

    application_id: str = Field(foreign_key="application.id", primary_key=True)
    server_id: str = Field(primary_key=True)
    deployment_id: str
    """The deployment whose configuration and number of replicas it has."""
    release_id: str
    since: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DeploymentStep(SQLModel, table=True):
    """One step of a deployment on one server."""

    __tablename__ = "deployment_step"
    __table_args__ = (UniqueConstraint("deployment_id", "name", "server"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    deployment_id: str = Field(foreign_key="deployment.id", index=True)
    position: int
    name: str
    server: str
    status: str = StepStatus.PENDING
    attempt: int = 0
    message: str = ""
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LogLine(SQLModel, table=True):
    """One line of a deployment's log. Ids only grow, so a reader goes on after the last one it saw."""

    __tablename__ = "log_line"
    __table_args__ = (
        Index("ix_log_line_deployment_id", "deployment_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(_LogId, primary_key=True, autoincrement=True))
    deployment_id: str = Field(foreign_key="deployment.id")
    step: str
    server: str
    attempt: int = 1
    text: str
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
