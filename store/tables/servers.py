"""Machines, and the keys that open machines and repositories."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import UtcDateTime, now


class PrivateKey(SQLModel, table=True):
    """An SSH private key, sealed."""

    __tablename__ = "private_key"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(foreign_key="team.id", index=True)
    name: str
    description: str = ""
    private_key_sealed: str
    public_key: str = ""
    fingerprint: str = ""
    is_git_related: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Server(SQLModel, table=True):
    """A machine with a Docker Engine. `is_local` is the one that the worker itself runs on."""

    __tablename__ = "server"

    id: str = Field(default_factory=new_identifier, primary_key=True)
    team_id: str = Field(foreign_key="team.id", index=True)
    name: str
    description: str = ""
    address: str = "127.0.0.1"
    port: int = 22
    user: str = "root"
    private_key_id: str | None = Field(default=None, foreign_key="private_key.id")
    is_local: bool = False
    wildcard_domain: str = ""
    is_reachable: bool = False
    is_usable: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
