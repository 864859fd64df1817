"""What is Seaway's on a server that is given up is taken away."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import get_args

from activities.deleted_applications import take_deleted_away
from activities.servers import Servers
from adapters import build_limits, server_setup
from adapters.bundled_images import BinaryName
from adapters.docker.connection import EngineRefusal
from adapters.docker.engine import DockerEngine
from adapters.traefik.settings import OWNER_LABEL
from domain.build_limits import own_group
from domain.errors import EngineUnavailable, NotFound, SeawayError, ServerUnreachable
from domain.replicas import MANAGED, PROXY_ROLE, ROLE_LABEL
from domain.server_systems import is_data_folder
from store.store import Store
from store.tables import Server

TAKING_SECONDS = 90.0
SILENT_SECONDS = 20.0
"""Of one that did not answer when it was looked at last, nobody waits long for more."""
PROXY_LABELS = {**MANAGED, ROLE_LABEL: PROXY_ROLE}
BINARIES = get_args(BinaryName)
"""Images that Seaway makes of programs."""
logger = logging.getLogger("seaway.activities")


class Leaving:
    """Takes proxy, network, images and data folder away, unless the machine is in use under another name."""

    def __init__(self, store: Store, servers: Servers, instance: str) -> None:
        """`instance` is the name of the data folder."""
        self._store = store
        self._servers = servers
        self._instance = instance

    async def take_away(self, server: Server, *, in_any_case: bool) -> SeawayError | None:
        """Why something stays there, if it does; with `in_any_case` the rest goes all the same."""
        limit = TAKING_SECONDS if server.is_reachable else SILENT_SECONDS
        try:
            async with asyncio.timeout(limit):
                try:
                    await self._take_away(server, in_any_case)
                except ServerUnreachable:
                    # The link was gone before we came; the next use opens another.
                    await self._take_away(server, in_any_case)
        except TimeoutError:
            problem: SeawayError = ServerUnreachable(f"The server did not do it within {limit:g} s.")
        except SeawayError as error:
            problem = error
        else:
            return None
        logger.warning("what is on the server %s stays there: %s", server.id, problem.message)
        return problem

    async def _take_away(self, server: Server, in_any_case: bool) -> None:
        if await self._is_shared(server):
            return
        problem: SeawayError | None = None
        try:
            await self._take_from_engine(server)
        except EngineUnavailable as error:
            if not in_any_case:
                raise  # It is asked again, and goes as a whole.
            problem = error
        link = await self._servers.link(server.id)
        if is_data_folder(server.data_folder, self._instance):
            await server_setup.remove_data_folder(link, PurePosixPath(server.data_folder))
        await build_limits.remove(link, own_group(self._instance))
        if problem is not None:
            raise problem

    async def _take_from_engine(self, server: Server) -> None:
        parts = await self._servers.parts(server.id)
        for proxy in await parts.engine.list_containers(PROXY_LABELS):
            if proxy.labels.get(OWNER_LABEL, "").startswith(f"{server.data_folder}/"):
                await parts.engine.remove(proxy.name)
        taken = await take_deleted_away(self._store, parts, server.id, has_proxy=False)
        await self._remove_images(parts.engine)
        # That of a Swarm is another one.
        for network in sorted({parts.network, self._instance}):
            try:
                await parts.engine.remove_network(network)
            except EngineRefusal as refusal:
                if refusal.status != HTTPStatus.FORBIDDEN:
                    raise
                # Somebody has put a container of their own there, and Seaway's are gone.
                logger.warning("the network %s of the server %s stays in use there", network, server.id)
        if taken.staying:
            # Nobody would look for it on a server that is not Seaway's any more.
            raise EngineUnavailable(" ".join(taken.staying))

    async def _remove_images(self, engine: DockerEngine) -> None:
        """The proxy's, and those of applications that were here once; another Seaway's stay."""
        for image in await engine.images_with_prefix("seaway/"):
            owner = image.removeprefix("seaway/").rpartition(":")[0]
            if owner in BINARIES or await self._is_known(owner):
                await engine.remove_image(image)

    async def _is_known(self, application_id: str) -> bool:
        try:
            await self._store.applications.get(application_id)
        except NotFound:
            return False
        return True

    async def _is_shared(self, server: Server) -> bool:
        """Whether the same machine is in use under another name, by this team or another."""
        remote = await self._store.servers.all_remote()
        # Anybody may name any host key; only who was let in there has a folder.
        others = [one for one in remote if one.id != server.id and one.data_folder]
        if any(one.host_key == server.host_key for one in others):
            return True
        # A machine has several host keys, and gets new ones; the folder itself knows for whom it was made.
        link = await self._servers.link(server.id)
        signed_in = await server_setup.signed_in(link, PurePosixPath(server.data_folder))
        return any(one.id in signed_in for one in others)
