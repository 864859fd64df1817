"""Applications, their variables and the domains they hold."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now


class DesiredState(StrEnum):
    """What its owner last asked for."""

    NEVER_DEPLOYED = "never_deployed"
    RUNNING = "running"
    STOPPED = "stopped"


class Application(SQLModel, table=True):
    """One application. Its configuration is a sealed JSON document, because parts of it are secret.

    `written_sealed` is how the writer spelled fields that we would show in another spelling.
    """

    __tablename__ = "application"
    __table_args__ = (UniqueConstraint("environment_id", "name"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(foreign_key="team.id", index=True)
    environment_id: str = Field(foreign_key="environment.id", index=True)
    name: str
    description: str = ""
    configuration_sealed: str
    written_sealed: str = ""
    desired_state: str = DesiredState.NEVER_DEPLOYED
    current_deployment_id: str | None = Field(default=None, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Variable(SQLModel, table=True):
    """An environment variable of an application, sealed."""

    __tablename__ = "environment_variable"
    __table_args__ = (UniqueConstraint("application_id", "key", "is_preview"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    application_id: str = Field(foreign_key="application.id", index=True)
    key: str
    value_sealed: str
    is_preview: bool = False
    is_runtime: bool = True
    is_buildtime: bool = True
    is_build_secret: bool = False
    is_literal: bool = False
    is_multiline: bool = False
    is_shown_once: bool = False
    comment: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ClaimedDomain(SQLModel, table=True):
    """A host and path that one application holds, because it is configured or still released with it.

    The unique constraint is what makes two applications on one address impossible, whoever is first.
    """

    __tablename__ = "claimed_domain"
    __table_args__ = (UniqueConstraint("host", "path"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    application_id: str = Field(foreign_key="application.id", index=True)
    host: str
    path: str = "/"
    is_configured: bool = True
    is_released: bool = False
