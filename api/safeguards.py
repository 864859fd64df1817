"""What a configuration may ask for only with every ability, and what it may not ask for at all."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from api.authentication import Ability, Principal, has_ability
from api.context import ApiContext, ApiSettings
from domain.configuration import ApplicationConfiguration, Domain, GitSource, Volume, VolumeKind
from domain.errors import Forbidden, InvalidInput
from domain.repository_addresses import RepositoryScheme, parse_repository
from store.tables import Server

LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "::1"])


def check_source(principal: Principal, configuration: ApplicationConfiguration) -> None:
    """Raises Forbidden for a repository on Seaway's own machine, unless the principal may do everything."""
    source = configuration.source
    if (
        isinstance(source, GitSource)
        and parse_repository(source.repository).scheme is RepositoryScheme.FILE
        and not has_ability(principal, Ability.ROOT)
    ):
        raise Forbidden(
            "A file:// repository is read with the rights of Seaway itself, so it needs the ability 'root'. "
            "Give the repository's address on its Git server."
        )


def check_volume(principal: Principal, volume: Volume) -> None:
    """Raises Forbidden for a folder of the server, unless the principal may do everything.

    Who mounts `/` or the engine's socket owns the server; a folder below an application's own is no
    better, because the application can put a link there that leads out.
    """
    if volume.kind is VolumeKind.BIND and not has_ability(principal, Ability.ROOT):
        raise Forbidden(
            "Mounting a folder of the server gives power over the server, so it needs the ability 'root'. "
            "Use a named volume, or a file with content."
        )


def check_placement(
    principal: Principal, before: ApplicationConfiguration, after: ApplicationConfiguration
) -> None:
    """Raises Forbidden where an approved folder would be mounted elsewhere than approved."""
    other_servers = not set(after.server_ids) <= set(before.server_ids)
    if other_servers or after.runtime.placement_constraints != before.runtime.placement_constraints:
        for volume in before.runtime.volumes:
            check_volume(principal, volume)


async def check_way_in(context: ApiContext, principal: Principal, server: Server) -> None:
    """Raises Forbidden where another machine in a server's place would be given power that nobody gave it.

    Folders that were mounted on one machine would be mounted on the other, and whoever manages a Swarm is
    root on all of its nodes.
    """
    if has_ability(principal, Ability.ROOT):
        return
    if server.is_swarm_manager or server.is_swarm_worker:
        raise Forbidden(
            f"The server '{server.name}' is part of a Docker Swarm. To put another machine in its place "
            "needs the ability 'root'."
        )
    if await context.store.locations.has_mounted_folders(server.id):
        raise Forbidden(
            f"Applications mount folders of the server '{server.name}'. To put another machine in its place "
            "needs the ability 'root'."
        )


def check_domains(settings: ApiSettings, domains: Iterable[Domain]) -> None:
    """Raises InvalidInput (field `domains`) for the dashboard's own host.

    Browsers send a host's cookies to all of its ports (RFC 6265, section 8.5), so the application would
    be sent the session of everybody who is logged in.
    """
    own = urlsplit(settings.public_url).hostname or ""
    hosts = LOOPBACK_NAMES if own in LOOPBACK_NAMES else {own}
    for domain in domains:
        if domain.host in hosts:
            raise InvalidInput(
                f"{domain.host} is the dashboard's own host. Its log-ins would be sent to the application; "
                "choose another name, for example one below it.",
                field="domains",
            )
