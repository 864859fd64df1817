"""`seaway deploy` and what is done about deployments: list, cancel, roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_application
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.answers import Application

ApplicationName = Annotated[str, typer.Argument(metavar="APP", help="Name or uuid of the application.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end, or return at once.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    command(root, "deploy")(deploy)
    command(root, "deployments")(list_deployments)
    command(root, "rollback")(rollback)
    command(root, "cancel")(cancel)


def deploy(
    session: Session,
    app: ApplicationName,
    branch: Annotated[str, typer.Option(help="Another branch or tag than the configured one.")] = "",
    commit: Annotated[str, typer.Option(help="A certain commit.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Build even if the image exists.")] = False,
    wait: Wait = True,
    idempotency_key: Annotated[
        str, typer.Option(help="The same key twice is one deployment, such as a CI run's id.")
    ] = "",
) -> ExitCode:
    """Deploy a new version, show its progress, and end with 0 only when it serves."""
    from seaway.cli.outcome import conclude

    application = find_application(session.client, app)
    receipt = session.client.deploy(
        application.uuid,
        idempotency_key=idempotency_key,
        branch=branch,
        commit=commit,
        force=force,
    )
    return conclude(session, application, receipt, wait=wait, kind="deploy")


def list_deployments(
    session: Session,
    app: ApplicationName,
    take: Annotated[int, typer.Option("--lines", "-n", min=1, max=100, help="How many.")] = 10,
    everything: Annotated[bool, typer.Option("--all", help="Stops and scalings too.")] = False,
) -> None:
    """List the newest deployments of an application."""
    from seaway.cli.output import age, duration

    application = find_application(session.client, app)
    found = session.client.deployments(application.uuid, take=take, every_kind=everything)
    session.output.show(
        [one.document() for one in found],
        lambda: session.output.table(
            ["Deployment", "Kind", "Status", "Commit", "When", "Took", "Message"],
            [
                [
                    one.deployment_uuid,
                    one.kind,
                    one.state.value,
                    one.short_commit,
                    age(one.created_at),
                    duration(one.seconds) if one.seconds is not None else "",
                    (one.error.message if one.error else one.commit_message or "").partition("\n")[0][:80],
                ]
                for one in found
            ],
            f"{application.name} was never deployed. `seaway deploy {application.name}` does.",
        ),
    )


def rollback(
    session: Session,
    app: ApplicationName,
    deployment: Annotated[
        str | None,
        typer.Argument(help="A deployment, or a commit; the one before the current, if not given."),
    ] = None,
    wait: Wait = True,
) -> ExitCode:
    """Go back to the image and the configuration of an earlier deployment."""
    from domain.identifiers import is_identifier
    from seaway.cli.outcome import conclude

    application = find_application(session.client, app)
    if deployment is None:
        body: dict[str, object] = {"deployment_uuid": _previous(session, application)}
    elif is_identifier(deployment):
        body = {"deployment_uuid": deployment}
    else:
        body = {"commit": deployment}
    receipt = session.client.command(application.uuid, "rollback", body)
    return conclude(session, application, receipt, wait=wait, kind="rollback")


def _previous(session: Session, application: Application) -> str:
    """The release that served before the one that serves now. Raises NotPossibleNow."""
    from domain.deployments import DeploymentStatus
    from domain.errors import NotPossibleNow

    finished = [
        one
        for one in session.client.deployments(application.uuid, take=100)
        if one.state is DeploymentStatus.FINISHED
    ]
    ids = [one.deployment_uuid for one in finished]
    current = application.current_deployment_uuid
    # What serves may be a restart: then the newest release up to it is the one that serves.
    since = finished[ids.index(current) :] if current in ids else finished
    earlier = [one.deployment_uuid for one in since if one.kind in ("deploy", "rollback")][1:]
    if not earlier:
        raise NotPossibleNow(f"{application.name} has no earlier successful deployment to go back to.")
    return earlier[0]


def cancel(
    session: Session, deployment: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its uuid.")]
) -> None:
    """Cancel a queued or running deployment. What ran before goes on."""
    answer = session.client.cancel(deployment)
    message = str(answer.get("message") or "Cancellation requested.")
    session.output.show(answer, lambda: session.output.say(message))
