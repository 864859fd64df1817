"""Every server has its workflow, also after the workflow engine lost its data."""

from __future__ import annotations

from temporalio.client import Client

from api.server_operations import ServerOperations
from store.store import Store
from workflows.names import TASK_QUEUE


async def ensure_server_workflows(store: Store, client: Client, task_queue: str = TASK_QUEUE) -> None:
    """Starts those that do not run; they go on with what the store says was under way."""
    operations = ServerOperations(client, store, task_queue)
    # Seaway's own is only asked for slots to build in; that must not have to start it.
    for server in [*await store.servers.all_local(), *await store.servers.all_remote()]:
        await operations.ensure_workflow(server)
