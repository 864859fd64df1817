"""Pages that stay current: the server sends each part of a page again when what it shows has changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sse_starlette import EventSourceResponse, ServerSentEvent

from api.stream_places import counted
from domain.errors import NotFound, SeawayError
from ui.rendering import render

logger = logging.getLogger(__name__)

PERIOD = timedelta(seconds=1)
# Pages are not made again more often than this, however much happens.
LEAST_PAUSE = timedelta(milliseconds=200)
# The browser connects again by itself, and with that the log-in is checked again.
LONGEST = timedelta(minutes=10)
PING_SECONDS = 15


@dataclass(frozen=True)
class Fragment:
    """A part of a page: a template whose first element has the id `id`, and what it shows.

    It is sent again when its values change or, where `state` is given, when that does.
    """

    id: str
    template: str
    values: Mapping[str, object]
    state: object = None

    def is_like(self, other: Fragment | None) -> bool:
        """Whether the browser that was sent the other shows this already."""
        if other is None:
            return False
        return self.values == other.values if self.state is None else self.state == other.state


Produce = Callable[[], Awaitable[Sequence[Fragment]]]


_waiting: set[asyncio.Event] = set()


def wake_pages() -> None:
    """Something changed that pages of this process may show: they look again now. Others do in their turn."""
    for waiter in _waiting:
        waiter.set()


def stream_fragments(produce: Produce, *, for_team: str, period: timedelta = PERIOD) -> EventSourceResponse:
    """Events `fragment` with HTML; `gone` when the thing no longer exists. Raises TooManyRequests."""
    return EventSourceResponse(counted(for_team, _events(produce, period)), ping=PING_SECONDS)


async def _events(produce: Produce, period: timedelta) -> AsyncIterator[ServerSentEvent]:
    changed = asyncio.Event()
    _waiting.add(changed)
    try:
        async for event in _changes(produce, period, changed):
            yield event
    finally:
        _waiting.discard(changed)


async def _changes(
    produce: Produce, period: timedelta, changed: asyncio.Event
) -> AsyncIterator[ServerSentEvent]:
    shown: dict[str, Fragment] = {}
    ends_at = time.monotonic() + LONGEST.total_seconds()
    while time.monotonic() < ends_at:
        changed.clear()
        try:
            fragments = await produce()
        except NotFound:
            yield ServerSentEvent(event="gone", data="{}")
            return
        except SeawayError as error:
            # The page keeps what it shows; the next round may do better.
            logger.warning("a live page could not be read: %s", error.message)
            fragments = ()
        for fragment in fragments:
            if not fragment.is_like(shown.get(fragment.id)):
                shown[fragment.id] = fragment
                html = render(fragment.template, **fragment.values)
                yield ServerSentEvent(event="fragment", data=json.dumps(html))
        least = min(period, LEAST_PAUSE)
        await asyncio.sleep(least.total_seconds())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((period - least).total_seconds()):
                await changed.wait()
