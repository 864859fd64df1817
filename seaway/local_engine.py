"""The Docker Engine beside a worker. There need not be one: then nothing runs on Seaway's own server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from domain.errors import EngineUnavailable, SeawayError, StartUpError
from domain.servers import NO_ENGINE
from seaway.local_proxy import start_proxy
from seaway.servers import SeawayServers
from seaway.settings import Settings
from store.store import Store

LOOK_SECONDS: Final = 5.0

logger = logging.getLogger("seaway")


class LocalEngine:
    """Whether this worker has an engine. One that was seen is looked after from then on, also while away.

    All workers share the one row of Seaway's own server. Who has an engine makes it usable and watches it;
    who has none, or is not to use it, says that it is not, unless somebody watches it.
    """

    def __init__(self, store: Store, servers: SeawayServers, settings: Settings) -> None:
        """Nothing is asked of the engine yet."""
        self._store = store
        self._servers = servers
        self._settings = settings
        self._was_seen = False

    def was_seen(self) -> bool:
        """Whether an engine has answered since the start."""
        return self._was_seen

    async def start(self) -> None:
        """Where an engine answers, the proxy runs afterwards. Raises StartUpError where it cannot."""
        if await self._look():
            return
        if self._settings.local_server:
            logger.warning(
                "No Docker Engine answers at %s: this worker deploys to servers over SSH only.",
                self._settings.effective_docker_socket,
            )
        else:
            logger.info("SEAWAY_LOCAL_SERVER is false: this worker deploys to servers over SSH only.")
        await self._store.watch.close_local(NO_ENGINE)

    @contextlib.asynccontextmanager
    async def expected(self) -> AsyncIterator[None]:
        """Meanwhile an engine that starts later is found within seconds."""
        looking = asyncio.create_task(self._look_again_and_again())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> bool:
        if not self._settings.local_server:
            return False
        try:
            await self._servers.engine.ping()
        except EngineUnavailable:
            return False
        await start_proxy(self._servers, self._settings)
        await self._store.servers.open_local()
        self._was_seen = True
        return True

    async def _look_again_and_again(self) -> None:
        while not self._was_seen:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if not await self._look():
                    # The worker that watched it may have ended.
                    await self._store.watch.close_local(NO_ENGINE)
            except StartUpError as error:
                # Now this worker watches the server, tries again, and tells there what is wrong.
                self._was_seen = True
                logger.warning("%s", error.message)
            except (SQLAlchemyError, SeawayError) as error:
                logger.warning("the Docker Engine beside this worker cannot be used yet: %s", error)
        logger.info("the Docker Engine at %s answers", self._settings.effective_docker_socket)
