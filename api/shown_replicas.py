"""The replicas on a server with what they use, and how those of an application stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.context import ApiContext
from domain.metrics import Point
from domain.replica_states import ReplicaState
from store.metrics import Subject
from store.tables import Application, Server

LOOKS = 6
"""A number that is older than so many looks is not what a replica uses now."""

LEAST_SPAN = timedelta(minutes=1)


@dataclass(frozen=True)
class ShownReplica:
    """One replica; without a point nothing was measured of it lately, as of one that does not run."""

    name: str
    application_id: str
    application_name: str
    state: ReplicaState
    since: datetime | None
    point: Point | None


async def replicas_on(context: ApiContext, server: Server) -> list[ShownReplica]:
    """The replicas of the team's applications on its server, by application and name."""
    store = context.store
    names = {one.id: one.name for one in await store.applications.list(team_id=server.team_id)}
    answers = server.id in await store.watch.answering()
    now = datetime.now(UTC)
    span = max(LOOKS * timedelta(seconds=context.settings.watch_seconds), LEAST_SPAN)
    points = await store.metrics.newest_of_replicas(server.id, since=now - span, until=now + LEAST_SPAN)
    shown = [
        ShownReplica(
            name=row.replica,
            application_id=row.application_id,
            application_name=names[row.application_id],
            state=ReplicaState(row.state) if answers else ReplicaState.UNKNOWN,
            since=row.since if answers else None,
            point=points.get(Subject(server.id, row.application_id, row.replica)) if answers else None,
        )
        for row in await store.replicas.on_server(server.id)
        # Another Seaway may use the same engine, or another team the same machine.
        if row.application_id in names
    ]
    return sorted(shown, key=lambda one: (one.application_name.lower(), one.application_id, one.name))


async def states_of(context: ApiContext, application: Application) -> Mapping[Subject, ReplicaState]:
    """How the application's replicas stand, by server and name."""
    answering = await context.store.watch.answering()
    return {
        Subject(row.server_id, application.id, row.replica): (
            ReplicaState(row.state) if row.server_id in answering else ReplicaState.UNKNOWN
        )
        for row in await context.store.replicas.of_application(application.id)
    }
