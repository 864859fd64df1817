"""The connections of one worker: one for each server, however many ask."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from adapters.ssh.connection import SshConnection
from adapters.ssh.targets import SshSettings, SshTarget

IDLE_LIMIT: Final = timedelta(minutes=10)


class SshPool:
    """Keeps connections by the server's id. `close()` ends them all."""

    def __init__(self, settings: SshSettings | None = None, *, idle_limit: timedelta = IDLE_LIMIT) -> None:
        """A link that nobody has used for `idle_limit` is ended; its next use opens another."""
        self._settings = settings or SshSettings()
        self._idle_seconds = idle_limit.total_seconds()
        self._connections: dict[str, SshConnection] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def acquire(self, server_id: str, target: SshTarget) -> SshConnection:
        """The server's connection. It connects when it is used, and stays the pool's: do not close it.

        With another target than before (address, key, host key, jump host) the old connection is closed:
        who still uses it gets ServerUnreachable.
        """
        present = self._connections.get(server_id)
        if present is not None and present.target == target:
            return present
        self._connections[server_id] = made = SshConnection(target, self._settings)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._end_idle_links())
        if present is not None:
            await present.close()
        return made

    async def forget(self, server_id: str) -> None:
        """The server's connection is closed; unknown is fine."""
        present = self._connections.pop(server_id, None)
        if present is not None:
            await present.close()

    async def close(self) -> None:
        """Every connection is closed."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
            self._sweeper = None
        connections, self._connections = self._connections, {}
        await asyncio.gather(*(one.close() for one in connections.values()))

    async def _end_idle_links(self) -> None:
        while True:
            await asyncio.sleep(self._idle_seconds / 4)
            idle = [
                one
                for one in self._connections.values()
                if one.is_connected and one.idle_seconds >= self._idle_seconds
            ]
            await asyncio.gather(*(one.disconnect() for one in idle))
