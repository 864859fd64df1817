"""`seaway run`, `exec` and `ssh`: commands that run there as if they ran here."""

from __future__ import annotations

from typing import Annotated

import typer

from domain.errors import InvalidInput
from seaway.cli.commands.deployments import ApplicationName
from seaway.cli.naming import find_application, find_server
from seaway.cli.session import Session, command

Interactive = Annotated[
    bool, typer.Option("--interactive", "-i", help="Give it this terminal, or what is piped in.")
]
Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND…", help="What to run, after `--`.")]
OptionalCommand = Annotated[
    list[str] | None, typer.Argument(metavar="[-- COMMAND…]", help="What to run, after `--`.")
]


OnServer = Annotated[
    str | None, typer.Option("--server", help="Which of the application's servers: name, address or uuid.")
]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    command(root, "run")(run)
    command(root, "exec")(execute)
    command(root, "ssh")(ssh)


def run(
    session: Session,
    app: ApplicationName,
    arguments: Command,
    interactive: Interactive = False,
    server: OnServer = None,
) -> int:
    """Run a command in a container of its own, made from the current image, and end with its exit code.

    It has the application's environment, volumes and network, gets no visitors, and is removed at the end.
    The image's entrypoint is not used. Ctrl-C ends the command; a second one ends it by force.
    Of several servers, it runs on the application's first one, unless another is named.
    """
    application = find_application(session.client, app)
    path = f"/applications/{application.uuid}/run"
    return _talk(session, path, arguments, interactive=interactive, server=server)


def execute(
    session: Session,
    app: ApplicationName,
    arguments: Command,
    interactive: Interactive = False,
    replica: Annotated[int | None, typer.Option(min=1, help="Which replica, by its number.")] = None,
    server: OnServer = None,
) -> int:
    """Run a command in a running replica, and end with its exit code. Its image needs /bin/sh."""
    application = find_application(session.client, app)
    path = f"/applications/{application.uuid}/exec"
    return _talk(session, path, arguments, interactive=interactive, replica=replica, server=server)


def ssh(
    session: Session,
    server: Annotated[str, typer.Argument(help="Name, address or uuid.")],
    arguments: OptionalCommand = None,
    interactive: Interactive = False,
) -> int:
    """Open a shell on a server, or run one command there and end with its exit code.

    Over Seaway's own connection, so it needs no key here. Only owners and admins may.
    """
    found = find_server(session.client, server)
    path = f"/servers/{found.uuid}/shell"
    return _talk(session, path, arguments or [], interactive=interactive or not arguments)


def _talk(session: Session, path: str, arguments: list[str], *, interactive: bool, **query: object) -> int:
    from pydantic import ValidationError

    from domain.terminals import Start
    from seaway.cli.remote_command import run_remotely
    from seaway.cli.terminal import own_terminal

    if session.output.as_json:
        raise InvalidInput(
            "--json prints one document, so it cannot go with a command's output.", field="json"
        )
    try:
        start = Start(
            command=tuple(arguments),
            interactive=interactive,
            terminal=own_terminal() if interactive else None,
        )
    except ValidationError as error:
        text = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InvalidInput(text, field="command") from None
    return run_remotely(session.connection, path, query, start)
