"""What the API asks about Swarms, of whoever reaches their engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.swarm import SwarmMembership, SwarmNode


@dataclass(frozen=True)
class SwarmFacts:
    """What a server's engine says about its Swarm; `known` are Seaway's servers by their node's id."""

    membership: SwarmMembership = field(default_factory=SwarmMembership)
    nodes: Sequence[SwarmNode] = ()
    known: Mapping[str, str] = field(default_factory=dict)


class Swarms(Protocol):
    """Asks engines about their Swarm."""

    async def facts(self, server_id: str) -> SwarmFacts:
        """The server's part in a Swarm, and on a manager its nodes. Raises ServerUnreachable and the like."""
        ...


class NoSwarms:
    """Where no engine is reached, nothing is in a Swarm."""

    async def facts(self, server_id: str) -> SwarmFacts:
        """See `Swarms`."""
        return SwarmFacts()
