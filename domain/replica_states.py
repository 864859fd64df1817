"""How replicas stand on their server, in the words of the engine and two of ours."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReplicaState(StrEnum):
    """What an engine says of a container; `unhealthy` runs, but its image's own check fails."""

    CREATED = "created"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True, order=True)
class StandingReplica:
    """A replica as it stood when its server was looked at."""

    application_id: str
    name: str
    state: ReplicaState


def replica_state(word: str, *, is_unhealthy: bool = False) -> ReplicaState:
    """From an engine's word; one that is not known here means unknown, never that nothing runs."""
    if word not in set(ReplicaState):
        return ReplicaState.UNKNOWN
    state = ReplicaState(word)
    return ReplicaState.UNHEALTHY if is_unhealthy and state is ReplicaState.RUNNING else state
