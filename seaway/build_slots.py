"""The workflows of servers, asked for slots by activities."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities import messages as m
from api.server_operations import ServerOperations
from store.store import Store
from store.tables import Server
from workflows import names


class WorkflowSlotKeepers:
    """See `activities.build_slots.SlotKeepers`."""

    def __init__(self, client: Client, store: Store, task_queue: str = names.TASK_QUEUE) -> None:
        self._client = client
        self._operations = ServerOperations(client, store, task_queue)

    async def lease(self, server: Server, request: m.BuildSlotRequest) -> m.BuildSlotAnswer:
        """See `SlotKeepers`."""
        return await self._operations.lease_build_slot(server, request)

    async def release(self, server_id: str, deployment_id: str) -> None:
        """See `SlotKeepers`."""
        handle = self._client.get_workflow_handle(names.server_workflow_id(server_id))
        try:
            await handle.signal(
                names.RELEASE_BUILD_SLOT_SIGNAL, m.BuildSlotRelease(deployment_id=deployment_id)
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def closed(self, deployment_ids: Sequence[str]) -> tuple[str, ...]:
        """See `SlotKeepers`."""
        run = await asyncio.gather(*[self._runs(one) for one in deployment_ids])
        return tuple(one for one, runs in zip(deployment_ids, run, strict=True) if not runs)

    async def _runs(self, deployment_id: str) -> bool:
        workflow_id = names.deployment_workflow_id(deployment_id)
        try:
            found = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return found.status is WorkflowExecutionStatus.RUNNING
