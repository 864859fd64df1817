"""What happened to a server, as its pages tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from api.context import ApiContext
from api.pages.views import StatusView
from domain.server_events import ServerEventKind
from store.tables import Server

EVENTS_SHOWN = 20
EVENTS_ID = "server-events"
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


@dataclass(frozen=True)
class Happenings:
    """Some events, newest first, and where others are shown; an address is empty where there are none."""

    rows: tuple[Happening, ...]
    is_earlier: bool = False
    older_url: str = ""
    newest_url: str = ""


async def events_of(
    context: ApiContext,
    server: Server,
    limit: int = EVENTS_SHOWN,
    *,
    before: datetime | None = None,
    url: str = "",
) -> Happenings:
    """What happened to the server, newest first; only what is `before`, if given.

    `url` shows these events, and its query may be added to.
    """
    found = await context.store.watch.events(server.id, limit=limit + 1, before=before)
    events = found[:limit]
    goes_on = bool(url) and len(found) > limit
    older = urlencode({"before": events[-1].at.isoformat()}) if goes_on else ""
    return Happenings(
        rows=tuple(Happening(EVENT_KINDS[ServerEventKind(one.kind)], one.at, one.message) for one in events),
        is_earlier=before is not None,
        older_url=f"{url}&{older}#{EVENTS_ID}" if goes_on else "",
        newest_url=f"{url}#{EVENTS_ID}" if url and before is not None else "",
    )
