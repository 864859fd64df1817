"""`seaway audit`: who did what."""

from __future__ import annotations

from typing import Annotated

import typer

from seaway.cli.naming import find_uuid
from seaway.cli.session import Session, command
from seaway.cli.times import BeforeOption, moment


def register(root: typer.Typer) -> None:
    """Adds the command."""
    command(root, "audit")(audit)


def audit(
    session: Session,
    what: Annotated[
        str,
        typer.Argument(
            metavar="[WHAT]",
            help="Only what was done to this: name of an application, server, key or registry, or any uuid.",
        ),
    ] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 20,
    before: BeforeOption = None,
) -> None:
    """Show who did what, commands on servers too. Newest first."""
    earlier = moment(before, "before")
    uuid = find_uuid(session.client, what) if what else ""
    events = session.client.audit(resource_uuid=uuid, limit=lines, before=earlier)
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
        "Nobody did anything before that." if earlier else "Nobody did anything yet.",
    )
