"""`seaway version`: of this command, and of the Seaway that it talks to."""

from __future__ import annotations

import typer

from domain.errors import SeawayError
from seaway.cli.session import Session, command


def register(root: typer.Typer) -> None:
    """Adds the command."""
    command(root, "version")(version)


def version(session: Session) -> None:
    """Show the versions of this command and of the Seaway that it talks to."""
    try:
        server, url = session.client.version(), session.connection.url
    except SeawayError:
        server, url = None, None

    from seaway import __version__

    def for_people() -> None:
        session.output.say(f"seaway {__version__}")
        session.output.say(f"{url} {server}" if url else "No Seaway answers.")

    session.output.show({"command": __version__, "server": server, "url": url}, for_people)
