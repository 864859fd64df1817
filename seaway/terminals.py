"""Commands that people run: in containers of their own, in replicas, and on servers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from activities.environments import replica_environment
from activities.replica_specifications import one_off_command_specification, prepare_mounts
from activities.servers import ServerParts, Servers, Surroundings
from activities.task_containers import task_container
from adapters.cancellation import uninterrupted
from adapters.docker.engine import DockerEngine
from adapters.docker.specifications import ContainerSpecification
from adapters.file_locks import owned_folder, remove_abandoned
from adapters.ssh.terminals import open_terminal
from domain.configuration import ApplicationConfiguration
from domain.errors import ImageNotFound, NotFound, NotPossibleNow, SeawayError, TooManyRequests
from domain.identifiers import new_identifier
from domain.replicas import (
    MANAGED,
    ONE_OFF_COMMAND_ROLE,
    OWNER_LABEL,
    ROLE_LABEL,
    one_off_command_name,
)
from domain.services import service_name
from domain.terminals import Start, TerminalSession
from seaway.running_replicas import running_replica
from store.store import Store
from store.tables import Application, Server
from store.tables.applications import DesiredState

OWNER_PREFIX: Final = "run-"
END_GRACE_SECONDS: Final = 5
CLOSE_LIMIT_SECONDS: Final = 2.0 * END_GRACE_SECONDS
OLDEST: Final = timedelta(hours=25)
"""No command runs so long, so whoever ran it is gone."""

SHELLS_OF_A_SERVER: Final = 3
"""Each holds one of the sessions that deployments run their commands on that server with (8)."""

logger = logging.getLogger("seaway")


class SeawayTerminals:
    """Implements `api.terminals.Terminals`. `close()` it when done."""

    def __init__(
        self, store: Store, servers: Servers, surroundings: Surroundings, owners_folder: Path
    ) -> None:
        """A folder of ours in `owners_folder` stays locked for as long as this process lives."""
        self._store = store
        self._servers = servers
        self._surroundings = surroundings
        owners_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held = ExitStack()
        self._owner = self._held.enter_context(owned_folder(owners_folder, OWNER_PREFIX)).name
        self._shells: dict[str, int] = {}
        self._open = 0
        self._none_open = asyncio.Event()
        self._none_open.set()

    async def close(self) -> None:
        """Waits a moment for commands that are being ended; what is left then is anybody's to remove."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_SECONDS):
                await self._none_open.wait()
        self._held.close()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        self._none_open.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._none_open.set()

    @asynccontextmanager
    async def run(
        self, application_id: str, start: Start, *, server: str = ""
    ) -> AsyncIterator[TerminalSession]:
        """See `api.terminals.Terminals`."""
        application = await self._store.applications.get(application_id)
        if application.current_deployment_id is None:
            raise NotPossibleNow(
                f"'{application.name}' has no image yet, because nothing of it was deployed. Deploy it first."
            )
        deployment = await self._store.deployments.get(application.current_deployment_id)
        configuration = self._store.deployments.released(deployment)
        rows = await self._rows(application, configuration)
        [server_id, *_] = await self._places(application, rows, server)
        parts = await self._servers.parts(server_id)
        name = one_off_command_name(application_id, new_identifier())
        await parts.engine.ensure_network(parts.network, MANAGED)
        specification = one_off_command_specification(
            configuration,
            name=name,
            owner=self._owner,
            image=deployment.image,
            network=parts.network,
            mounts=await prepare_mounts(parts, configuration),
            environment=await replica_environment(
                self._store, configuration, self._surroundings, deployment, name
            ),
            start=start,
        )
        with self._counted():
            async with one_off_container(parts.engine, specification, start) as session:
                yield session

    @asynccontextmanager
    async def execute(
        self, application_id: str, start: Start, *, replica: int | None, server: str = ""
    ) -> AsyncIterator[TerminalSession]:
        """See `api.terminals.Terminals`."""
        application = await self._store.applications.get(application_id)
        parts, name = await self._replica(application, replica, server)
        with self._counted():
            async with parts.engine.execute_attached(
                name, start.command, has_input=start.interactive, terminal=start.terminal
            ) as session:
                yield session

    async def _rows(self, application: Application, configuration: ApplicationConfiguration) -> list[Server]:
        """The servers of the release that there still are. Raises NotPossibleNow where there is none."""
        rows = []
        for server_id in configuration.server_ids:
            # One that is gone for good may be removed before the next release does without it.
            with contextlib.suppress(NotFound):
                rows.append(await self._store.servers.get(server_id))
        if not rows:
            raise NotPossibleNow(f"All servers of '{application.name}' were removed. Deploy it to others.")
        return rows

    async def _places(self, application: Application, rows: Sequence[Server], server: str) -> tuple[str, ...]:
        """The servers that the release is on, or the one of them that is called so."""
        if not server:
            # One that is behind may lack the image.
            releases = await self._store.releases.of(application.id)
            released = application.current_deployment_id
            behind = {row.id for row in rows} if releases else set()
            behind -= {one.server_id for one in releases if one.deployment_id == released}
            return tuple(sorted((row.id for row in rows), key=lambda one: one in behind))
        found = [row.id for row in rows if server in (row.id, row.name, row.address)]
        if not found:
            raise NotFound(
                f"'{application.name}' is on no server '{server}'; it is on "
                f"{', '.join(row.name for row in rows)}."
            )
        return tuple(found)

    async def _replica(
        self, application: Application, number: int | None, server: str
    ) -> tuple[ServerParts, str]:
        if application.current_deployment_id is None:
            raise NotPossibleNow(f"'{application.name}' does not run, because nothing of it was deployed.")
        if application.desired_state == DesiredState.STOPPED:
            raise NotPossibleNow(
                f"'{application.name}' is stopped, so it has no replica. Start it, or use `seaway run`, "
                "which makes a container of its own."
            )
        configuration = await self._store.deployments.snapshot(application.current_deployment_id)
        rows = await self._rows(application, configuration)
        if rows[0].is_swarm_manager:
            manager = await self._servers.parts(rows[0].id)
            deployment = await self._store.deployments.get(application.current_deployment_id)
            service = service_name(application.id, deployment.release_id or deployment.id)
            return await task_container(
                self._store,
                self._servers,
                rows[0].id,
                manager,
                service,
                number=number,
                server=server,
            )
        places = await self._places(application, rows, server)
        return await running_replica(
            self._servers, configuration, places, application.name, number=number, server=server
        )

    @asynccontextmanager
    async def shell(self, server_id: str, start: Start) -> AsyncIterator[TerminalSession]:
        """See `api.terminals.Terminals`."""
        link = await self._servers.link(server_id)
        open_shells = self._shells.get(server_id, 0)
        if open_shells >= SHELLS_OF_A_SERVER:
            raise TooManyRequests(f"{open_shells} shells are open on this server already. Close one first.")
        self._shells[server_id] = open_shells + 1
        try:
            async with open_terminal(link, start) as session:
                yield session
        finally:
            self._shells[server_id] -= 1


