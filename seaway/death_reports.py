"""Replicas and proxies that died, written down as events of their servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from adapters.traefik.settings import OWNER_LABEL
from domain.identifiers import derived_identifier
from domain.server_events import ContainerEvent, ServerEventKind, is_proxy
from domain.services import application_of
from store.store import Store
from store.tables import ServerEvent

# What dies again and again is told of once in this time; of one server's so many are told of.
SAME_DEATH: Final = timedelta(minutes=5)
MOST_DEATHS: Final = 50


class DeathReports:
    """Tells of what is this Seaway's, and not without end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: dict[tuple[str, str], datetime] = {}

    async def tell(self, server_id: str, folders: Sequence[str], event: ContainerEvent, reason: str) -> None:
        """Writes the death down, unless a former watcher has; `folders` are Seaway's on that server."""
        now = datetime.now(UTC)
        self._told = {death: at for death, at in self._told.items() if now - at < SAME_DEATH}
        death = (server_id, event.name)
        if death in self._told or not await self._is_ours(server_id, folders, event.labels):
            return
        if sum(server == server_id for server, _ in self._told) >= MOST_DEATHS:
            return
        of_proxy = is_proxy(event.labels)
        await self._store.watch.record_once(
            ServerEvent(
                id=derived_identifier("death", server_id, event.name, event.at.isoformat()),
                server_id=server_id,
                kind=ServerEventKind.PROXY_DOWN if of_proxy else ServerEventKind.CONTAINER_DIED,
                at=min(event.at, now),
                message=reason,
                application_id=application_of(event.labels),
                subject=event.name,
            )
        )
        self._told[death] = now

    async def _is_ours(self, server_id: str, folders: Sequence[str], labels: Mapping[str, str]) -> bool:
        # Another Seaway may use the same engine, or another team the same machine.
        if is_proxy(labels):
            return any(labels.get(OWNER_LABEL, "").startswith(f"{folder}/") for folder in folders)
        application_id = application_of(labels)
        teams = await self._store.applications.teams_of([application_id])
        return teams.get(application_id) == (await self._store.servers.get(server_id)).team_id
