"""`seaway server events`: what happened to one server, or to all."""

from __future__ import annotations

from typing import Annotated

import typer

from seaway.cli.naming import find_server
from seaway.cli.session import Session
from seaway.cli.times import BeforeOption, moment


def events(
    session: Session,
    server: Annotated[
        str | None,
        typer.Argument(metavar="[SERVER]", help="Name, address or uuid of the server; else all servers."),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 20,
    before: BeforeOption = None,
) -> None:
    """Show what happened to servers: full disks, lost links, replicas that died. Newest first."""
    client, earlier = session.client, moment(before, "before")
    if server is None:
        happened, whom = client.events_of_all_servers(limit=lines, before=earlier), "any server"
    else:
        found = find_server(client, server)
        happened, whom = client.server_events(found.uuid, limit=lines, before=earlier), found.name
    if session.output.as_json:
        session.output.show([event.document() for event in happened], lambda: None)
        return
    names = {one.uuid: one.name for one in client.servers()} if happened else {}
    session.output.table(
        ["Time", "Server", "Kind", "Message"],
        [
            [
                event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                names.get(event.server_uuid, event.server_uuid),
                event.kind,
                event.message,
            ]
            for event in happened
        ],
        f"Nothing happened to {whom}{' before that' if earlier else ''}.",
    )
