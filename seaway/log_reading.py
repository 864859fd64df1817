"""The lines of several streams, read for one who follows them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import aclosing
from typing import Final

from api.context import RuntimeLine
from domain.errors import SeawayError
from seaway.log_positions import News, Positions, Replica, replica_of
from seaway.replica_logs import LINES_AT_ONCE, Placed, ServerPlaces, Written, read_logs
from seaway.shared_logs import Listener

logger = logging.getLogger("seaway")

GAP: Final = "Lines are missing here: more was written meanwhile than is read at once."

LINES_WAITING = 16
"""So many are read before somebody takes them; each may have 256 KiB."""

Read = tuple[Replica | None, RuntimeLine]
"""A line and who wrote it; nobody where it is Seaway that says it."""


class LogReading:
    """Reads each replica's lines once, in the order of its stream, and tells where some are missing."""

    def __init__(self, places: ServerPlaces) -> None:
        """`places` are shared by all who read logs."""
        self.lines: asyncio.Queue[Read] = asyncio.Queue(LINES_WAITING)
        self._places = places
        self._read: Positions = {}
        self._listed: set[Replica] = set()
        self._has_begun = asyncio.Event()

    def know(self, replicas: Collection[Replica]) -> None:
        """These are the replicas of now."""
        self._listed.clear()
        self._listed.update(replicas)

    async def begin(
        self, replicas: Sequence[Placed], most: int, after: Positions | None
    ) -> tuple[Positions, list[Read]]:
        """The last lines of all together, and how far each replica was read before them.

        Raises ServerUnreachable when no answer comes in time.
        """
        written = await read_logs(replicas, self._places, most, after)
        self._read |= written.before
        found = _lines_of(written)
        for replica, line in found:
            self._remember(replica, line)
        self._has_begun.set()
        return dict(written.before), found

    async def follow(self, together: Sequence[Placed], listener: Listener) -> bool:
        """What the replicas of one stream write until it ends; whether it is they who ended it.

        It is heard before its replicas are read, so that nothing falls between.
        """
        first = together[0]
        try:
            if self._has_begun.is_set():
                await self._catch_up(together)
            else:
                await self._has_begun.wait()
            these = [placed.replica for placed in together]
            news = News(self._read, these, self._listed, hears_begin=listener.hears_begin)
            async with aclosing(listener.entries()) as entries:  # type: ignore[type-var]
                async for entry in entries:
                    if entry is None:
                        await self._put(None, RuntimeLine(GAP))
                        continue
                    replica = replica_of(first.server_id, entry.task or first.state.id)
                    if news.is_after_gap(replica, entry.at):
                        await self._put(None, RuntimeLine(GAP))
                    if news.has(replica, entry.at):
                        await self._put(replica, RuntimeLine(entry.text, entry.at))
        except SeawayError:
            return False
        except Exception:
            logger.exception("the log of %s cannot be read", first.state.name)
            return False
        finally:
            await listener.close()
        return True

    async def _catch_up(self, together: Sequence[Placed]) -> None:
        """What was written since these replicas were read, or what they have written at all."""
        these = {placed.replica for placed in together}
        after = {one: at for one, at in self._read.items() if one in these}
        written = await read_logs(together, self._places, LINES_AT_ONCE, after)
        self._read |= written.before
        for replica, line in _lines_of(written):
            await self._put(replica, line)

    async def _put(self, replica: Replica | None, line: RuntimeLine) -> None:
        await self.lines.put((replica, line))
        self._remember(replica, line)

    def _remember(self, replica: Replica | None, line: RuntimeLine) -> None:
        if replica is not None and line.at is not None:
            self._read[replica] = max(line.at, self._read.get(replica, line.at))


def _lines_of(written: Written) -> list[Read]:
    gap: list[Read] = [(None, RuntimeLine(GAP))] if written.has_gap else []
    return gap + [(replica, RuntimeLine(entry.text, entry.at)) for replica, entry in written.entries]
