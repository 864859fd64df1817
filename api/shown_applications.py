"""Applications with all that an answer tells: where they live and how they run."""

from __future__ import annotations

from collections.abc import Container, Sequence

from api.context import ApiContext
from api.shapes.applications import ShownApplication
from api.shown_servers import shown_servers
from domain.configuration import ApplicationConfiguration
from domain.domains import public_urls
from store.access import Principal
from store.tables import Application

EXITED = "exited"


async def load_application(context: ApiContext, principal: Principal, uuid: str) -> ShownApplication:
    """One application of the principal's team. Raises NotFound."""
    row = await context.store.applications.get(uuid, team_id=principal.team_id)
    return await complete_application(context, row)


async def complete_application(context: ApiContext, row: Application) -> ShownApplication:
    """What the row does not hold itself."""
    environment, project = await context.store.projects.environment_by_id(row.environment_id)
    configuration, written = context.store.applications.configured(row)
    status = await context.runtime.status(row.id)
    releases = await context.store.releases.of(row.id)
    names = await _server_names(context, row.team_id)
    servers = shown_servers(row, configuration.server_ids, releases, names)
    urls = public_urls_of(context, configuration, await context.store.servers.local_ids())
    return ShownApplication(row, configuration, written, environment, project, status, urls, servers)


async def load_applications(context: ApiContext, principal: Principal) -> Sequence[ShownApplication]:
    """All of the team, oldest first."""
    rows = await context.store.applications.list(team_id=principal.team_id)
    places = await context.store.projects.places(team_id=principal.team_id)
    statuses = await context.runtime.statuses(team_id=principal.team_id)
    releases = await context.store.releases.of_all(team_id=principal.team_id)
    names = await _server_names(context, principal.team_id)
    local_ids = await context.store.servers.local_ids()
    shown = []
    for row in rows:
        if row.environment_id not in places:
            continue
        configuration, written = context.store.applications.configured(row)
        shown.append(
            ShownApplication(
                row,
                configuration,
                written,
                *places[row.environment_id],
                statuses.get(row.id, EXITED),
                public_urls_of(context, configuration, local_ids),
                shown_servers(row, configuration.server_ids, releases.get(row.id, ()), names),
            )
        )
    return shown


def public_urls_of(
    context: ApiContext, configuration: ApplicationConfiguration, local_ids: Container[str]
) -> list[str]:
    """See `domain.domains.public_urls`."""
    settings = context.settings
    return public_urls(configuration, local_ids, settings.http_port, settings.https_port)


async def _server_names(context: ApiContext, team_id: str) -> dict[str, str]:
    return {server.id: server.name for server in await context.store.servers.list(team_id=team_id)}
