"""One server's workflow, asked as the API asks it."""

from __future__ import annotations

from typing import Any

from temporalio.client import WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from activities import messages as m
from domain.servers import ServerStatus
from tests.harness.waiting import eventually
from tests.workflow.bench import CALL_LIMIT, Bench
from workflows import names
from workflows.server_state import ServerState


class Server:
    """A server of a bench; `state` is what its workflow begins with."""

    def __init__(self, bench: Bench, **state: Any) -> None:
        self.bench = bench
        self.id = bench.id_of("server")
        self._state = ServerState(server_id=self.id, **state)

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """Its workflow."""
        return self.bench.client.get_workflow_handle(names.server_workflow_id(self.id))

    async def ask(self, update: str, request_id: str = "first", **fields: Any) -> m.ServerReceipt:
        """Sends an update, starting the workflow if need be."""
        start: WithStartWorkflowOperation[Any, None] = WithStartWorkflowOperation(
            names.SERVER_WORKFLOW,
            self._state,
            id=names.server_workflow_id(self.id),
            task_queue=self.bench.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        request = m.ServerRequest(server_id=self.id, request_id=request_id, **fields)
        return await self.bench.client.execute_update_with_start_workflow(
            update,
            request,
            start_workflow_operation=start,
            result_type=m.ServerReceipt,
            rpc_timeout=CALL_LIMIT,
        )

    async def provision(self, request_id: str = "first") -> m.ServerReceipt:
        """Asks for all steps."""
        return await self.ask(names.PROVISION_UPDATE, request_id)

    async def remove(self, request_id: str = "removal", **wish: bool) -> m.ServerReceipt:
        """Asks to let go of it; `wish` are fields of the request."""
        return await self.ask(names.REMOVE_UPDATE, request_id, **wish)

    async def progress(self) -> m.ServerProgress:
        """The workflow's own view."""
        return await self.handle.query(
            names.PROGRESS_QUERY, result_type=m.ServerProgress, rpc_timeout=CALL_LIMIT
        )

    async def until(self, status: ServerStatus) -> m.ServerProgress:
        """What the workflow says once it has the status."""

        async def reached() -> m.ServerProgress | None:
            found = await self.progress()
            return found if found.status is status else None

        return await eventually(reached, interval_seconds=0.02)


async def until_called(bench: Bench, activity: str, times: int = 1) -> None:
    """Returns once the activity was called so often."""
    await eventually(
        lambda: bench.fakes.labels().count(activity) >= times,
        interval_seconds=0.01,
        describe=lambda: f"{times} calls of {activity}: {bench.fakes.labels()}",
    )
