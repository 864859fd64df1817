"""One status for all containers of a resource, as `state:health`, the words of Coolify's API.

Where its rules hide trouble, ours show it: a replica that is down or paused next to running ones makes
the whole degraded, and a server that cannot be asked makes it unknown, never exited.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

EXCLUDED = "excluded"
DEGRADED = "degraded:unhealthy"
_BROKEN = frozenset(["degraded", "restarting", "dead"])
_STARTING = frozenset(["starting", "created"])


class Health(StrEnum):
    """What is known of a container's health."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


def aggregate_status(statuses: Sequence[str], max_restart_count: int = 0) -> str:
    """The status of a resource from those of its containers, each `state[:health][:excluded]`.

    Excluded containers count only where there are no others; the result then ends with `:excluded`.
    `max_restart_count` is the most restarts of any of them: one that has exited after restarts crashes
    again and again. No containers at all: `exited`.
    """
    parts = [status.strip().lower().split(":") for status in statuses if status.strip()]
    counted = [part for part in parts if EXCLUDED not in part[1:]]
    if parts and not counted:
        return f"{_aggregate(parts, max_restart_count)}:{EXCLUDED}"
    return _aggregate(counted, max_restart_count)


def _aggregate(parts: Sequence[Sequence[str]], max_restart_count: int) -> str:
    states = {part[0] for part in parts}
    if states & _BROKEN or ("exited" in states and max_restart_count > 0) or states == {"removing"}:
        return DEGRADED
    if "unknown" in states:
        return f"unknown:{Health.UNKNOWN}"
    if "running" in states and states & {"exited", "paused"}:
        return DEGRADED
    if states & _STARTING:
        return f"starting:{Health.UNKNOWN}"
    if "running" in states:
        return f"running:{_health([part for part in parts if part[0] == 'running'])}"
    if "removing" in states:
        return DEGRADED
    return f"paused:{Health.UNKNOWN}" if "paused" in states else "exited"


def _health(running: Sequence[Sequence[str]]) -> Health:
    """The worst of the healths: one unhealthy replica is not made good by others."""
    healths = {part[1] if len(part) > 1 else "" for part in running}
    if Health.UNHEALTHY in healths:
        return Health.UNHEALTHY
    return Health.HEALTHY if healths == {Health.HEALTHY} else Health.UNKNOWN
