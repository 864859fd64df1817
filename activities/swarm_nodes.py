"""The nodes of a Swarm that Seaway reaches itself, and the images that they have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from activities.disk_guard import room_for_image
from activities.servers import ServerParts, Servers
from activities.step_log import Write
from adapters.docker.image_transfer import send_image
from domain.configuration import ApplicationConfiguration, VolumeKind
from domain.errors import DeploymentError, EngineUnavailable, NotFound, SeawayError
from domain.image_distribution import transferred
from domain.services import TASK_OF_LABEL, names_of
from domain.swarm import SwarmNode, SwarmRole, admitted
from domain.volumes import volume_name_for
from store.store import Store
from store.tables import Server

ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.5
NO_ANSWER = (SeawayError, TimeoutError, LookupError, TypeError, ValueError, AttributeError)
"""What asking a node may raise. One that somebody has taken over may answer nonsense, which is none."""

TASKS_GO_SECONDS = 20.0
"""How long nodes may need to remove the containers of a service that is gone."""

ADD_IT = (
    "If it is one of Seaway's servers, bring it back; else add it as one with is_swarm_worker, so that "
    "images are sent there, or keep replicas off it with a placement constraint."
)


@dataclass(frozen=True)
class KnownNode:
    """A node that is also a server of Seaway's."""

    server: Server
    parts: ServerParts


async def known_nodes(store: Store, servers: Servers, manager_id: str) -> Mapping[str, KnownNode]:
    """The manager's team's servers by their node's id; one that does not answer is left out.

    A node's id is as random as a key, and only servers of the same team are asked for theirs. Workers know
    those of managers, so the manager is believed first, and of others the server that Seaway knows longer:
    none can take over what is meant for one that answers.
    """
    manager = await store.servers.get(manager_id)
    rows = [
        row
        for row in await store.servers.list(team_id=manager.team_id)
        if row.id == manager.id or (row.is_usable and (row.is_swarm_worker or row.is_swarm_manager))
    ]
    answers = await asyncio.gather(*[_node_of(servers, row) for row in rows])
    found = [
        (node_id, KnownNode(row, parts))
        for row, (node_id, parts) in zip(rows, answers, strict=True)
        if parts is not None and node_id
    ]
    known: dict[str, KnownNode] = {}
    for node_id, node in sorted(found, key=lambda one: one[1].server.id != manager_id):
        known.setdefault(node_id, node)
    return known


