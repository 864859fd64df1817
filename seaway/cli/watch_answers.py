"""What the API answers about what servers and replicas use, and what happened to them."""

from __future__ import annotations

from datetime import datetime

from seaway.cli.answers import Answer


class ServerUse(Answer):
    """What a server used; see the API for the units."""

    cpu_percent: float
    memory_bytes: float
    disk_bytes: float
    load: float


class ServerPoint(Answer):
    """What a server used during one step."""

    at: datetime
    memory_total_bytes: int
    disk_total_bytes: int
    average: ServerUse
    maximum: ServerUse


class ServerMetrics(Answer):
    """What a server used, in steps."""

    step_seconds: int
    points: tuple[ServerPoint, ...]


class ReplicaUse(Answer):
    """What a replica used; see the API for the units."""

    cpu_percent: float
    memory_bytes: float
    received_bytes_per_second: float = 0.0
    sent_bytes_per_second: float = 0.0


class ReplicaPoint(Answer):
    """What a replica used during one step."""

    at: datetime
    average: ReplicaUse
    maximum: ReplicaUse


class ReplicaMetrics(Answer):
    """What one replica used, in steps; without a state it is gone."""

    server_uuid: str
    replica: str
    state: str | None = None
    points: tuple[ReplicaPoint, ...]


class ApplicationMetrics(Answer):
    """What the replicas of an application used."""

    step_seconds: int
    replicas: tuple[ReplicaMetrics, ...]


class ServerReplica(Answer):
    """A replica on a server, with what it uses now, if that is known."""

    replica: str
    application_name: str
    state: str
    use: ReplicaUse | None = None


class RecordedEvent(Answer):
    """Something that happened to a server."""

    uuid: str = ""
    server_uuid: str = ""
    kind: str
    at: datetime
    message: str


class AuditEvent(Answer):
    """Something that somebody did."""

    at: datetime
    actor: str
    action: str
    resource_kind: str
    resource_uuid: str
    summary: str
