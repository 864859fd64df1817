"""Logins for image registries."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now

OF_THE_TEAM = text("project_id IS NULL")


class Registry(SQLModel, table=True):
    """What opens a registry, sealed: for the whole team or, if named, for one of its projects."""

    __tablename__ = "registry"
    __table_args__ = (
        Index(
            "ix_registry_of_team",
            "team_id",
            "host",
            unique=True,
            sqlite_where=OF_THE_TEAM,
            postgresql_where=OF_THE_TEAM,
        ),
        Index("ix_registry_of_project", "project_id", "host", unique=True),
    )

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(foreign_key="team.id", index=True)
    project_id: str | None = Field(default=None, foreign_key="project.id")
    name: str
    host: str
    username: str
    password_sealed: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