async def _node_of(servers: Servers, row: Server) -> tuple[str, ServerParts | None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            parts = await servers.parts(row.id)
            membership = await parts.engine.swarm()
    except NO_ANSWER:
        return "", None
    return (membership.node_id if membership.role is not SwarmRole.NONE else ""), parts


async def nodes_with_image(known: Mapping[str, KnownNode], image_id: str) -> frozenset[str]:
    """The ids of the known nodes whose engines have the very image."""

    async def has(node: KnownNode) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await node.parts.engine.image_id(image_id) is not None
        except NO_ANSWER:
            return False

    found = await asyncio.gather(*[has(node) for node in known.values()])
    return frozenset(node_id for node_id, is_there in zip(known, found, strict=True) if is_there)


async def nodes_for_release(
    store: Store, servers: Servers, manager_id: str, image_id: str
) -> tuple[Mapping[str, KnownNode], frozenset[str]]:
    """The known nodes, and the ids of those that have the image, as the manager does.

    Raises EngineUnavailable where the manager is not among them: it has answered just now, so that passes,
    and a release without it would fail for good.
    """
    known = await known_nodes(store, servers, manager_id)
    own = [node_id for node_id, node in known.items() if node.server.id == manager_id]
    if not own:
        raise EngineUnavailable("The manager of the Swarm did not answer when it was asked for its node.")
    return known, frozenset(own) | await nodes_with_image(known, image_id)


class NodeImages:
    """Sends and removes images on all the nodes of a Swarm that Seaway reaches."""

    def __init__(self, store: Store, servers: Servers, *, minimum_free_disk_bytes: int = 0) -> None:
        """`minimum_free_disk_bytes` is what stays free on a node that is sent an image."""
        self._store = store
        self._servers = servers
        self._minimum_free_disk_bytes = minimum_free_disk_bytes

    async def spread(
        self, manager_id: str, configuration: ApplicationConfiguration, image: str, write: Write
    ) -> str:
        """Every node that may get a replica has the image afterwards, if it can; a sentence on it.

        A node that cannot have it is left out, and named. Raises what sending does.
        """
        source = await self._servers.parts(manager_id)
        nodes = admitted(await source.engine.swarm_nodes(), configuration.runtime.placement_constraints)
        image_id = await source.engine.image_id(image) or image
        known, has = await nodes_for_release(self._store, self._servers, manager_id, image_id)
        sent = 0
        for node in nodes:
            there = known.get(node.id)
            if node.id in has or there is None:
                continue
            write(f"The image goes to the node {node.hostname}.")
            sent += await self._send(source, there, image, write)
        left_out = [node for node in nodes if node.id not in known]
        if left_out:
            write(f"Not reached by Seaway: {names_of(left_out)}. {ADD_IT}")
        parts = [f"sent to {sent} nodes" if sent else "every reachable node has it"]
        return "; ".join([*parts, f"without {names_of(left_out)}"] if left_out else parts)

    async def _send(self, source: ServerParts, node: KnownNode, image: str, write: Write) -> int:
        local = await source.engine.inspect_image(image)
        there = (await node.parts.engine.ping()).architecture
        if local is not None and there != local.architecture:
            write(f"It is {there}, and the image is for {local.architecture}: left out.")
            return 0
        room = await room_for_image(node.parts, self._minimum_free_disk_bytes, node.server.name)
        transfer = await send_image(source.engine, node.parts.engine, image, write, room_bytes=room)
        write(transferred(transfer.sent_bytes, transfer.archive_bytes, transfer.seconds))
        return 1

    async def discard(self, manager_id: str, images: Sequence[str]) -> None:
        """No node has these images any more, as far as they answer and nothing uses them.

        Containers of tasks that have ended are there a moment longer, and keep their images.
        """
        known = await known_nodes(self._store, self._servers, manager_id)
        await asyncio.gather(*[_discard(node, images) for node in known.values()])

    async def remove_everything(
        self, manager_id: str, configuration: ApplicationConfiguration, *, volumes: bool
    ) -> None:
        """Nothing of the application is left on the other nodes, as far as they answer.

        On the manager, only its tasks' containers are gone.
        """
        known = await self._known(manager_id)
        await asyncio.gather(*[_remove_tasks(node, configuration.application_id) for node in known])
        others = [node for node in known if node.server.id != manager_id]
        await asyncio.gather(*[_remove_rest(node, configuration, volumes=volumes) for node in others])

    async def _known(self, manager_id: str) -> list[KnownNode]:
        try:
            return [*(await known_nodes(self._store, self._servers, manager_id)).values()]
        except NotFound:
            return []


async def _remove_tasks(node: KnownNode, application_id: str) -> None:
    """The Swarm removes containers a moment after their service, and until then they keep their image."""
    engine = node.parts.engine
    deadline = time.monotonic() + TASKS_GO_SECONDS
    with suppress(*NO_ANSWER):
        async with asyncio.timeout(TASKS_GO_SECONDS + ANSWER_SECONDS):
            while left := await engine.list_containers({TASK_OF_LABEL: application_id}):
                if time.monotonic() > deadline:
                    await asyncio.gather(*[engine.remove(state.name) for state in left])
                    return
                await asyncio.sleep(POLL_SECONDS)


async def _remove_rest(node: KnownNode, configuration: ApplicationConfiguration, *, volumes: bool) -> None:
    engine, application_id = node.parts.engine, configuration.application_id
    with suppress(*NO_ANSWER):
        async with asyncio.timeout(ANSWER_SECONDS):
            for image in await engine.images_with_prefix(f"seaway/{application_id}"):
                await engine.remove_image(image)
            for volume in configuration.runtime.volumes if volumes else ():
                if volume.kind is VolumeKind.NAMED:
                    await engine.remove_volume(volume_name_for(application_id, volume.source))


async def _discard(node: KnownNode, images: Sequence[str]) -> None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for image in images:
                # Nothing tells us when: asking is the only way to learn it.
                while not await node.parts.engine.remove_image(image):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
    except NO_ANSWER:
        return  # the schedule that cleans servers comes by there as well


def require_nodes(
    nodes: Sequence[SwarmNode], constraints: Sequence[str], has_image: frozenset[str]
) -> tuple[SwarmNode, ...]:
    """The nodes that may run the release. Raises DeploymentError that says why there is none."""
    fitting = admitted(nodes, constraints)
    if not fitting:
        raise DeploymentError(
            f"No node of the Swarm that takes tasks satisfies {', '.join(constraints) or 'anything'}. Its "
            f"nodes are: {', '.join(f'{one.hostname} ({one.role}, {one.state})' for one in nodes)}. Change "
            "the placement constraints, or label a node with `docker node update --label-add`."
        )
    able = tuple(node for node in fitting if node.id in has_image)
    if not able:
        raise DeploymentError(f"None of the nodes {names_of(fitting)} has the image. {ADD_IT}")
    return able
