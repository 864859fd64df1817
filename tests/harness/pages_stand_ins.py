"""Stand-ins for what the pages ask: operations, what runs, servers and their host keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from activities.messages import CancelReceipt, CommandReceipt, Progress
from api.context import RuntimeLine
from domain.deployments import OperationKind
from domain.errors import SeawayError
from domain.host_keys import HostKey, host_key_of
from domain.identifiers import derived_identifier, new_identifier
from store.columns import now
from store.store import Store
from store.tables import (
    Application,
    Deployment,
    Project,
    Server,
)

CONTAINER_LOG = """invoices-1 | Traceback (most recent call last):
invoices-1 |   File "/app/main.py", line 12, in <module>
invoices-1 |     numbers = Sequence(os.environ["INVOICE_START"])
invoices-1 | KeyError: 'INVOICE_START'"""


@dataclass
class RecordedOperations:
    """Stands in for the workflows: writes the deployment's row, remembers what was asked, or refuses."""

    store: Store
    submitted: list[tuple[str, OperationKind, dict[str, Any]]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    refusal: SeawayError | None = None

    async def submit(
        self, application: Application, project: Project, kind: OperationKind, **given: Any
    ) -> tuple[Deployment, CommandReceipt]:
        if self.refusal is not None:
            raise self.refusal
        options = dict(given.get("options") or {})
        key = given.get("idempotency_key") or new_identifier()
        deployment_id = derived_identifier(application.id, key)
        known = await self.store.deployments.find(deployment_id)
        if known is not None:
            return known, CommandReceipt(deployment_id=deployment_id, position=0, repeated=True)
        self.submitted.append((application.id, kind, options))
        row = Deployment(
            id=deployment_id,
            application_id=application.id,
            kind=kind,
            requested_by=given["requested_by"],
            branch=options.get("branch", ""),
            replicas=options.get("replicas"),
            target_deployment_id=options.get("target_deployment_id"),
        )
        return await self.store.deployments.record(row), CommandReceipt(
            deployment_id=deployment_id, position=1
        )

    async def cancel(self, deployment: Deployment, *, requested_by: str) -> CancelReceipt:
        if self.refusal is not None:
            raise self.refusal
        self.cancelled.append(deployment.id)
        return CancelReceipt(deployment_id=deployment.id, was_running=True)

    async def progress(self, deployment_id: str) -> Progress:
        raise NotImplementedError


@dataclass
class StatedRuntime:
    """Stands in for the engines: says what it was told to say."""

    states: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    news: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def status(self, application_id: str) -> str:
        return self.states.get(application_id, "exited")

    async def statuses(self, *, team_id: str) -> dict[str, str]:
        return dict(self.states)

    async def logs(self, application_id: str, *, lines: int, timestamps: bool) -> str:
        return "\n".join(self.lines.get(application_id, ())[-lines:])

    async def follow_logs(
        self, application_id: str, *, lines: int, after: str = ""
    ) -> AsyncIterator[RuntimeLine]:
        for line in self.lines.get(application_id, ())[-lines:]:
            if not after:
                yield RuntimeLine(line, now(), "old")
        while True:
            yield RuntimeLine(await self.news.get(), now(), "new")


@dataclass
class RecordedServers:
    """Stands in for the workflows of servers."""

    provisioned: list[str] = field(default_factory=list)
    removed: list[tuple[str, bool]] = field(default_factory=list)
    refusal: SeawayError | None = None

    async def provision(self, server: Server, *, requested_by: str) -> None:
        self.provisioned.append(server.id)

    async def remove(
        self, server: Server, *, requested_by: str, with_resources: bool, forget: bool = False
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.removed.append((server.id, with_resources))


@dataclass
class RecordedCleanUps:
    """Stands in for the workflows that clean servers."""

    started: list[str] = field(default_factory=list)

    async def start(self, server_id: str) -> str:
        self.started.append(server_id)
        return f"event-{len(self.started)}"


@dataclass
class StatedHostKeys:
    """Stands in for the servers that show their host keys."""

    key: HostKey = field(default_factory=lambda: new_host_key())
    failure: SeawayError | None = None

    async def shown_by(self, server: Server) -> HostKey:
        if self.failure is not None:
            raise self.failure
        return self.key


def new_host_key() -> HostKey:
    """A key that no server has shown before."""
    return host_key_of(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())
