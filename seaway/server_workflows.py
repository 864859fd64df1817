"""Every server has its workflow, also after the workflow engine lost its data."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from temporalio.client import Client

from api.server_operations import ServerOperations
from domain.errors import NotFound, TransientError
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Server
from workflows.names import TASK_QUEUE

UNDER_WAY = (ServerStatus.PROVISIONING, ServerStatus.REMOVING)
logger = logging.getLogger("seaway.servers")


async def ensure_server_workflows(
    store: Store, client: Client, task_queue: str = TASK_QUEUE
) -> Sequence[Server]:
    """Starts those that do not run; they go on with what the store says was under way.

    Returns the servers of which it says so.
    """
    operations = ServerOperations(client, store, task_queue)
    remote = await store.servers.all_remote()
    # Seaway's own is only asked for slots to build in; that must not have to start it.
    for server in [*await store.servers.all_local(), *remote]:
        await operations.ensure_workflow(server)
    return [server for server in remote if server.status in UNDER_WAY]


async def correct_states(
    store: Store, client: Client, servers: Sequence[Server], task_queue: str = TASK_QUEUE
) -> None:
    """A server is shown as what its workflow says, where that never heard of what the store says of it.

    Who asked for something writes it down first; if it dies before it has told the workflow, the server would
    be provisioned or removed for ever. Needs a worker that polls.
    """
    operations = ServerOperations(client, store, task_queue)
    for server in servers:
        try:
            progress = await operations.progress(server.id)
        except TransientError as error:
            logger.warning("whether %s is under way is not known: %s", server.name, error.message)
            continue
        if progress.status not in UNDER_WAY and not progress.has_more_to_do:
            with contextlib.suppress(NotFound):  # it has been removed
                await store.servers.set(server.id, status=progress.status, status_message=progress.message)
