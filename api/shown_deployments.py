"""What a deployment's answer tells besides its row."""

from __future__ import annotations

from api.authentication import Principal, sees_secrets
from api.context import ApiContext
from api.shapes.deployments import Surroundings
from domain.errors import NotFound
from store.tables import Application


async def surroundings_of(
    context: ApiContext, principal: Principal, application: Application
) -> Surroundings:
    """The names of its application and server, and how much the principal may see."""
    configuration, _ = context.store.applications.configured(application)
    server_id = configuration.server_ids[0]
    try:
        server_name = (await context.store.servers.get(server_id)).name
    except NotFound:
        server_name = ""
    return Surroundings(
        application.name, server_id, server_name, context.settings, sees_logs=sees_secrets(principal)
    )
