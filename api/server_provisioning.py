"""Making a server usable: the host key is pinned at first contact, then the server's workflow takes over."""

from __future__ import annotations

from api.auditing import audit
from api.authentication import Principal
from api.context import ApiContext
from api.safeguards import check_way_in
from domain.deployments import StepStatus
from domain.errors import Conflict, NotPossibleNow, SeawayError, ServerUnreachable
from domain.host_keys import HostKey, is_fingerprint_of
from domain.servers import ServerStatus, ServerStepName
from store.columns import now
from store.tables import Server

LOCAL = "Seaway runs on this server itself, so nobody has to reach it."


async def request_provisioning(context: ApiContext, principal: Principal, server: Server) -> Server:
    """Starts it, or begins anew; the server as it stands then.

    Trust on first contact: a server without a pinned key gets the one that it shows; a pinned one is never
    replaced here. Raises what reaching the server raises, and has written that to the server before.
    """
    check_may_change(server)
    if not server.host_key:
        server = await _pin_at_first_contact(context, principal, server)
    await context.server_operations.provision(server, requested_by=principal.user_email)
    return await context.store.servers.get(server.id)


async def try_provisioning(context: ApiContext, principal: Principal, server: Server) -> Server:
    """The same for a request that is about more than this: what goes wrong is told by the server."""
    try:
        return await request_provisioning(context, principal, server)
    except SeawayError as error:
        present = await context.store.servers.get(server.id)
        if present.status_message:
            return present
        return await context.store.servers.set(server.id, status_message=error.message)


async def accept_host_key(
    context: ApiContext, principal: Principal, server: Server, fingerprint: str
) -> Server:
    """Pins the key that the server shows now, if it is the one that the person means.

    Raises Conflict where it is another one, Forbidden as `check_way_in` does, and as `request_provisioning`.
    """
    check_may_change(server)
    await check_way_in(context, principal, server)
    shown = await context.host_keys.shown_by(server)
    if not is_fingerprint_of(shown, fingerprint):
        raise Conflict(
            f"The server shows the key {shown.fingerprint}, not the one that you named. Compare it with what "
            "`ssh-keygen -lf` says about the keys in /etc/ssh on the server itself."
        )
    server = await _pin(context, principal, server, shown, "server.host_key.accept")
    return await request_provisioning(context, principal, server)


def check_may_change(server: Server) -> None:
    """Raises NotPossibleNow for Seaway's own server, and for one that is being removed."""
    if server.is_local:
        raise NotPossibleNow(LOCAL)
    if server.status == ServerStatus.REMOVING:
        raise NotPossibleNow(f"The server '{server.name}' is being removed.")


async def _pin_at_first_contact(context: ApiContext, principal: Principal, server: Server) -> Server:
    try:
        shown = await context.host_keys.shown_by(server)
    except SeawayError as error:
        await _note_failure(context, server, error)
        raise
    # Who asked at the same time may have been faster: what is pinned stays.
    present = await context.store.servers.get(server.id)
    if present.host_key:
        return present
    return await _pin(context, principal, present, shown, "server.host_key.pin")


async def _pin(
    context: ApiContext, principal: Principal, server: Server, shown: HostKey, action: str
) -> Server:
    pinned = await context.store.servers.set(server.id, host_key=shown.text, shown_host_key="")
    await audit(context, principal, action, "server", server.id, f"{server.name}: {shown.fingerprint}")
    return pinned


async def _note_failure(context: ApiContext, server: Server, error: SeawayError) -> None:
    """The timeline tells of a first contact that failed as of any other step."""
    servers, first = context.store.servers, ServerStepName.REACH
    await servers.begin_steps(server.id)
    await servers.move_step(server.id, first, StepStatus.RUNNING, attempt=1)
    await servers.move_step(server.id, first, StepStatus.FAILED, message=error.message, detail=error.detail)
    silent = isinstance(error, ServerUnreachable)
    await servers.set(
        server.id,
        status=ServerStatus.UNREACHABLE if silent else ServerStatus.NOT_USABLE,
        status_message=error.message,
        is_reachable=False,
        is_usable=False,
        checked_at=now(),
    )
