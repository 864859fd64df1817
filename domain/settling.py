"""What a server that was away may still have of releases that are over."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class ReleaseFacts:
    """What is known of one application: what serves, and which of its releases have ended for good."""

    serving: str | None
    ended: frozenset[str]
    is_changing: bool = False


def leftovers(found: Collection[str], facts: ReleaseFacts) -> frozenset[str]:
    """The releases among those found on a server that nothing needs any more.

    An operation under way looks after its own releases and after the one before, so nothing is left over
    then. A release that is not known to have ended is never one.
    """
    if facts.is_changing:
        return frozenset()
    return frozenset(release for release in found if release in facts.ended and release != facts.serving)
