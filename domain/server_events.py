"""What happens to servers that people want to be told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from domain.replicas import PROXY_ROLE, ROLE_LABEL
from domain.services import application_of

SIGKILL: Final = 9
MOST_LIVES: Final = 1000
"""More containers are not about to end on one server; its events may name as many as it likes."""


class ServerEventKind(StrEnum):
    """Each is written once for the change, not for every look that still finds it so.

    A clean-up that the clock began is told of where it removed something, or failed otherwise than before.
    """

    DISK_ABOVE_THRESHOLD = "disk_above_threshold"
    DISK_BELOW_THRESHOLD = "disk_below_threshold"
    UNREACHABLE = "unreachable"
    REACHABLE_AGAIN = "reachable_again"
    CONTAINER_DIED = "container_died"
    HOST_KEY_CHANGED = "host_key_changed"
    PROXY_DOWN = "proxy_down"
    PROXY_UP = "proxy_up"
    REMOVAL_REFUSED = "removal_refused"
    CLEANED_UP = "cleaned_up"
    CLEAN_UP_FAILED = "clean_up_failed"


class ContainerAction(StrEnum):
    """What an engine tells of a container (Engine API, "Monitor events"), as far as it matters here."""

    START = "start"
    KILL = "kill"
    OOM = "oom"
    DIE = "die"
    DESTROY = "destroy"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    HEALTH = "health_status"


@dataclass(frozen=True)
class ContainerEvent:
    """Something that happened to a container. `signal` is of a kill, `exit_code` of a death."""

    at: datetime
    action: ContainerAction
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    signal: int = 0
    exit_code: int = 0


@dataclass
class _Life:
    was_told_to_end: bool = False
    ran_out_of_memory: bool = False


class Deaths:
    """Tells from a server's events which replicas died by themselves, and not because they were to end.

    A proxy is never to end for long, so each of its deaths is told, but for one that was asked for before
    anybody watched: that is how a proxy is replaced when Seaway starts, or makes the server usable anew.
    """

    def __init__(self, began: datetime | None = None) -> None:
        """`began` is when the watch did; what happened before may be heard too."""
        self._began = began
        self._lives: dict[str, _Life] = {}

    def hear(self, event: ContainerEvent) -> str | None:
        """Why the replica or the proxy died, in words, if this event is such a death.

        An engine that is asked to stop or remove a container says `kill` before `die`; a process that ends
        by itself says `die` alone. A kill by SIGKILL is a death too, because whoever removes a replica that
        serves asks it to end first.
        """
        if event.action in (ContainerAction.START, ContainerAction.DESTROY):
            self._lives.pop(event.name, None)
        elif event.action is ContainerAction.KILL and event.signal != SIGKILL:
            self._life(event.name).was_told_to_end = True
        elif event.action is ContainerAction.OOM:
            self._life(event.name).ran_out_of_memory = True
        elif event.action is ContainerAction.DIE:
            # Kept until the next start: whoever could not write the death down hears of it again.
            life = self._lives.get(event.name, _Life())
            if is_proxy(event.labels):
                was_before = self._began is not None and event.at < self._began
                if life.was_told_to_end and was_before:
                    return None
                return f"The proxy stopped{_end(event, life)}."
            if application_of(event.labels) and not life.was_told_to_end:
                return _reason(event, life)
        return None

    def _life(self, name: str) -> _Life:
        if name not in self._lives and len(self._lives) >= MOST_LIVES:
            del self._lives[next(iter(self._lives))]  # what was heard of first
        return self._lives.setdefault(name, _Life())


def is_proxy(labels: Mapping[str, str]) -> bool:
    """Whether the container with these labels is a server's proxy."""
    return labels.get(ROLE_LABEL) == PROXY_ROLE


def _reason(event: ContainerEvent, life: _Life) -> str:
    return f"The replica {event.name} died{_end(event, life)}."


def _end(event: ContainerEvent, life: _Life) -> str:
    reason = ", out of memory" if life.ran_out_of_memory else ""
    return f" with exit code {event.exit_code}{reason}"
