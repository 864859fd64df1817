"""`seaway server`: the machines that applications run on."""

from __future__ import annotations

import typer

from seaway.cli.session import Session, command


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Servers.", no_args_is_help=True)
    command(group, "list")(list_servers)
    root.add_typer(group, name="server")


def list_servers(session: Session) -> None:
    """List servers."""
    servers = session.client.servers()
    session.output.show(
        [server.document() for server in servers],
        lambda: session.output.table(
            ["Name", "Address", "UUID"],
            [[server.name, f"{server.user}@{server.ip}:{server.port}", server.uuid] for server in servers],
            "No server yet.",
        ),
    )
