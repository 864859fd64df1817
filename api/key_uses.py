"""What the private keys of a team open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from api.context import ApiContext
from domain.configuration import GitSource
from store.tables import Application, Server


@dataclass
class KeyUses:
    """What one key opens."""

    servers: list[Server] = field(default_factory=list)
    applications: list[Application] = field(default_factory=list)

    def __str__(self) -> str:
        """For people: `the server 'a', the applications 'b', 'c'`; empty where nothing uses it."""
        named = (
            ("server", [server.name for server in self.servers]),
            ("application", [application.name for application in self.applications]),
        )
        return ", ".join(
            f"the {kind}{'s' if len(names) > 1 else ''} {', '.join(repr(name) for name in names)}"
            for kind, names in named
            if names
        )


async def key_uses(context: ApiContext, team_id: str) -> Mapping[str, KeyUses]:
    """What each of the team's keys that something uses opens, by the key's id."""
    uses: dict[str, KeyUses] = defaultdict(KeyUses)
    for server in await context.store.servers.list(team_id=team_id):
        if server.private_key_id:
            uses[server.private_key_id].servers.append(server)
    for application in await context.store.applications.list(team_id=team_id):
        source = context.store.applications.configured(application)[0].source
        if isinstance(source, GitSource) and source.private_key_id:
            uses[source.private_key_id].applications.append(application)
    return dict(uses)
