"""`seaway status`, `logs` and `open`: look at what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput, NotPossibleNow
from seaway.cli.commands.applications import list_applications
from seaway.cli.commands.deployments import ApplicationName
from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_application
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.answers import Application, Deployment

OptionalApplicationName = Annotated[str | None, typer.Argument(metavar="[APP]", help="Name or uuid.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    command(root, "status")(status)
    command(root, "logs")(logs)
    command(root, "open")(open_application)


def status(session: Session, app: OptionalApplicationName = None) -> None:
    """Show what runs: all applications, or one with its newest deployment and its steps."""
    if app is None:
        list_applications(session)
        return
    client = session.client
    application = find_application(client, app)
    newest = client.deployments(application.uuid, take=1)
    deployment = client.deployment(newest[0].deployment_uuid) if newest else None
    session.output.show(
        {
            "application": application.document(),
            "deployment": deployment.document() if deployment else None,
        },
        lambda: _explain(session, application, deployment),
    )


def _explain(session: Session, application: Application, deployment: Deployment | None) -> None:
    from seaway.cli.live import facts_of
    from seaway.cli.output import age, style_of
    from seaway.cli.progress import title_of

    say = session.output.say
    say(f"{application.name}  {application.status}", style_of(application.status))
    for line in (*application.urls, application.source):
        say(f"  {line}")
    if application.behind:
        say(f"  Behind: {', '.join(application.behind)}", "yellow")
    if deployment is None:
        say(f"  Never deployed. `seaway deploy {application.name}` does.", "dim")
        return
    commit = f" at {deployment.short_commit}" if deployment.short_commit else ""
    say(
        f"  Newest {deployment.kind} {deployment.deployment_uuid}{commit}: {deployment.state.value}, "
        f"{age(deployment.created_at)}",
        style_of(deployment.state.value),
    )
    if deployment.error is not None:
        say(f"  {deployment.error.message}", "red")
    for step in deployment.steps or ():
        facts = ", ".join([step.status.value, *facts_of(step)])
        say(f"    {title_of(step.name.value)}: {facts}", style_of(step.status.value))


def logs(
    session: Session,
    app: OptionalApplicationName = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each new line.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many to begin with.")
    ] = 100,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="When each was written.")] = False,
    build: Annotated[
        str | None, typer.Option(metavar="DEPLOYMENT", help="The log of a deployment instead.")
    ] = None,
) -> ExitCode | None:
    """Show what an application writes, or with --build the log of a deployment."""
    from seaway.cli import log_reading

    if session.output.as_json and follow:
        raise InvalidInput("--json prints one document, so it cannot go with --follow.", field="json")
    if build is not None:
        return log_reading.show_deployment_log(session, build, follow=follow)
    if app is None:
        raise InvalidInput("Say whose logs: `seaway logs APP`, or --build DEPLOYMENT.", field="app")
    application = find_application(session.client, app)
    if follow:
        log_reading.follow_application(session, application.uuid, lines=lines, timestamps=timestamps)
    else:
        log_reading.show_application(session, application.uuid, lines=lines, timestamps=timestamps)
    return None


def open_application(session: Session, app: ApplicationName) -> None:
    """Open an application in the browser; prints its URL as well."""
    application = find_application(session.client, app)
    if not application.urls:
        raise NotPossibleNow(f"{application.name} has no domain. Add one with `seaway app set`.")
    url = application.urls[0]
    session.output.show({"url": url}, lambda: session.output.say(url))
    if not session.output.as_json and session.output.console.is_terminal:
        typer.launch(url)
