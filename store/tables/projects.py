"""Projects and their environments."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now


class Project(SQLModel, table=True):
    """A group of environments of one team."""

    __tablename__ = "project"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(foreign_key="team.id", index=True)
    name: str
    description: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Environment(SQLModel, table=True):
    """`production`, `staging` and the like, within a project."""

    __tablename__ = "environment"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    project_id: str = Field(foreign_key="project.id", index=True)
    name: str
    description: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
