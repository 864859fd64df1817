"""How far somebody has read each replica of an application, which is the id of each line that is given.

One time for all would not do: every server has a clock of its own, and some replicas lag behind others.
"""

from __future__ import annotations

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping, Set
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import nlargest

MOST_POSITIONS = 100
"""In an id, which comes with every line and returns in a header: 1,900 characters, of about 4,000 allowed."""

Replica = bytes
"""Stands for a container or a task, in a few bytes."""

Positions = dict[Replica, datetime]
"""When the last line was written that was read of each replica, by the clock of its server."""

REPLICA_BYTES = 6
POSITION = struct.Struct(f"!{REPLICA_BYTES}sq")
BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def replica_of(server_id: str, its_id: str) -> Replica:
    """The replica whose container or task on that server has this id."""
    return blake2b(f"{server_id}/{its_id}".encode(), digest_size=REPLICA_BYTES).digest()


def id_of(positions: Mapping[Replica, datetime]) -> str:
    """The id of a line after which somebody has read so far.

    Beyond MOST_POSITIONS, the replicas that were quiet for longest are left out: of these a reader who comes
    back gets the last lines again.
    """
    kept = nlargest(MOST_POSITIONS, positions.items(), key=lambda one: one[1])
    packed = b"".join(POSITION.pack(replica, (at - BEGIN) // MICROSECOND) for replica, at in kept)
    return urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def positions_of(line_id: str) -> Positions | None:
    """How far somebody has read who gives this id; None where it cannot be one of ours."""
    if not line_id or len(line_id) > len(urlsafe_b64encode(bytes(POSITION.size * MOST_POSITIONS))):
        return None
    try:
        packed = urlsafe_b64decode(line_id.encode("ascii") + b"=" * (-len(line_id) % 4))
        found = {replica: BEGIN + since * MICROSECOND for replica, since in POSITION.iter_unpack(packed)}
        return found or None
    except (UnicodeEncodeError, binascii.Error, struct.error, OverflowError):
        return None


class News:
    """Tells what of a stream is new to somebody who has read its replicas, and whether any is missing."""

    def __init__(
        self,
        read: Mapping[Replica, datetime],
        stream: Collection[Replica],
        listed: Set[Replica],
        *,
        hears_begin: bool,
    ) -> None:
        """`stream` are the replicas that it was opened for, `listed` all that there are, now and later."""
        self._read = dict(read)
        self._listed = listed
        known = self._read.keys() & stream
        self._awaited = known if hears_begin else set()
        # Tasks of a service that have ended would begin again with what is long past. New ones write later
        # than what was read, or are listed soon.
        self._others = max((self._read[one] for one in known), default=None)

    def is_after_gap(self, replica: Replica, at: datetime) -> bool:
        """Whether lines are missing before this one; asked of each line of a stream in its order.

        A stream begins with what was read last of each replica, unless more was written than it brings.
        """
        if replica not in self._awaited:
            return False
        self._awaited.remove(replica)
        return at > self._read[replica]

    def has(self, replica: Replica, at: datetime) -> bool:
        """Whether the line was not read yet."""
        read = self._read.get(replica, None if replica in self._listed else self._others)
        return read is None or at > read
