"""The only way in which the API changes how a server stands: wishes to the server's workflow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.messages import (
    BuildSlotAnswer,
    BuildSlotRequest,
    Message,
    ServerProgress,
    ServerReceipt,
    ServerRequest,
)
from api.operations import ANSWER_LIMIT, Operations
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotPossibleNow, TransientError
from domain.identifiers import derived_identifier, new_identifier
from domain.servers import ServerStatus
from store.store import Store
from store.tables import Application, Server
from workflows import names
from workflows.server_state import ServerState

Answered = TypeVar("Answered", bound=Message)
LISTED = 5
"""So many names does a refusal list."""


class ServerOperations:
    """Makes servers usable and lets go of them. Every method returns at once; the workflow does the work."""

    def __init__(self, client: Client, store: Store, task_queue: str = names.TASK_QUEUE) -> None:
        self._client = client
        self._store = store
        self._task_queue = task_queue

    async def provision(self, server: Server, *, requested_by: str, request_id: str = "") -> None:
        """Starts to make the server usable, or repeats it; the same `request_id` twice is one wish.

        Raises NotPossibleNow for the local server and for one that is being removed, TransientError when
        Temporal does not answer.
        """
        _refuse_local(server)
        if server.status == ServerStatus.REMOVING:
            raise NotPossibleNow(f"The server '{server.name}' is being removed.")
        # Whoever looks at it next must not take its state of before for the answer.
        await self._store.servers.set(server.id, status=ServerStatus.PROVISIONING)
        request = ServerRequest(
            server_id=server.id, request_id=request_id or new_identifier(), requested_by=requested_by
        )
        try:
            receipt = await self._send(
                names.PROVISION_UPDATE, server, request, request.request_id, ServerReceipt
            )
        except (NotPossibleNow, TransientError):
            await self._store.servers.set(server.id, status=server.status)
            raise
        if receipt.repeated:
            await self._store.servers.set(server.id, status=server.status)

    async def remove(
        self, server: Server, *, requested_by: str, with_resources: bool, forget: bool = False
    ) -> None:
        """Starts to remove the server; with its applications and their volumes, if asked for.

        With `forget`, for one that is not usable, what cannot be taken away there stays.

        Raises NotPossibleNow for the local server, for one that others are reached through or that spreads
        visitors over others, and while applications live on it; with resources, only while some of them live
        on other servers too, and where the server does not answer and is not to be forgotten.
        """
        _refuse_local(server)
        await self._refuse_gate(server)
        applications = await self._applications_on(server, configured_only=forget)
        await self._refuse_edge(server, {one.id for one in applications} if with_resources else set())
        if applications and not with_resources:
            raise NotPossibleNow(
                f"Applications live on the server '{server.name}': {_listed(applications)}. Delete or move "
                "them first, or remove the server with everything on it. One that was given another server "
                "moves with its next deployment, and is here until that has finished."
            )
        shared = [one for one in applications if await self._lives_elsewhere_too(one, server)]
        if shared:
            raise NotPossibleNow(
                f"Applications live on '{server.name}' and on other servers: {_listed(shared)}. Take this "
                "server out of their configuration and deploy them first."
            )
        if forget and server.status == ServerStatus.USABLE:
            raise NotPossibleNow(f"The server '{server.name}' is usable: remove it without forgetting it.")
        if applications and not server.is_reachable and not forget:
            raise NotPossibleNow(
                f"The server '{server.name}' does not answer, so {_listed(applications)} cannot be deleted "
                "there. Bring it back or, if it is gone for good, ask to forget it; what is on it then stays."
            )
        request_id = new_identifier()
        options: dict[str, object] = {"delete_volumes": True}
        if forget:
            options["without_server_id"] = server.id
        request = ServerRequest(
            server_id=server.id,
            request_id=request_id,
            requested_by=requested_by,
            with_resources=with_resources,
            forget=forget,
        )
        # At once: what deployments have to undo on a server that is given up is passed over.
        await self._store.servers.set(server.id, status=ServerStatus.REMOVING)
        try:
            for application in applications:
                if not (forget and await self._is_being_deleted(application)):
                    await self._delete(application, requested_by, request_id, options)
            await self._send(names.REMOVE_UPDATE, server, request, request_id, ServerReceipt)
        except (NotPossibleNow, TransientError):
            await self._store.servers.set(server.id, status=server.status)
            raise

    async def progress(self, server_id: str) -> ServerProgress:
        """The workflow's own view. Raises TransientError when no worker answers within the limit."""
        handle = self._client.get_workflow_handle(names.server_workflow_id(server_id))
        try:
            return await handle.query(
                names.PROGRESS_QUERY, result_type=ServerProgress, rpc_timeout=ANSWER_LIMIT
            )
        except RPCError as error:
            raise _unavailable() from error

    async def ensure_workflow(self, server: Server) -> None:
        """The server's workflow runs afterwards, and does what the store says was under way."""
        await self._client.start_workflow(
            names.SERVER_WORKFLOW,
            _interrupted(server),
            id=names.server_workflow_id(server.id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=_attributes(server),
            static_summary=f"Server {server.id}",
            rpc_timeout=ANSWER_LIMIT,
        )

    async def lease_build_slot(self, server: Server, request: BuildSlotRequest) -> BuildSlotAnswer:
        """A slot to build in, or a place in the queue; asked again, the same with its present place.

        Raises NotPossibleNow for a server that is being removed, TransientError when Temporal is silent.
        """
        return await self._send(
            names.LEASE_BUILD_SLOT_UPDATE, server, request, new_identifier(), BuildSlotAnswer
        )

    async def _send(
        self, update: str, server: Server, request: Message, request_id: str, answers: type[Answered]
    ) -> Answered:
        start: WithStartWorkflowOperation[object, None] = WithStartWorkflowOperation(
            names.SERVER_WORKFLOW,
            _state_of(server),
            id=names.server_workflow_id(server.id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=_attributes(server),
            static_summary=f"Server {server.id}",
        )
        try:
            return await self._client.execute_update_with_start_workflow(
                update,
                request,
                start_workflow_operation=start,
                id=f"{update}-{request_id}",
                result_type=answers,
                rpc_timeout=ANSWER_LIMIT,
            )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            message = (
                cause.message if isinstance(cause, ApplicationError) else "The server's workflow refused."
            )
            raise NotPossibleNow(message) from error
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _unavailable() from error

    async def _refuse_gate(self, server: Server) -> None:
        behind = [
            one.name for one in await self._store.servers.all_remote() if one.jump_server_id == server.id
        ]
        if behind:
            listed = ", ".join(behind[:LISTED])
            raise NotPossibleNow(
                f"The server '{server.name}' is the jump host of {listed}. Change that first."
            )

    async def _refuse_edge(self, server: Server, going: Collection[str]) -> None:
        ids = await self._store.locations.applications_with_edge(server.id)
        applications = [await self._store.applications.get(one) for one in ids if one not in going]
        if applications:
            raise NotPossibleNow(
                f"The server '{server.name}' is the edge of {_listed(applications)}. Give them another edge, "
                "or none, and deploy them first."
            )

    async def _applications_on(self, server: Server, *, configured_only: bool) -> Sequence[Application]:
        ids = await self._store.locations.applications_on({server.id}, configured_only=configured_only)
        return [await self._store.applications.get(one) for one in ids]

    async def _lives_elsewhere_too(self, application: Application, server: Server) -> bool:
        return bool(set(await self._store.locations.servers_of(application)) - {server.id})

    async def _is_being_deleted(self, application: Application) -> bool:
        rows = await self._store.deployments.all_of_application(application.id)
        return any(
            row.kind == OperationKind.DELETE and not DeploymentStatus(row.status).is_final for row in rows
        )

    async def _delete(
        self, application: Application, requested_by: str, request_id: str, options: dict[str, object]
    ) -> None:
        _, project = await self._store.projects.environment_by_id(application.environment_id)
        operations = Operations(self._client, self._store, self._task_queue)
        await operations.submit(
            application,
            project,
            OperationKind.DELETE,
            requested_by=requested_by,
            idempotency_key=derived_identifier(request_id, application.id),
            options=options,
        )


def _state_of(server: Server) -> ServerState:
    """What a new workflow of this server begins with."""
    status = ServerStatus(server.status)
    was_usable = status in (ServerStatus.USABLE, ServerStatus.UNREACHABLE, ServerStatus.HOST_KEY_CHANGED)
    return ServerState(
        server_id=server.id,
        status=status,
        message=server.status_message,
        is_watched=was_usable and bool(server.data_folder),
    )


def _interrupted(server: Server) -> ServerState:
    """The same for a server whose workflow was lost, with what it was doing."""
    state = _state_of(server)
    state.provision = state.status is ServerStatus.PROVISIONING
    if state.status is ServerStatus.REMOVING:
        state.removal = ServerRequest(server_id=server.id, request_id=new_identifier())
    return state


def _attributes(server: Server) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(names.TEAM, server.team_id),
            SearchAttributePair(names.SERVER, server.id),
            SearchAttributePair(names.KIND, "server"),
        ]
    )


def _refuse_local(server: Server) -> None:
    if server.is_local:
        raise NotPossibleNow(
            f"'{server.name}' is the server that Seaway itself runs on; it stands as long as Seaway does."
        )


def _listed(applications: Sequence[Application]) -> str:
    more = f" and {len(applications) - LISTED} more" if len(applications) > LISTED else ""
    return ", ".join(f"'{one.name}'" for one in applications[:LISTED]) + more


def _unavailable() -> TransientError:
    return TransientError(
        "The workflow engine has not answered yet. It may still do what was asked for: look before you ask "
        "again. Check that Temporal and a Seaway worker are running."
    )
