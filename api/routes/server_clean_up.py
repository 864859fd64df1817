"""Servers cleaned on demand."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from api.auditing import audit
from api.authentication import Writer
from api.routes.parameters import ContextOf, Uuid
from api.shapes.answers import Body, Done
from domain.errors import InvalidInput, NotPossibleNow
from domain.servers import can_be_cleaned

router = APIRouter(tags=["Servers"])

NEVER = (
    "Seaway never removes volumes and networks by itself. Delete their application, or do it on the server."
)


class CleanUpStarted(Done):
    """The server is being cleaned."""

    event_uuid: str = Field(description="Of the server's event that will tell what was removed.")


class CleanUp(Body):
    """What else to remove; Seaway refuses both."""

    delete_unused_volumes: bool = False
    delete_unused_networks: bool = False


@router.post("/servers/{uuid}/docker-cleanup/run", summary="Clean a server now")
async def run_server_docker_cleanup(
    uuid: Uuid, context: ContextOf, principal: Writer, body: CleanUp | None = None
) -> CleanUpStarted:
    """Removes images beyond the kept ones, containers of former releases and too much cache of builds.

    Nothing of anybody else. An event of the server tells what was removed.
    """
    server = await context.store.servers.get(uuid, team_id=principal.team_id)
    if body is not None and (body.delete_unused_volumes or body.delete_unused_networks):
        field = "delete_unused_volumes" if body.delete_unused_volumes else "delete_unused_networks"
        raise InvalidInput(NEVER, field=field)
    if not can_be_cleaned(server.status, server.is_reachable):
        raise NotPossibleNow(
            f"The server '{server.name}' is not usable now: {server.status_message}".rstrip(": ")
        )
    if context.clean_ups is None:
        raise NotPossibleNow("This process of Seaway was started without a way to servers.")
    event_id = await context.clean_ups.start(server.id)
    await audit(context, principal, "server.clean_up", "server", server.id, server.name)
    return CleanUpStarted(message="Manual cleanup job started.", event_uuid=event_id)
