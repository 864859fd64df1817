"""`restart`, `stop`, `start`, `scale`, `rm`: what is done to a whole application."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from domain.errors import InvalidInput
from seaway.cli.commands.deployments import ApplicationName, Wait
from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_application
from seaway.cli.session import Session, command

Volumes = Annotated[bool, typer.Option("--volumes", help="Delete its volumes and their data too.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    command(root, "start")(start)
    command(root, "stop")(stop)
    command(root, "restart")(restart)
    command(root, "scale")(scale)
    command(root, "rm")(remove)


def start(session: Session, app: ApplicationName, wait: Wait = True) -> ExitCode:
    """Start a stopped application."""
    return _operate(session, app, "start", wait=wait)


def stop(session: Session, app: ApplicationName, wait: Wait = True) -> ExitCode:
    """Stop an application; it answers no requests until it is started."""
    return _operate(session, app, "stop", wait=wait)


def restart(session: Session, app: ApplicationName, wait: Wait = True) -> ExitCode:
    """Replace the running containers by new ones of the same image, without a gap."""
    return _operate(session, app, "restart", wait=wait)


def scale(
    session: Session,
    app: ApplicationName,
    replicas: Annotated[int, typer.Argument(min=1, help="How many replicas.")],
    wait: Wait = True,
) -> ExitCode:
    """Change the number of replicas, now and for later deployments."""
    return _operate(session, app, "scale", {"replicas": replicas}, wait=wait)


def remove(
    session: Session, app: ApplicationName, yes: Yes = False, volumes: Volumes = False, wait: Wait = True
) -> ExitCode:
    """Take an application down and forget it."""
    from seaway.cli.outcome import conclude

    application = find_application(session.client, app)
    if not yes:
        _confirm(application.name, application.uuid, volumes=volumes)
    receipt = session.client.delete_application(application.uuid, delete_volumes=volumes)
    return conclude(session, application, receipt, wait=wait, kind="delete")


def _operate(
    session: Session, app: str, verb: str, body: dict[str, object] | None = None, *, wait: bool
) -> ExitCode:
    from seaway.cli.outcome import conclude

    application = find_application(session.client, app)
    receipt = session.client.command(application.uuid, verb, body)
    return conclude(session, application, receipt, wait=wait, kind=verb)


def _confirm(name: str, uuid: str, *, volumes: bool) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(f"To delete {name} ({uuid}) without being asked, add --yes.", field="yes")
    what = f"{name} and the data in its volumes" if volumes else name
    if typer.prompt(f"This deletes {what}. Write its name to go on", err=True) != name:
        raise InvalidInput("That is not its name. Nothing was deleted.")
