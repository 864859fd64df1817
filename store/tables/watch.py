"""Who watches a server, how it was found the last time, and what happened to it."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from domain.identifiers import new_identifier
from store.columns import Message, UtcDateTime, now


class ServerWatch(SQLModel, table=True):
    """The lease of the one process that watches the server, and what was told of it last."""

    __tablename__ = "server_watch"

    server_id: str = Field(primary_key=True)
    owner: str = ""
    expires_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    is_reachable: bool = True
    is_disk_above: bool = False


class ServerEvent(SQLModel, table=True):
    """One change that people want to be told of. `subject` is the replica or the disk that it is about."""

    __tablename__ = "server_event"
    __table_args__ = (Index("ix_server_event_server_id", "server_id", "at"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    server_id: str
    kind: str
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    message: str = Field(sa_type=Message)
    application_id: str = ""
    subject: str = ""


class ReplicaStanding(SQLModel, table=True):
    """How a replica stood when its server was looked at last, and since when it was seen so."""

    __tablename__ = "replica_standing"

    server_id: str = Field(primary_key=True)
    replica: str = Field(primary_key=True)
    application_id: str = Field(index=True)
    state: str
    since: datetime = Field(default_factory=now, sa_type=UtcDateTime)
