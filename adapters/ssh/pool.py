"""The connections of one worker: one for each server, however many ask and whoever is reached through it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from adapters.ssh.connection import SshConnection
from adapters.ssh.links import SshLink
from adapters.ssh.targets import SshSettings, SshTarget

IDLE_LIMIT: Final = timedelta(minutes=10)


class SshPool:
    """Keeps connections by the server's id, and links to jump hosts. `close()` ends them all.

    All servers behind a jump host share one link to it: that of its own connection where it has one.
    """

    def __init__(self, settings: SshSettings | None = None, *, idle_limit: timedelta = IDLE_LIMIT) -> None:
        """A link that nobody has used for `idle_limit` is ended; its next use opens another."""
        self._settings = settings or SshSettings()
        self._idle_seconds = idle_limit.total_seconds()
        self._connections: dict[str, SshConnection] = {}
        self._ways: dict[SshTarget, SshLink] = {}
        """To jump hosts that have no connection of their own here."""
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def server_ids(self) -> frozenset[str]:
        """The servers that have a connection here, open or not."""
        return frozenset(self._connections)

    async def acquire(self, server_id: str, target: SshTarget) -> SshConnection:
        """The server's connection. It connects when it is used, and stays the pool's: do not close it.

        With another target than before (address, key, host key, jump host) the old connection is closed:
        who still uses it gets ServerUnreachable.
        """
        present = self._connections.get(server_id)
        if present is not None and present.target == target:
            return present
        link = self._ways.pop(target, None) or SshLink(target, self._settings, self._way)
        self._connections[server_id] = made = SshConnection(target, self._settings, link)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._end_idle_links())
        if present is not None:
            await present.close()
            await self._end_ways_to_nobody()
        return made

    async def forget(self, server_id: str) -> None:
        """The server's connection is closed; unknown is fine. Servers behind it log in to it anew."""
        present = self._connections.pop(server_id, None)
        if present is not None:
            await present.close()
            await self._end_ways_to_nobody()

    async def close(self) -> None:
        """Every connection is closed."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        connections, self._connections = self._connections, {}
        await asyncio.gather(*(one.close() for one in connections.values()))
        await self._end_ways_to_nobody()

    def _way(self, jump: SshTarget) -> SshLink:
        """The link to a jump host, for as long as somebody is reached through it."""
        own = next((one.link for one in self._connections.values() if one.target == jump), None)
        if own is not None:
            return own
        if jump not in self._ways:
            self._ways[jump] = SshLink(jump, self._settings, self._way)
        return self._ways[jump]

    async def _end_ways_to_nobody(self) -> None:
        needed = _jumps_of(self._connections.values())
        ended = [self._ways.pop(jump) for jump in tuple(self._ways) if jump not in needed]
        await asyncio.gather(*(link.close() for link in ended))

    async def _end_idle_links(self) -> None:
        while True:
            await asyncio.sleep(self._idle_seconds / 4)
            present = self._connections.values()
            used = _jumps_of(one for one in present if one.idle_seconds < self._idle_seconds)
            idle = [
                one
                for one in present
                if one.is_connected and one.idle_seconds >= self._idle_seconds and one.target not in used
            ]
            ways = [link for jump, link in self._ways.items() if link.is_connected and jump not in used]
            await asyncio.gather(*(one.disconnect() for one in idle), *(link.disconnect() for link in ways))


def _jumps_of(connections: Iterable[SshConnection]) -> set[SshTarget]:
    return {jump for one in connections for jump in one.target.jumps}
