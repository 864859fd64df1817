"""`seaway server metrics` and `events`: what a server uses, and what happened to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from seaway.cli.naming import find_server
from seaway.cli.session import Session

if TYPE_CHECKING:
    from seaway.cli.answers import ServerMetrics, ServerPoint

GIGABYTE = 10**9
ROWS = 20


def metrics(
    session: Session,
    server: Annotated[
        str | None, typer.Argument(metavar="[SERVER]", help="Name, address or uuid of the server.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="How far back.")] = 1.0,
    step: Annotated[int | None, typer.Option(min=1, help="Seconds from row to row.")] = None,
) -> None:
    """Show what a server uses: processors, memory, disk and load, each with its average and maximum."""
    found = find_server(session.client, server)
    until = datetime.now(UTC)
    since = until - timedelta(hours=hours)
    seconds = step or max(int(hours * 3600 / ROWS), 1)
    used = session.client.server_metrics(found.uuid, since=since, until=until, step_seconds=seconds)
    session.output.show(used.document(), lambda: _show(session, found.name, used))


def _show(session: Session, name: str, used: ServerMetrics) -> None:
    session.output.table(
        ["Time", "CPU", "Max", "Memory", "Max", "Disk", "Load", "Max"],
        [_row(point) for point in used.points],
        f"Nothing was measured of {name} in this time.",
    )


def _row(point: ServerPoint) -> list[str]:
    average, maximum = point.average, point.maximum
    return [
        point.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        f"{average.cpu_percent:.0f} %",
        f"{maximum.cpu_percent:.0f} %",
        _share(average.memory_bytes, point.memory_total_bytes),
        _share(maximum.memory_bytes, point.memory_total_bytes),
        _share(maximum.disk_bytes, point.disk_total_bytes),
        f"{average.load:.2f}",
        f"{maximum.load:.2f}",
    ]


def _share(used: float, total: int) -> str:
    share = f" ({100 * used / total:.0f} %)" if total else ""
    return f"{used / GIGABYTE:.1f} GB{share}"


def events(
    session: Session,
    server: Annotated[
        str | None, typer.Argument(metavar="[SERVER]", help="Name, address or uuid of the server.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 20,
) -> None:
    """Show what happened to a server: full disks, lost links, replicas that died. Newest first."""
    found = find_server(session.client, server)
    happened = session.client.server_events(found.uuid, limit=lines)
    session.output.show(
        [event.document() for event in happened],
        lambda: session.output.table(
            ["Time", "Kind", "Message"],
            [
                [event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), event.kind, event.message]
                for event in happened
            ],
            f"Nothing happened to {found.name}.",
        ),
    )
