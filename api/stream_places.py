"""How many live streams a team may have open: each reads the database again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, TypeVar, cast

from domain.errors import TooManyRequests

MOST_OF_A_TEAM: Final = 200
"""A browser has one for each page that it shows."""

Event = TypeVar("Event")

_open: Counter[str] = Counter()


def counted(team_id: str, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The same events, of a stream that counts for as long as it is read. Raises TooManyRequests."""
    if _open[team_id] >= MOST_OF_A_TEAM:
        raise TooManyRequests(
            f"Your team has {MOST_OF_A_TEAM} live streams open, which are as many as it may have. Close some."
        )
    return _read(team_id, cast("AsyncGenerator[Event, None]", events))


async def _read(team_id: str, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    _open[team_id] += 1
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    finally:
        _open[team_id] -= 1
        if not _open[team_id]:
            del _open[team_id]
