"""Machines, and the keys that open machines and repositories."""

from datetime import datetime

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.deployments import StepStatus
from domain.identifiers import new_identifier
from domain.servers import ServerStatus
from store.columns import Message, UtcDateTime, now


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
    __table_args__ = (UniqueConstraint("team_id", "name", name="uq_server_team_name"),)

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
    status: str = ServerStatus.NEW
    status_message: str = Field(default="", sa_type=Message)
    host_key: str = ""
    """The pinned key, as in `known_hosts` without the name; empty before anyone has accepted one."""
    shown_host_key: str = ""
    """What the server showed instead of the pinned key; a person accepts it or finds out."""
    jump_server_id: str | None = None
    is_build_server: bool = False
    is_swarm_manager: bool = False
    """Applications on it are services of its Docker Swarm."""
    is_swarm_worker: bool = False
    """Gets the images of applications on managers of its Swarm, and no application of its own."""
    concurrent_builds: int = 2
    build_cpu_percent: int | None = None
    """How much of its processors builds may use; 0 is no limit, None what the settings say."""
    build_memory_percent: int | None = None
    system: str = ""
    architecture: str = ""
    engine_version: str = ""
    processors: int = 0
    memory_bytes: int = Field(default=0, sa_type=BigInteger)
    data_folder: str = ""
    """Seaway's folder on the server, absolute; empty until it has been made."""
    checked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unsettled_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When a deployment gave something up there last; None once that is settled."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ServerStep(SQLModel, table=True):
    """One step of making a server usable, as it went the last time."""

    __tablename__ = "server_step"
    __table_args__ = (UniqueConstraint("server_id", "name"),)

    id: str = Field(default_factory=new_identifier, primary_key=True)
    server_id: str = Field(foreign_key="server.id", index=True)
    position: int
    name: str
    status: str = StepStatus.PENDING
    attempt: int = 0
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    message: str = Field(default="", sa_type=Message)
    detail: str = ""
