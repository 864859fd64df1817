"""`seaway audit`: who did what."""

from __future__ import annotations

from typing import Annotated

import typer

from seaway.cli.session import Session, command


def register(root: typer.Typer) -> None:
    """Adds the command."""
    command(root, "audit")(audit)


def audit(
    session: Session,
    uuid: Annotated[str, typer.Argument(metavar="[UUID]", help="Only what was done to this.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 20,
) -> None:
    """Show who did what, commands on servers too. Newest first."""
    events = session.client.audit(resource_uuid=uuid, limit=lines)
    if session.output.as_json:
        session.output.show([event.document() for event in events], lambda: None)
        return
    session.output.table(
        ["Time", "Who", "Action", "Of", "What"],
        [
            [
                event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                event.actor,
                event.action,
                event.resource_uuid,
                event.summary,
            ]
            for event in events
        ],
        "Nobody did anything yet.",
    )
