"""How much of a stream may be on its way to a reader who has not taken it yet."""

from __future__ import annotations

import asyncio


class Credit:
    """Holds a writer up while more than `limit_bytes` are neither taken nor lost."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._open = 0
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    async def spend(self, count: int) -> None:
        """Returns when so many more bytes may be sent; at once where nothing is on its way."""
        while self._open and self._open + count > self._limit:
            self._may_go_on.clear()
            await self._may_go_on.wait()
        self._open += count

    def taken(self, count: int) -> None:
        """The reader has taken so many."""
        self._open = max(0, self._open - count)
        self._may_go_on.set()
