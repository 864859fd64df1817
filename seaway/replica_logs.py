"""What the replicas of an application wrote, on all its servers, in order of time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from activities.together import all_or_none
from adapters.docker.states import ContainerState, LogEntry
from domain.errors import ServerUnreachable
from seaway.service_view import LogSource

LOGS_LIMIT_SECONDS = 15.0
"""A log's driver, or a Swarm's node, may never answer."""

READS_OF_A_SERVER = 4
"""Each holds a thread and a replica's lines for a while, whoever asks."""

MOST_CHARACTERS = 16 * 1024 * 1024
"""Of all replicas together; a single line may have 256 KiB."""

Stream = tuple[str, str]


class Placed(NamedTuple):
    """A replica: its server, where its output comes from, and how it stands."""

    server_id: str
    source: LogSource
    state: ContainerState

    @property
    def stream(self) -> Stream:
        """What is followed for it: its container or, with all other tasks, its service."""
        return self.server_id, self.state.name.partition(".")[0]


@dataclass
class ServerPlaces:
    """What all readers of logs together take of each server."""

    streams: Counter[str] = field(default_factory=Counter)
    reads: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(READS_OF_A_SERVER))
    )


@dataclass
class Written:
    """The last lines of several replicas; only those `after`, if given."""

    most: int
    after: datetime | None = None
    entries: list[LogEntry] = field(default_factory=list)
    newest: dict[Stream, datetime] = field(default_factory=dict)
    has_gap: bool = False
    """Whether lines that were written `after` are missing."""

    def take(self, stream: Stream, entries: Sequence[LogEntry]) -> None:
        """Adds what a replica wrote, in order of time."""
        if not entries:
            return
        self.newest[stream] = max(entries[-1].at, self.newest.get(stream, entries[-1].at))
        if self.after is not None:
            self.has_gap |= len(entries) >= self.most and entries[0].at > self.after
            entries = [entry for entry in entries if entry.at > self.after]
        found = sorted([*self.entries, *entries], key=lambda entry: entry.at)
        self.entries = found[-self.most :]
        characters = sum(len(entry.text) for entry in self.entries)
        while characters > MOST_CHARACTERS:
            characters -= len(self.entries.pop(0).text)
        self.has_gap |= self.after is not None and len(self.entries) < len(found)


async def read_logs(
    replicas: Sequence[Placed], places: ServerPlaces, most: int, after: datetime | None = None
) -> Written:
    """The last `most` lines of all together. Raises ServerUnreachable when no answer comes in time."""
    written = Written(most, after)

    async def read(placed: Placed) -> None:
        async with places.reads[placed.server_id]:
            written.take(placed.stream, await placed.source.log_entries(placed.state.name, most))

    try:
        async with asyncio.timeout(LOGS_LIMIT_SECONDS):
            await all_or_none(read(placed) for placed in replicas)
    except TimeoutError as error:
        raise ServerUnreachable(
            f"Not all servers of this application sent its log within {LOGS_LIMIT_SECONDS:g} s."
        ) from error
    return written
