"""Commands that people run: in a fresh container, in a replica, or on a server. Each is one WebSocket.

Only tokens open one: a browser would send its cookie to a WebSocket from any page.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from activities.application_secrets import redactor_for
from api.auditing import audit
from api.authentication import Ability, Principal, known_bearer, principal_of_bearer, require_ability
from api.context import ApiContext
from api.errors import body_of
from api.terminals import ClientLeft, Conversation, TerminalPlaces, Terminals
from domain.errors import Forbidden, InvalidInput, NotFound, NotPossibleNow, SeawayError
from domain.identifiers import is_identifier
from domain.redaction import Redactor
from domain.servers import LONGEST_HOST
from domain.terminals import Start, TerminalSession

router = APIRouter()
logger = logging.getLogger(__name__)

LONGEST_SUMMARY = 300
ADMINISTRATORS = frozenset(["owner", "admin"])
Open = Callable[[Terminals, Start], AbstractAsyncContextManager[TerminalSession]]


@dataclass(frozen=True)
class Place:
    """Where a command shall run, for one who may run it there; `redact` hides what is secret there."""

    action: str
    kind: str
    resource_id: str
    redact: Redactor
    open: Open
    needs_command: bool = True
    server: str = ""


NamedServer = Annotated[
    str,
    Query(
        pattern=r"^[^\x00]*$",  # the record of who ran what could not keep it
        max_length=LONGEST_HOST,
        description="Name, address or uuid of a server of the application.",
    ),
]


@router.websocket("/applications/{uuid}/run")
async def run(websocket: WebSocket, uuid: str, server: NamedServer = "") -> None:
    """A command in a fresh container of the application's current image, environment, volumes and network.

    On the application's first server, or on the `server` that is named.
    """

    async def find(context: ApiContext, principal: Principal) -> Place:
        redact = await _may_run(context, principal, uuid)
        return Place(
            "application.run",
            "application",
            uuid,
            redact,
            lambda on, start: on.run(uuid, start, server=server),
            server=server,
        )

    await _serve(websocket, find)


@router.websocket("/applications/{uuid}/exec")
async def execute(
    websocket: WebSocket, uuid: str, replica: int | None = None, server: NamedServer = ""
) -> None:
    """A command in a running replica."""

    async def find(context: ApiContext, principal: Principal) -> Place:
        redact = await _may_run(context, principal, uuid)
        return Place(
            "application.exec",
            "application",
            uuid,
            redact,
            lambda on, start: on.execute(uuid, start, replica=replica, server=server),
            server=server,
        )

    await _serve(websocket, find)


@router.websocket("/servers/{uuid}/shell")
async def shell(websocket: WebSocket, uuid: str) -> None:
    """A shell, or one command, on a server."""

    async def find(context: ApiContext, principal: Principal) -> Place:
        require_ability(principal, Ability.ROOT)
        if principal.role not in ADMINISTRATORS:
            raise Forbidden("Only owners and admins of the team open a shell on a server.")
        server = await context.store.servers.get(_known(uuid, "server"), team_id=principal.team_id)
        if server.is_local:
            raise NotPossibleNow(
                f"'{server.name}' is the machine that Seaway itself runs on. A shell there would be one of "
                "Seaway's own user, with its keys and data; log in to the machine instead."
            )
        return Place(
            "server.shell",
            "server",
            server.id,
            Redactor(),
            lambda on, start: on.shell(server.id, start),
            needs_command=False,
        )

    await _serve(websocket, find)


async def _may_run(context: ApiContext, principal: Principal, uuid: str) -> Redactor:
    # Who may both change and deploy an application can run anything in it already.
    require_ability(principal, Ability.WRITE)
    require_ability(principal, Ability.DEPLOY)
    application = await context.store.applications.get(_known(uuid, "application"), team_id=principal.team_id)
    return redactor_for(await context.store.applications.configuration(application.id))


def _known(uuid: str, what: str) -> str:
    if not is_identifier(uuid):
        raise NotFound(f"There is no such {what}.")
    return uuid


Find = Callable[[ApiContext, Principal], Awaitable[Place]]


async def _serve(websocket: WebSocket, find: Find) -> None:
    """Refuses with an HTTP answer, or accepts and attends the command to its end."""
    context: ApiContext = websocket.app.state.context
    places: TerminalPlaces = websocket.app.state.terminal_places

    async def check() -> None:
        try:
            await find(context, await known_bearer(websocket))
        except SQLAlchemyError as error:
            logger.warning("whether a command may go on could not be looked up: %s", error)

    try:
        principal = await principal_of_bearer(websocket)
        place = await find(context, principal)
        if context.terminals is None:
            raise NotPossibleNow("This Seaway runs no commands.")
        with places.taken_by(principal.team_id):
            await websocket.accept()
            await _attend(Conversation(websocket, check=check), context, principal, place)
    except SeawayError as error:
        answer = JSONResponse(body_of(error), status_code=error.http_status)
        await websocket.send_denial_response(answer)


async def _attend(
    conversation: Conversation, context: ApiContext, principal: Principal, place: Place
) -> None:
    try:
        start = await conversation.begin()
        if place.needs_command and not start.command:
            raise InvalidInput("Say which command shall run.")
        code = await _run(conversation, context, principal, place, start)
        await conversation.finish(code)
    except ClientLeft:
        return
    except SeawayError as error:
        await conversation.refuse(error)
    except Exception:
        logger.exception(
            "a command of %s on %s %s failed", principal.user_email, place.kind, place.resource_id
        )
        await conversation.refuse(SeawayError("Something went wrong within Seaway. Its log says more."))


def audited_command(command: Sequence[str], redact: Redactor) -> str:
    """What the audit keeps of it. Each word first: quoting spells a secret with a quote anew."""
    words = [redact(word).replace("\n", " ") for word in command]
    return redact(shlex.join(words))[:LONGEST_SUMMARY]


async def _run(
    conversation: Conversation, context: ApiContext, principal: Principal, place: Place, start: Start
) -> int:
    """Runs it, and records its beginning and its end whatever happens."""
    assert context.terminals is not None  # noqa: S101  looked at before
    command = audited_command(start.command, place.redact) or "a login shell"
    if place.server:
        command = f"on {shlex.quote(place.redact(place.server).replace(chr(10), chr(32)))}: {command}"
    await audit(context, principal, place.action, place.kind, place.resource_id, command)
    began = time.monotonic()
    outcome = "ended by Seaway"
    try:
        async with place.open(context.terminals, start) as session:
            code = await conversation.attend(session, interactive=start.interactive)
        outcome = f"exit code {code}"
    except ClientLeft:
        outcome = "ended, because its caller left"
        raise
    except SeawayError as error:
        outcome = f"failed: {error.code}"
        raise
    else:
        return code
    finally:
        seconds = time.monotonic() - began
        await audit(
            context,
            principal,
            f"{place.action}.ended",
            place.kind,
            place.resource_id,
            f"{outcome} after {seconds:.1f} s: {command}",
        )