@asynccontextmanager
async def one_off_container(
    engine: DockerEngine, specification: ContainerSpecification, start: Start
) -> AsyncIterator[TerminalSession]:
    """Makes and starts the container. When the block is left it is gone, by whatever way."""
    try:
        try:
            await engine.ensure_container(specification)
        except ImageNotFound as error:
            raise NotPossibleNow(
                f"The image {specification.image} is not on the server any more. Deploy again."
            ) from error
        async with engine.attach(
            specification.name, has_input=start.interactive, has_terminal=start.terminal is not None
        ) as session:
            await engine.start(specification.name)
            if start.terminal is not None:
                await session.resize(start.terminal.columns, start.terminal.rows)
            yield session
    finally:
        await uninterrupted(_end(engine, specification.name))


async def _end(engine: DockerEngine, name: str) -> None:
    try:
        await engine.stop(name, END_GRACE_SECONDS)
        await engine.remove(name)
    except SeawayError as error:
        logger.warning("the container %s of a one-off command is left for later: %s", name, error.message)


async def remove_abandoned_commands(store: Store, servers: Servers, owners_folder: Path) -> list[str]:
    """Removes the containers of one-off commands whose process died; returns their names.

    Servers that cannot be reached are passed over; a later start looks at them by the containers' age.
    """
    owners = frozenset(folder.name for folder in remove_abandoned(owners_folder, OWNER_PREFIX))
    removed = []
    for server in await store.servers.deployable():
        with contextlib.suppress(SeawayError):
            parts = await servers.parts(server.id)
            removed += await remove_commands_of(parts.engine, owners)
    for name in removed:
        logger.warning("the one-off command in %s was abandoned and is removed", name)
    return removed


async def remove_commands_of(engine: DockerEngine, owners: frozenset[str]) -> list[str]:
    """Removes the one-off commands of these processes, and those that are older than any may be."""
    removed = []
    for state in await engine.list_containers({ROLE_LABEL: ONE_OFF_COMMAND_ROLE}):
        is_old = state.started_at is not None and datetime.now(UTC) - state.started_at > OLDEST
        if state.labels.get(OWNER_LABEL) in owners or is_old:
            await engine.remove(state.name)
            removed.append(state.name)
    return removed
