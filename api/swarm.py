"""Docker Swarm in what people ask for: which server may be what, and what fits on it."""

from __future__ import annotations

from collections.abc import Sequence

from api.authentication import Ability, Principal, has_ability
from api.context import ApiContext
from api.shapes.servers import ServerFields
from domain.configuration import ApplicationConfiguration
from domain.errors import Forbidden, InvalidInput, NotFound, NotPossibleNow
from domain.release_policies import check_min_available
from domain.swarm import check_fits, require_role
from store.tables import Server

FLAGS = ("is_swarm_manager", "is_swarm_worker")
_ONE_OF_TWO = (
    (
        ("is_build_server", "is_swarm_manager"),
        "A build server runs no applications, and a Swarm's manager runs them as services",
    ),
    (
        ("is_build_server", "is_swarm_worker"),
        "A build server runs no applications, and a Swarm's worker runs what its manager gives it",
    ),
    (FLAGS, "A manager takes tasks anyway"),
)


def check_roles(server: Server, body: ServerFields) -> None:
    """Raises InvalidInput where the server would become two things of which one excludes the other."""
    begun = {
        flag
        for flag in ("is_build_server", *FLAGS)
        if getattr(body, flag) is True and not getattr(server, flag)
    }
    for pair, reason in _ONE_OF_TWO:
        kept = {flag for flag in pair if getattr(server, flag) and getattr(body, flag) is not False}
        if begun.intersection(pair) and begun | kept >= set(pair):
            field = next(flag for flag in reversed(pair) if flag in begun)
            raise InvalidInput(f"{reason}: say one of the two.", field=field)


async def apply_swarm(context: ApiContext, principal: Principal, server: Server, body: ServerFields) -> None:
    """Writes what is said about a server's part in a Swarm into the row, not yet into the store.

    Raises NotPossibleNow where applications live there: they cannot change between containers and services;
    Forbidden without the ability `root`, because who manages a Swarm is root on each of its nodes.
    """
    before = {name: getattr(server, name) for name in FLAGS}
    for name in FLAGS:
        given = getattr(body, name)
        if given is not None:
            setattr(server, name, given)
    if before == {name: getattr(server, name) for name in FLAGS}:
        return
    if not has_ability(principal, Ability.ROOT):
        raise Forbidden(
            "Who manages a Docker Swarm has power over all of its nodes, so a server's part in one needs the "
            "ability 'root'."
        )
    names = [
        (await context.store.applications.get(one)).name
        for one in await context.store.locations.applications_on({server.id})
    ]
    if names:
        raise NotPossibleNow(
            f"On the server '{server.name}' live {', '.join(names)}. Delete them or give them another server "
            "first: containers do not become services of a Swarm while they serve."
        )
    if server.is_local:
        facts = await context.swarms.facts(server.id)
        # Nothing validates Seaway's own server, and what is refused here is not kept.
        require_role(
            facts.membership.role,
            is_manager=server.is_swarm_manager,
            is_worker=server.is_swarm_worker,
            again="set this again",
        )


def check_places(servers: Sequence[Server], configuration: ApplicationConfiguration) -> None:
    """Raises InvalidInput for what the Swarm among these servers cannot do with the application."""
    if any(server.is_swarm_manager for server in servers):
        check_fits(configuration)
        check_min_available(configuration.min_available, len(servers), on_swarm=True)


async def places(context: ApiContext, server_ids: Sequence[str]) -> Sequence[Server]:
    """The servers with these ids, without those that are gone."""
    found = []
    for server_id in server_ids:
        try:
            found.append(await context.store.servers.get(server_id))
        except NotFound:
            continue
    return found
