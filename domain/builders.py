"""Which server builds an image, and what is said to whoever has to wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.errors import EngineUnavailable, ServerUnreachable
from domain.release_policies import OF_THE_MACHINE

MOST_TRIES = 6
"""So many servers may begin one build, the same one counted anew, before it has failed."""

COMES_BACK = frozenset({ServerUnreachable.code, EngineUnavailable.code})
NAMED = 3
"""So many of those that build are named to whoever waits."""


class BuildState(StrEnum):
    """Whether a deployment takes part in the builds of a server."""

    NONE = ""
    WAITING = "waiting"
    BUILDING = "building"


@dataclass(frozen=True)
class Builder:
    """A server that may build. `is_warm`: it has built from this repository, so its cache has the layers."""

    id: str
    is_warm: bool = False
    limit: int = 2
    running: int = 0
    waiting: int = 0

    @property
    def free(self) -> int:
        """How many builds could begin at once."""
        return 0 if self.waiting else max(self.limit - self.running, 0)


def by_preference(builders: Iterable[Builder]) -> list[Builder]:
    """The best first: one with a free slot, of these a warm one, then the one with the most free slots.

    Where all are busy, the shortest queue for each slot comes first, then a warm one: cold layers cost
    less than an hour behind others.
    """
    return sorted(
        builders,
        key=lambda one: (
            one.free == 0,
            one.waiting / one.limit if one.free == 0 else 0.0,
            not one.is_warm,
            -one.free,
            one.id,
        ),
    )


def is_taken_over(code: str, lost: Sequence[str], builders: Iterable[str]) -> bool:
    """Whether a build that failed with this code begins anew on another server, or on one that comes back.

    `lost` are the servers on which it has failed so far, this one included. What is wrong with the machine
    may be right elsewhere; on the same one, only what passes by itself.
    """
    has_others = bool(set(builders) - set(lost))
    return code in (OF_THE_MACHINE if has_others else COMES_BACK) and len(lost) < MOST_TRIES


def taken_over_message(lost: str, server: str, reason: str) -> str:
    """The first line of the log of a build that another server has begun before."""
    again = "again" if lost == server else "instead"
    return f"The build on {lost} was lost ({reason.rstrip('.')}). {server} builds {again}."


def fits(builder: str, servers: Iterable[str]) -> bool:
    """Whether images from a builder of this architecture run on servers of these; "" is not known."""
    architectures = {builder, *servers} - {""}
    return len(architectures) < 2


def waiting_message(server: str, position: int, waiting: int, running: int, names: Sequence[str]) -> str:
    """Where a build stands in a server's queue, and who builds there: so many, and the names of these."""
    builds = "1 build runs" if running == 1 else f"{running} builds run"
    named = ", ".join(names[:NAMED])
    more = len(names) - NAMED
    return (
        f"Queued: {ordinal(position)} of {waiting} on {server}; {builds} there"
        + (f" ({named}{f' and {more} more' if more > 0 else ''})" if named else "")
        + "."
    )


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
