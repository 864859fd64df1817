"""Applications with all that an answer tells: where they live and how they run."""

from __future__ import annotations

from collections.abc import Sequence

from api.context import ApiContext
from api.shapes.applications import ShownApplication
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
    return ShownApplication(row, configuration, written, environment, project, status)


async def load_applications(context: ApiContext, principal: Principal) -> Sequence[ShownApplication]:
    """All of the team, oldest first."""
    rows = await context.store.applications.list(team_id=principal.team_id)
    places = await context.store.projects.places(team_id=principal.team_id)
    statuses = await context.runtime.statuses()
    return [
        ShownApplication(
            row,
            *context.store.applications.configured(row),
            *places[row.environment_id],
            statuses.get(row.id, EXITED),
        )
        for row in rows
        if row.environment_id in places
    ]
