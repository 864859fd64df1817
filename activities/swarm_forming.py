"""A server takes the part in a Swarm that it is said to have: the manager begins it, workers join it."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from activities.servers import Servers
from activities.swarm_nodes import NO_ANSWER
from adapters.docker.swarm_forming import WayIntoSwarm
from domain.errors import NotPossibleNow
from domain.swarm import SwarmRole, require_role
from store.store import Store
from store.tables import Server

ANSWER_SECONDS = 10.0
BY_HAND = "or run on it the command that `docker swarm join-token worker` prints on its manager"


async def take_part(store: Store, servers: Servers, server: Server) -> str:
    """The engine is what the server is said to be; a few words on it, none where it is in no Swarm.

    An engine that is in a Swarm is left as it is. Raises NotPossibleNow where that is something else, and
    where nobody can tell which Swarm is meant.
    """
    engine = (await servers.parts(server.id)).engine
    done = ""
    if (server.is_swarm_manager or server.is_swarm_worker) and await engine.is_free_of_swarms():
        if server.is_swarm_manager:
            await _refuse_second_swarm(store, server)
            await engine.form_swarm(advertised(server.address))
            done = ", which it has begun"
        else:
            name, way = await _only_swarm(store, servers, server)
            await engine.join_swarm(way, advertised(server.address))
            done = f", that of {name}, which it has joined"
    role = (await engine.swarm()).role
    require_role(role, is_manager=server.is_swarm_manager, is_worker=server.is_swarm_worker)
    return "" if role is SwarmRole.NONE else f", {role} of a Swarm{done}"


def advertised(address: str) -> str:
    """Under which address the other nodes reach a server; nothing for a name, whose engine has to choose."""
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


async def _managers(store: Store, server: Server) -> list[Server]:
    rows = await store.servers.list(team_id=server.team_id)
    return [row for row in rows if row.is_swarm_manager and row.id != server.id]


async def _refuse_second_swarm(store: Store, server: Server) -> None:
    names = [row.name for row in await _managers(store, server)]
    if names:
        raise NotPossibleNow(
            f"Its engine is in no Docker Swarm, and {', '.join(names)} manages one already. For a Swarm of "
            "its own, run `docker swarm init` on it; for a further manager of that Swarm, the command that "
            "`docker swarm join-token manager` prints there. Then validate it again."
        )


async def _only_swarm(store: Store, servers: Servers, server: Server) -> tuple[str, WayIntoSwarm]:
    """A manager's name and the way into the team's Swarm. Raises NotPossibleNow for none or several."""
    managers = [row for row in await _managers(store, server) if row.is_usable]
    answers = await asyncio.gather(*[_way_in(servers, row) for row in managers])
    ways = {way.swarm_id: (row.name, way) for row, way in zip(managers, answers, strict=True) if way}
    if len(ways) == 1:
        return next(iter(ways.values()))
    if not ways:
        raise NotPossibleNow(
            "Its engine is in no Docker Swarm, and no manager of one can be reached. Add the manager first, "
            f"with is_swarm_manager, {BY_HAND}. Then validate it again."
        )
    names = ", ".join(name for name, _ in ways.values())
    raise NotPossibleNow(
        f"Its engine is in no Docker Swarm, and there are several, managed by {names}. Run on it the command "
        "that `docker swarm join-token worker` prints on the right one's manager; then validate it again."
    )


async def _way_in(servers: Servers, manager: Server) -> WayIntoSwarm | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await (await servers.parts(manager.id)).engine.way_into_swarm()
    except NO_ANSWER:
        return None
