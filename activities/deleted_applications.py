"""Applications that are deleted go from every server that ever had something of them.

Their deletion asks the servers that have them at that moment. Of one that was away then, that they had moved
from, or that built for them, nobody would know any more: so each is remembered until nothing is left there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from activities import messages as m
from activities.pulled_names import pulled_for, take_off
from activities.replica_specifications import files_folder
from activities.servers import ServerParts
from activities.service_releases import remove_service
from adapters.docker.states import ContainerState
from adapters.docker.swarm_states import ServiceState
from domain.configuration import ApplicationConfiguration
from domain.replicas import APPLICATION_LABEL, ROLE_LABEL, application_labels, stop_grace_seconds
from domain.services import SERVICE_ROLE
from store.store import Store
from store.tables import Server

logger = logging.getLogger("seaway.activities")


@dataclass(frozen=True)
class TakenAway:
    """Of how many deleted applications nothing is left, and what stays of others and why, in sentences."""

    applications: int = 0
    staying: tuple[str, ...] = ()


async def expect_remains(store: Store, command: m.Command, configuration: ApplicationConfiguration) -> None:
    """Remembers the servers that may have something of an application whose deletion begins."""
    rows = await store.deployments.all_of_application(command.application_id)
    # Most are of the same configuration, and an application may have had hundreds.
    different = {row.configuration_hash: row for row in rows if row.snapshot_sealed is not None}
    begun = await asyncio.to_thread(lambda: [store.deployments.released(row) for row in different.values()])
    owned = await store.servers.list(team_id=configuration.team_id)
    servers = _concerned([configuration, *begun], owned)
    # Also one that is to be forgotten: where it answers after all, what it has goes before it does.
    await store.deletions.expect(
        command.application_id, [one.id for one in servers], delete_volumes=command.delete_volumes
    )


def _concerned(released: list[ApplicationConfiguration], owned: Sequence[Server]) -> list[Server]:
    named = {server_id for one in released for server_id in (*one.server_ids, one.routing.edge_server_id)}
    # Which of the build servers it was is not written down, nor which nodes of a Swarm were sent the image.
    was_built_elsewhere = any(one.build.use_build_server for one in released)
    was_on_swarm = any(one.id in named and one.is_swarm_manager for one in owned)
    return [
        one
        for one in owned
        if (one.is_local or one.data_folder)
        and (one.id in named or was_built_elsewhere or (was_on_swarm and one.is_swarm_worker))
    ]


async def take_deleted_away(
    store: Store, parts: ServerParts, server_id: str, *, has_proxy: bool = True
) -> TakenAway:
    """The server has nothing of applications that are deleted any more, but for volumes in use."""
    applications, staying = 0, list[str]()
    for one in await store.deletions.left_on(server_id):
        if has_proxy:
            await withdraw_routes(parts, one.application_id)
        await remove_replicas(parts, one.application_id)
        stays = await remove_rest(store, parts, server_id, one.application_id, volumes=one.delete_volumes)
        applications += not stays
        staying += stays
    return TakenAway(applications, tuple(staying))


async def withdraw_routes(parts: ServerParts, application_id: str) -> None:
    """Nothing leads to the application here; a server without any routes need not have a proxy."""
    if await parts.proxy.current(application_id) is not None:
        await parts.proxy.withdraw(application_id)


async def remove_replicas(parts: ServerParts, application_id: str) -> None:
    """Nothing of the application runs here."""
    labels = {APPLICATION_LABEL: application_id}
    found: list[ContainerState | ServiceState] = [
        # Labels alone may be those of an image that somebody else has built upon.
        one
        for one in await parts.engine.list_containers(labels)
        if one.name.startswith(f"{application_id}-")
    ]
    if parts.swarm is not None:
        found += await parts.engine.services({**labels, ROLE_LABEL: SERVICE_ROLE})
    await asyncio.gather(*[remove_release(parts, one) for one in found])
    if parts.swarm is not None:
        await parts.engine.remove_unused_secrets(application_labels(application_id))


async def remove_rest(
    store: Store,
    parts: ServerParts,
    server_id: str,
    application_id: str,
    *,
    volumes: bool,
    named: Iterable[str] = (),
) -> tuple[str, ...]:
    """Images and files are gone, with `volumes` also what it has stored, and the server is asked no more.

    `named` are volumes that go too. Returns a sentence for each volume that somebody else's container still
    mounts: that one stays, and the server is asked again.
    """
    for image in await parts.engine.images_with_prefix(f"seaway/{application_id}"):
        await parts.engine.remove_image(image)
    await take_off(parts.engine, store, server_id, pulled_for(application_id))
    found = await parts.engine.volumes({APPLICATION_LABEL: application_id}) if volumes else ()
    own = {one for one in found if one.startswith(f"{application_id}-")}
    staying = await _remove_volumes(parts, sorted(own.union(named)))
    folder = files_folder(application_id)
    await parts.files.remove_tree(folder if volumes else folder / "files")
    if staying:
        await store.deletions.put_off(server_id, application_id)
    else:
        await store.deletions.done(server_id, application_id)
    return staying


async def _remove_volumes(parts: ServerParts, volumes: Iterable[str]) -> tuple[str, ...]:
    """These are gone, but for those in use; a sentence for each that stays."""
    staying = []
    for volume in volumes:
        if await parts.engine.remove_volume(volume):
            continue
        users = ", ".join((await parts.engine.users_of_volume(volume))[:3]) or "a container"
        staying.append(
            f"The volume {volume} stays, because {users} uses it: once that is removed, a clean-up takes it."
        )
        logger.warning("%s", staying[-1])
    return tuple(staying)


async def remove_release(parts: ServerParts, state: ContainerState | ServiceState) -> None:
    """The replicas of a release, one container or all as a service of a Swarm, are gone after their grace."""
    if isinstance(state, ServiceState):
        await remove_service(parts, state)
        return
    await parts.engine.stop(state.name, stop_grace_seconds(state.labels))
    await parts.engine.remove(state.name)
