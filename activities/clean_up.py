"""What a release leaves behind is removed; nothing of anybody else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.deleted_applications import remove_replicas, remove_rest, withdraw_routes
from activities.servers import ServerParts, Servers
from activities.swarm_nodes import NodeImages
from adapters.file_times import FileTimes
from domain.configuration import VolumeKind
from domain.retention import KeptDeployment, images_to_remove
from domain.volumes import volume_name_for
from store.columns import now
from store.store import Store


class CleanUpActivities:
    """Keeps the images of the last successful deployments, and removes the others of the application."""

    def __init__(self, store: Store, servers: Servers, times_folder: Path | None = None) -> None:
        """`times_folder` is where this machine's builds write down their files' times."""
        self._times_folder = times_folder
        self._store = store
        self._servers = servers
        self._nodes = NodeImages(store, servers)

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.clean_up]

    @activity.defn(name=s.CLEAN_UP.name)
    async def clean_up(self, clean: m.CleanUp) -> m.StepOutcome:
        """Removes images that are not kept; of a deleted application, everything on this server."""
        parts = await self._servers.parts(clean.server_id)
        if clean.everything:
            return await self._remove_everything(parts, clean)
        present = await parts.engine.images_with_prefix(f"seaway/{clean.application_id}")
        surplus = await surplus_images(self._store, clean.application_id, present)
        for image in surplus:
            await parts.engine.remove_image(image)
        if parts.swarm is not None and surplus:
            await self._nodes.discard(clean.server_id, surplus)
        return m.StepOutcome(message=f"{len(surplus)} images removed" if surplus else "")

    async def _remove_everything(self, parts: ServerParts, clean: m.CleanUp) -> m.StepOutcome:
        if self._times_folder is not None:
            times = FileTimes.of(self._times_folder, clean.application_id)
            await asyncio.to_thread(times.remove)
        # Of a server that was away when the replicas were stopped, and is back.
        await withdraw_routes(parts, clean.application_id)
        await remove_replicas(parts, clean.application_id)
        configuration = await self._store.applications.configuration(clean.application_id)
        if parts.swarm is not None:
            await self._nodes.remove_everything(clean.server_id, configuration, volumes=clean.delete_volumes)
        named = [
            volume_name_for(clean.application_id, volume.source)
            for volume in configuration.runtime.volumes
            if clean.delete_volumes and volume.kind is VolumeKind.NAMED
        ]
        staying = await remove_rest(
            self._store,
            parts,
            clean.server_id,
            clean.application_id,
            volumes=clean.delete_volumes,
            named=named,
        )
        removed = "everything of the application was removed"
        return m.StepOutcome(message=" ".join([f"{removed}.", *staying]) if staying else removed)


async def surplus_images(store: Store, application_id: str, present: Sequence[str]) -> tuple[str, ...]:
    """Those of the present images of an application that no rollback needs."""
    configuration = await store.applications.configuration(application_id)
    application = await store.applications.get(application_id)
    finished = await store.deployments.list_finished(application_id)
    newest_of_image = {deployment.image: deployment for deployment in reversed(finished)}
    # By image: restarts and scalings of one release must not push older releases out.
    kept = [
        KeptDeployment(deployment.id, image, deployment.finished_at or now())
        for image, deployment in newest_of_image.items()
    ]
    if application.current_deployment_id is not None:
        # The deployment that cleans up is not finished yet, and serves already.
        current = await store.deployments.get(application.current_deployment_id)
        # Once it is finished it is among them already, and must not count twice.
        kept = [one for one in kept if one.image != current.image]
        kept.append(KeptDeployment(current.id, current.image, now(), is_current=True))
    for deployment_id in {row.deployment_id for row in await store.releases.of(application_id)}:
        # A server that releases went on without still has an older one, whatever the number of those kept.
        older = await store.deployments.get(deployment_id)
        kept.append(KeptDeployment(older.id, older.image, None))
    return images_to_remove(kept, present, configuration.images_to_keep)
