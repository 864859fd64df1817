"""`seaway metrics`, `seaway server metrics` and `replicas`: what is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from seaway.cli.commands.deployments import ApplicationName
from seaway.cli.naming import find_application, find_server
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.watch_answers import ReplicaPoint, ServerMetrics, ServerPoint, ServerReplica

MEGABYTE, GIGABYTE = 10**6, 10**9
ROWS = 20
Hours = Annotated[float, typer.Option(min=0.01, max=8760, help="How far back.")]
Step = Annotated[int | None, typer.Option(min=1, help="Seconds from row to row.")]
OptionalServerName = Annotated[
    str | None, typer.Argument(metavar="[SERVER]", help="Name, address or uuid of the server.")
]


def register(root: typer.Typer) -> None:
    """Adds the command for applications."""
    command(root, "metrics")(application_metrics)


def metrics(
    session: Session, server: OptionalServerName = None, hours: Hours = 1.0, step: Step = None
) -> None:
    """Show what a server uses: processors, memory, disk and load, each with its average and maximum."""
    found = find_server(session.client, server, said="as an argument")
    since, until, seconds = _span(hours, step)
    used = session.client.server_metrics(found.uuid, since=since, until=until, step_seconds=seconds)
    session.output.show(used.document(), lambda: _show(session, found.name, used))


def application_metrics(
    session: Session, app: ApplicationName, hours: Hours = 1.0, step: Step = None
) -> None:
    """Show what each replica of an application uses: processors (100 % is one), memory and traffic."""
    found = find_application(session.client, app)
    since, until, seconds = _span(hours, step)
    used = session.client.application_metrics(found.uuid, since=since, until=until, step_seconds=seconds)
    if session.output.as_json:
        session.output.show(used.document(), lambda: None)
        return
    names = {server.uuid: server.name for server in session.client.servers()}
    if not used.replicas:
        session.output.note(f"Nothing was measured of {found.name} in this time.")
    for replica in used.replicas:
        where = names.get(replica.server_uuid, replica.server_uuid)
        session.output.say(f"{replica.replica} on {where}: {replica.state or 'gone'}")
        session.output.table(
            ["Time", "CPU", "Max", "Memory", "Max", "Received", "Sent"],
            [_replica_row(point) for point in replica.points],
            "",
        )


def replicas(session: Session, server: OptionalServerName = None) -> None:
    """Show the replicas on a server: how each stands and what it uses now, the busiest first."""
    found = find_server(session.client, server, said="as an argument")
    there = session.client.server_replicas(found.uuid)
    busiest = sorted(there, key=lambda one: -(one.use.cpu_percent if one.use else -1))
    session.output.show(
        [replica.document() for replica in there],
        lambda: session.output.table(
            ["Application", "Replica", "State", "CPU", "Memory"],
            [_standing_row(replica) for replica in busiest],
            f"No replica is on {found.name}.",
        ),
    )


def _span(hours: float, step: int | None) -> tuple[datetime, datetime, int]:
    until = datetime.now(UTC)
    return until - timedelta(hours=hours), until, step or max(int(hours * 3600 / ROWS), 1)


def _show(session: Session, name: str, used: ServerMetrics) -> None:
    session.output.table(
        ["Time", "CPU", "Max", "Memory", "Max", "Disk", "Load", "Max"],
        [_row(point) for point in used.points],
        f"Nothing was measured of {name} in this time.",
    )


def _row(point: ServerPoint) -> list[str]:
    average, maximum = point.average, point.maximum
    return [
        _time(point.at),
        f"{average.cpu_percent:.0f} %",
        f"{maximum.cpu_percent:.0f} %",
        _share(average.memory_bytes, point.memory_total_bytes),
        _share(maximum.memory_bytes, point.memory_total_bytes),
        _share(maximum.disk_bytes, point.disk_total_bytes),
        f"{average.load:.2f}",
        f"{maximum.load:.2f}",
    ]


def _replica_row(point: ReplicaPoint) -> list[str]:
    average, maximum = point.average, point.maximum
    return [
        _time(point.at),
        f"{average.cpu_percent:.0f} %",
        f"{maximum.cpu_percent:.0f} %",
        _megabytes(average.memory_bytes),
        _megabytes(maximum.memory_bytes),
        f"{average.received_bytes_per_second / 1000:.1f} kB/s",
        f"{average.sent_bytes_per_second / 1000:.1f} kB/s",
    ]


def _standing_row(replica: ServerReplica) -> list[str]:
    use = replica.use
    return [
        replica.application_name,
        replica.replica,
        replica.state,
        f"{use.cpu_percent:.0f} %" if use else "",
        _megabytes(use.memory_bytes) if use else "",
    ]


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _share(used: float, total: int) -> str:
    share = f" ({100 * used / total:.0f} %)" if total else ""
    return f"{used / GIGABYTE:.1f} GB{share}"


def _megabytes(used: float) -> str:
    return f"{used / MEGABYTE:.0f} MB"
