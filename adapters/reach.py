"""The way to an address as a server sees it: direct where we are on it, forwarded where we are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class Reach(Protocol):
    """Gives an address that can be connected to from here, for as long as the block lasts."""

    def address(self, host: str, port: int) -> AbstractAsyncContextManager[tuple[str, int]]:
        """Enter to get (host, port) for an address of the server, of a container or of its own loopback."""
        ...


class LocalReach:
    """The server is this machine: its addresses are ours."""

    @asynccontextmanager
    async def address(self, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        """The address itself."""
        yield host, port
