"""What happened to a server, as its pages tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from api.context import ApiContext
from api.pages.views import StatusView
from domain.server_events import ServerEventKind
from store.tables import Server

EVENTS_SHOWN = 20
EVENT_KINDS = {
    ServerEventKind.DISK_ABOVE_THRESHOLD: StatusView("Disk fills up", "bad"),
    ServerEventKind.DISK_BELOW_THRESHOLD: StatusView("Disk has room", "good"),
    ServerEventKind.UNREACHABLE: StatusView("Unreachable", "bad"),
    ServerEventKind.REACHABLE_AGAIN: StatusView("Reachable again", "good"),
    ServerEventKind.CONTAINER_DIED: StatusView("Replica died", "bad"),
    ServerEventKind.HOST_KEY_CHANGED: StatusView("Host key changed", "bad"),
    ServerEventKind.PROXY_DOWN: StatusView("Proxy down", "bad"),
    ServerEventKind.PROXY_UP: StatusView("Proxy started", "good"),
    ServerEventKind.REMOVAL_REFUSED: StatusView("Not removed", "bad"),
    ServerEventKind.CLEANED_UP: StatusView("Cleaned up", "good"),
    ServerEventKind.CLEAN_UP_FAILED: StatusView("Not cleaned up", "bad"),
}


@dataclass(frozen=True)
class Happening:
    """An event as it is shown."""

    status: StatusView
    at: datetime
    message: str


async def events_of(context: ApiContext, server: Server, limit: int = EVENTS_SHOWN) -> list[Happening]:
    """What happened to the server, newest first."""
    events = await context.store.watch.events(server.id, limit=limit)
    return [Happening(EVENT_KINDS[ServerEventKind(one.kind)], one.at, one.message) for one in events]
