"""What the routers work with, given once by whoever starts the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from fastapi import Request
from pydantic import SecretStr

from api.operations import Operations
from api.registry_checks import NoRegistryChecks, RegistryChecks
from api.server_access import HostKeys, KeyPairs, NoServers, ServerWork
from api.server_clean_up import ServerCleanUps
from api.swarm_access import NoSwarms, Swarms
from api.terminals import Terminals
from domain.metrics import DEFAULT_RESOLUTIONS, Resolution
from store.store import Store


@dataclass(frozen=True)
class RuntimeLine:
    """A line that a replica wrote, by its server's clock; without a time it is Seaway that says it.

    The id is what to go on after; only who gave it understands it.
    """

    text: str
    at: datetime | None = None
    id: str = ""

    def shown(self, *, timestamps: bool) -> str:
        """The line, which begins with its time (UTC) on request."""
        return f"{self.at:%Y-%m-%dT%H:%M:%S.%f}Z {self.text}" if timestamps and self.at else self.text


class RuntimeView(Protocol):
    """Looks at what runs, without changing it."""

    async def status(self, application_id: str) -> str:
        """`running:healthy`, `exited`, `unknown:unknown` and the like; never raises."""
        ...

    async def statuses(self, *, team_id: str) -> dict[str, str]:
        """The status of the team's applications that have containers; others have exited."""
        ...

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        """The last lines of the application's replicas."""
        ...

    def follow_logs(self, application_id: str, *, lines: int, after: str = "") -> AsyncIterator[RuntimeLine]:
        """The last lines (only those after the one with this id), then each new one, until it is gone.

        An id that cannot be one of its own counts as none.
        """
        ...


@dataclass(frozen=True)
class ApiSettings:
    """What the API needs to know about its surroundings."""

    public_url: str = "http://127.0.0.1:8000"
    temporal_ui_url: str = ""
    temporal_namespace: str = "default"
    http_port: int = 80
    https_port: int = 443
    session_secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    version: str = "0"
    requests_per_minute: int = 200
    watch_seconds: int = 10
    kept_metrics: tuple[Resolution, ...] = DEFAULT_RESOLUTIONS


@dataclass(frozen=True)
class ApiContext:
    """The store, the doors to the workflows, a view of what runs, settings, and what reads keys."""

    store: Store
    operations: Operations
    runtime: RuntimeView
    settings: ApiSettings
    server_operations: ServerWork = field(default_factory=NoServers)
    host_keys: HostKeys = field(default_factory=NoServers)
    key_pairs: KeyPairs = field(default_factory=NoServers)
    registry_checks: RegistryChecks = field(default_factory=NoRegistryChecks)
    swarms: Swarms = field(default_factory=NoSwarms)
    terminals: Terminals | None = None
    clean_ups: ServerCleanUps | None = None


def context_of(request: Request) -> ApiContext:
    """FastAPI dependency: the context of the running application."""
    context: ApiContext = request.app.state.context
    return context
