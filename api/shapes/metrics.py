"""What servers and replicas use, and what happened to servers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from pydantic import Field

from api.shapes.answers import Answer
from api.shown_replicas import ShownReplica
from domain.metrics import Point
from domain.replica_states import ReplicaState
from domain.server_events import ServerEventKind
from store.metrics import Subject
from store.tables import ServerEvent


class ServerUse(Answer):
    """What a server used."""

    cpu_percent: float = Field(description="Of all its processors together: 0 to 100.")
    memory_bytes: float = Field(description="Without what the kernel gives back when it is asked for.")
    disk_bytes: float = Field(description="Of the fullest of the disks with data of Seaway or the engine.")
    load: float = Field(description="Processes that ran or waited, on average over a minute.")


class ReplicaUse(Answer):
    """What a replica used."""

    cpu_percent: float = Field(description="Of one processor: 200 is two of them busy.")
    memory_bytes: float
    received_bytes_per_second: float
    sent_bytes_per_second: float


class ServerPoint(Answer):
    """What a server used during one step, which began `at`."""

    at: datetime
    samples: int
    memory_total_bytes: int
    disk_total_bytes: int
    average: ServerUse
    maximum: ServerUse

    @classmethod
    def of(cls, point: Point) -> Self:
        """The answer for a point."""
        return cls(
            at=_moment(point),
            samples=point.samples,
            memory_total_bytes=point.memory_total_bytes,
            disk_total_bytes=point.disk_total_bytes,
            average=ServerUse.model_validate(point.average),
            maximum=ServerUse.model_validate(point.maximum),
        )


class ReplicaPoint(Answer):
    """What a replica used during one step, which began `at`."""

    at: datetime
    samples: int
    memory_limit_bytes: int
    average: ReplicaUse
    maximum: ReplicaUse

    @classmethod
    def of(cls, point: Point) -> Self:
        """The answer for a point."""
        return cls(
            at=_moment(point),
            samples=point.samples,
            memory_limit_bytes=point.memory_total_bytes,
            average=ReplicaUse.model_validate(point.average),
            maximum=ReplicaUse.model_validate(point.maximum),
        )


class Steps(Answer):
    """From when to when, in which steps. Those in which nothing was measured are left out."""

    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    step_seconds: int


class ServerMetrics(Steps):
    """What a server used."""

    server_uuid: str
    points: list[ServerPoint]


class ReplicaMetrics(Answer):
    """What one replica used."""

    server_uuid: str
    replica: str
    state: ReplicaState | None = Field(description="How it stands now; null where it is gone.")
    points: list[ReplicaPoint]

    @classmethod
    def of(cls, subject: Subject, points: Sequence[Point], state: ReplicaState | None) -> Self:
        """The answer for a replica."""
        shown = [ReplicaPoint.of(point) for point in points]
        return cls(server_uuid=subject.server_id, replica=subject.replica, state=state, points=shown)


class ApplicationMetrics(Steps):
    """What the replicas of an application used, those that are gone included."""

    application_uuid: str
    replicas: list[ReplicaMetrics]


class ReplicaAnswer(Answer):
    """A replica on a server: how it stands, and what it used when it was measured last."""

    replica: str
    application_uuid: str
    application_name: str
    state: ReplicaState = Field(description="Unknown where the server does not answer or is not watched.")
    since: datetime | None = Field(description="When it was first seen so.")
    measured_at: datetime | None = Field(description="Null where nothing was measured lately.")
    use: ReplicaUse | None
    memory_limit_bytes: int | None

    @classmethod
    def of(cls, replica: ShownReplica) -> Self:
        """The answer for a replica."""
        point = replica.point
        return cls(
            replica=replica.name,
            application_uuid=replica.application_id,
            application_name=replica.application_name,
            state=replica.state,
            since=replica.since,
            measured_at=_moment(point) if point else None,
            use=ReplicaUse.model_validate(point.average) if point else None,
            memory_limit_bytes=point.memory_total_bytes if point else None,
        )


class ServerEventAnswer(Answer):
    """Something that happened to a server."""

    uuid: str
    server_uuid: str
    kind: ServerEventKind
    at: datetime
    message: str
    application_uuid: str | None
    subject: str | None = Field(description="The replica or the disk that it is about.")

    @classmethod
    def of(cls, event: ServerEvent) -> Self:
        """The answer for an event."""
        return cls(
            uuid=event.id,
            server_uuid=event.server_id,
            kind=ServerEventKind(event.kind),
            at=event.at,
            message=event.message,
            application_uuid=event.application_id or None,
            subject=event.subject or None,
        )


def _moment(point: Point) -> datetime:
    return datetime.fromtimestamp(point.at, UTC)
