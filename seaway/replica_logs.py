"""What the replicas of an application wrote, on all its servers, in order of time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from activities.together import all_or_none
from adapters.docker.states import ContainerState, LogEntry
from domain.errors import ServerUnreachable
from seaway.log_positions import Positions, Replica, replica_of
from seaway.service_view import LogSource

LOGS_LIMIT_SECONDS = 15.0
"""A log's driver, or a Swarm's node, may never answer."""

READS_OF_A_SERVER = 4
"""Each holds a thread and a replica's lines for a while, whoever asks."""

LINES_AT_ONCE = 1000
"""So many are read of a new replica, and for somebody who comes back."""

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

    @property
    def replica(self) -> Replica:
        """What its lines are known by."""
        return replica_of(self.server_id, self.state.id)


@dataclass
class ServerPlaces:
    """What all readers of logs together take of each server."""

    reads: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(READS_OF_A_SERVER))
    )


@dataclass
class Written:
    """The last lines of several replicas; only those `after`, if given, and all of replicas not in there."""

    most: int
    after: Positions | None = None
    entries: list[tuple[Replica, LogEntry]] = field(default_factory=list)
    before: Positions = field(default_factory=dict)
    """How far each replica is read without the entries."""
    has_gap: bool = False
    """Whether lines that were written `after` are missing."""

    def take(self, replica: Replica, entries: Sequence[LogEntry]) -> None:
        """Adds what a replica wrote, in order of time."""
        since = (self.after or {}).get(replica)
        if since is not None:
            self.before[replica] = since
            # Without the line that was read last, nobody knows how many came between.
            self.has_gap |= bool(entries) and entries[0].at > since
            entries = [entry for entry in entries if entry.at > since]
        found = [*self.entries, *((replica, entry) for entry in entries)]
        found.sort(key=lambda one: one[1].at)
        left_out = self._beyond(found)
        for other, entry in found[:left_out]:
            self.before[other] = entry.at
        self.entries = found[left_out:]
        self.has_gap |= self.after is not None and left_out > 0

    def _beyond(self, found: Sequence[tuple[Replica, LogEntry]]) -> int:
        """How many of the first are too many, or too long together with all others."""
        left_out = max(len(found) - self.most, 0)
        characters = sum(len(entry.text) for _, entry in found[left_out:])
        while characters > MOST_CHARACTERS:
            characters -= len(found[left_out][1].text)
            left_out += 1
        return left_out


async def read_logs(
    replicas: Sequence[Placed], places: ServerPlaces, most: int, after: Positions | None = None
) -> Written:
    """The last `most` lines of all together. Raises ServerUnreachable when no answer comes in time."""
    written = Written(most, after)

    async def read(placed: Placed) -> None:
        async with places.reads[placed.server_id]:
            # One more shows whether there are more.
            written.take(placed.replica, await placed.source.log_entries(placed.state.name, most + 1))

    try:
        async with asyncio.timeout(LOGS_LIMIT_SECONDS):
            await all_or_none(read(placed) for placed in replicas)
    except TimeoutError as error:
        raise ServerUnreachable(
            f"Not all servers of this application sent its log within {LOGS_LIMIT_SECONDS:g} s."
        ) from error
    return written
