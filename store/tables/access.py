"""Who may do what: teams, their members and tokens."""

from datetime import datetime

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now


class Team(SQLModel, table=True):
    """Everything belongs to one team."""

    __tablename__ = "team"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    name: str
    description: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class User(SQLModel, table=True):
    """A person who logs in. The password is an Argon2 hash."""

    __tablename__ = "user_account"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    email: str = Field(unique=True, index=True)
    name: str = ""
    password_hash: str
    session_epoch: int = Field(default=0, description="Raising it ends every session of this user.")
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Membership(SQLModel, table=True):
    """A user's place in a team: owner, admin or member."""

    __tablename__ = "membership"

    team_id: str = Field(foreign_key="team.id", primary_key=True)
    user_id: str = Field(foreign_key="user_account.id", primary_key=True)
    role: str = "member"


class ApiToken(SQLModel, table=True):
    """A bearer token of a team; only its SHA-256 is kept."""

    __tablename__ = "api_token"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(foreign_key="team.id", index=True)
    user_id: str = Field(foreign_key="user_account.id")
    name: str
    secret_hash: str
    abilities: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
