"""The replicas on a server, as its page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from api.context import ApiContext
from api.pages import charts
from api.pages.application_views import application_url
from api.pages.views import LinkView, StatusView
from api.shown_replicas import ShownReplica, replicas_on
from domain.replica_states import ReplicaState
from store.tables import Server

REPLICA_STATES = {
    ReplicaState.CREATED: StatusView("Created", "busy", "It was not started yet"),
    ReplicaState.RUNNING: StatusView("Running", "good"),
    ReplicaState.UNHEALTHY: StatusView(
        "Unhealthy", "bad", "It runs, but the health check of its image fails"
    ),
    ReplicaState.PAUSED: StatusView("Paused", "bad"),
    ReplicaState.RESTARTING: StatusView("Restarting", "bad", "It ends and is started again"),
    ReplicaState.REMOVING: StatusView("Removing", "idle"),
    ReplicaState.EXITED: StatusView("Exited", "idle"),
    ReplicaState.DEAD: StatusView("Dead", "bad", "The engine could not remove it"),
    ReplicaState.UNKNOWN: StatusView("Unknown", "unknown", "The server does not answer at the moment"),
}


@dataclass(frozen=True)
class ReplicaRow:
    """One replica."""

    name: str
    short_name: str
    application: LinkView
    status: StatusView
    cpu: str
    memory: str


async def replica_rows(context: ApiContext, server: Server) -> tuple[ReplicaRow, ...]:
    """All replicas on the server, by application and name."""
    return tuple(_row(one) for one in await replicas_on(context, server))


def _row(replica: ShownReplica) -> ReplicaRow:
    used = replica.point.average if replica.point else None
    return ReplicaRow(
        name=replica.name,
        short_name=replica.name.removeprefix(f"{replica.application_id}-"),
        application=LinkView(replica.application_name, application_url(replica.application_id)),
        status=REPLICA_STATES[replica.state],
        cpu=charts.in_percent(used.cpu_percent) if used else "",
        memory=charts.in_bytes(used.memory_bytes) if used else "",
    )
