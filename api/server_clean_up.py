"""The wish that a server be cleaned now."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from activities.messages import ServersToClean
from api.operations import ANSWER_LIMIT
from domain.clean_up import clean_up_event_id
from domain.errors import TransientError
from workflows import names


class ServerCleanUps:
    """Starts clean-ups; the workflow does the work."""

    def __init__(self, client: Client, task_queue: str = names.TASK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, server_id: str) -> str:
        """Cleans the server now; one that is being cleaned is left to it. Raises TransientError.

        The id of the event that will tell how it ended.
        """
        try:
            started = await self._client.start_workflow(
                names.CLEAN_UP_WORKFLOW,
                ServersToClean(server_ids=(server_id,)),
                id=names.clean_up_workflow_id(server_id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                rpc_timeout=ANSWER_LIMIT,
            )
        except RPCError as error:
            raise TransientError("Temporal does not answer. Try again in a moment.") from error
        return clean_up_event_id(started.result_run_id or "", server_id)
