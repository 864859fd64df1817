"""What containers write to their output."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.states import LogEntry
from adapters.docker.streams import LogReader, last_entries
from domain.errors import NotFound


class Logs(EngineConnection):
    """Reads the output of containers; they must not have a terminal, as none of Seaway's has."""

    async def logs(self, name: str, tail: int) -> list[str]:
        """The last `tail` lines of both streams in order of time; none when there is no container."""
        return [entry.text for entry in await self.log_entries(name, tail)]

    async def log_entries(self, name: str, tail: int) -> list[LogEntry]:
        """The same with their times."""
        try:
            async with aclosing(self._entries(name, tail, follow=False, since=None)) as entries:
                return await last_entries(entries, tail)
        except NotFound:
            return []

    def follow_logs(self, name: str, tail: int, since: datetime | None = None) -> AsyncIterator[LogEntry]:
        """The last `tail` lines (only those after `since`), then every new one until the container ends.

        Close the iterator (`aclosing`) to stop listening. Raises NotFound when there is no container.
        """
        return self._entries(name, tail, follow=True, since=since)

    async def _entries(
        self, name: str, tail: int, *, follow: bool, since: datetime | None
    ) -> AsyncGenerator[LogEntry, None]:
        query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": tail}
        query["follow"] = int(follow)
        if since is not None:
            query["since"] = f"{since.timestamp():.6f}"
        reader = LogReader()
        try:
            async with self.stream("GET", f"/containers/{name}/logs", query=query) as stream:
                async for chunk in stream:
                    for entry in reader.feed(chunk):
                        yield entry
            for entry in reader.rest():
                yield entry
        except EngineRefusal as refusal:
            if refusal.status == 404:
                raise NotFound(f"There is no container {name}.") from refusal
            raise
