"""Pages look again as soon as something happened, and not more often than they may."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from api.pages import live
from api.pages.happenings import EVENT_KINDS, Happening, Happenings
from api.pages.live import LEAST_PAUSE, Fragment, stream_fragments, wake_pages
from domain.server_events import ServerEventKind
from store.columns import now

SELDOM = timedelta(minutes=5)


class Page:
    """A part of a page that shows the events of a server, and notes when it is made."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.made: list[float] = []

    async def produce(self) -> Sequence[Fragment]:
        self.made.append(time.monotonic())
        status = EVENT_KINDS[ServerEventKind.CONTAINER_DIED]
        events = Happenings(tuple(Happening(status, now(), message) for message in self.messages))
        state = tuple(self.messages)
        return [Fragment("server-events", "fragments/server_events.html", {"events": events}, state=state)]


async def shown(events: AsyncIterator[Any]) -> str:
    event = await anext(events)
    return str(json.loads(event.data))


async def test_a_page_that_looks_seldom_shows_at_once_what_happened():
    page = Page()
    events: Any = stream_fragments(page.produce, for_team="team", period=SELDOM).body_iterator
    assert "Nothing worth telling" in await shown(events)
    waiting = asyncio.ensure_future(shown(events))
    page.messages.append("The replica shop-1 died.")
    wake_pages()
    async with asyncio.timeout(1):
        assert "The replica shop-1 died." in await waiting
    await events.aclose()


async def test_much_that_happens_does_not_make_a_page_again_and_again():
    page = Page()
    events: Any = stream_fragments(page.produce, for_team="team", period=SELDOM).body_iterator
    await anext(events)
    waiting = asyncio.ensure_future(anext(events))
    began = time.monotonic()
    while len(page.made) < 4:
        wake_pages()
        await asyncio.sleep(0.005)
    assert time.monotonic() - began >= 2.5 * LEAST_PAUSE.total_seconds()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_nobody_is_woken_who_has_left():
    events: Any = stream_fragments(Page().produce, for_team="team", period=SELDOM).body_iterator
    before = len(live._waiting)
    await anext(events)
    assert len(live._waiting) == before + 1
    await events.aclose()
    assert len(live._waiting) == before
