"""`seaway server`: the machines that applications run on."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput, NotFound, ServerUnreachable
from seaway.cli.commands.metrics import metrics, replicas
from seaway.cli.commands.server_changes import ServerName, Wait, add, change
from seaway.cli.commands.server_events import events
from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_server
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from seaway.cli.answers import Server, ServerStep

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Servers.", no_args_is_help=True)
    command(group, "add")(add)
    command(group, "list")(list_servers)
    command(group, "show")(show)
    command(group, "steps")(steps)
    command(group, "set")(change)
    command(group, "validate")(validate)
    command(group, "accept-host-key")(accept_host_key)
    command(group, "metrics")(metrics)
    command(group, "replicas")(replicas)
    command(group, "events")(events)
    command(group, "swarm")(swarm)
    command(group, "clean")(clean)
    command(group, "rm")(remove)
    root.add_typer(group, name="server")


def swarm(session: Session, server: ServerName) -> None:
    """Show what a server is in a Docker Swarm, and the Swarm's nodes."""
    found = find_server(session.client, server)
    told = session.client.swarm(found.uuid)
    rows = [
        [node.hostname, node.role, node.state, node.availability, node.address, node.server_uuid or "unknown"]
        for node in told.nodes
    ]
    nothing = "Nodes are known to managers only." if told.role == "worker" else "It is in no Swarm."
    session.output.show(
        told.document(),
        lambda: session.output.table(
            ["Node", "Role", "State", "Availability", "Address", "Server"], rows, nothing
        ),
    )


def clean(session: Session, server: ServerName, wait: Wait = True) -> ExitCode:
    """Remove images that are not kept, containers of former releases and too much cache of builds now.

    The clock does it else, and a disk that fills up.
    """
    from seaway.cli.server_progress import conclude_clean_up

    found = find_server(session.client, server)
    event_uuid = session.client.clean_server(found.uuid)
    return conclude_clean_up(session, found, event_uuid, wait=wait)


def list_servers(session: Session) -> None:
    """List servers."""
    servers = session.client.servers()
    session.output.show(
        [server.document() for server in servers],
        lambda: session.output.table(
            ["Name", "Status", "Address", "Roles", "Engine", "UUID"],
            [
                [
                    server.name,
                    server.word,
                    _address(server),
                    ", ".join(server.roles),
                    server.engine_version or "",
                    server.uuid,
                ]
                for server in servers
            ],
            "No server yet.",
        ),
    )


def show(session: Session, server: ServerName) -> None:
    """Show all that is known about a server, and what is built there."""
    from domain.servers import ServerStatus
    from seaway.cli.output import plain
    from seaway.cli.server_progress import host_key_advice

    found = find_server(session.client, server)
    builds = session.client.server_builds(found.uuid)
    document = {**found.document(), "builds": [build.document() for build in builds]}
    lines = {**document, "builds": "\n".join(plain(str(build)) for build in builds)}
    if found.status == ServerStatus.HOST_KEY_CHANGED:
        session.output.note(host_key_advice(found), "red")
    session.output.show(
        document,
        lambda: session.output.table(
            ["Field", "Value"],
            [
                [key, str(value)]
                for key, value in lines.items()
                if value not in (None, "", [], {}) and key not in ("settings", "id")
            ],
            "",
        ),
    )


def steps(session: Session, server: ServerName) -> None:
    """Show how making a server usable went the last time, with the evidence of what failed."""
    found = session.client.server_steps(find_server(session.client, server).uuid)
    session.output.show([step.document() for step in found], lambda: _show_steps(session, found))


def _show_steps(session: Session, found: Sequence[ServerStep]) -> None:
    from domain.deployments import StepStatus
    from seaway.cli.output import duration, plain

    session.output.table(
        ["Step", "Status", "Attempt", "Took", "Message"],
        [
            [
                step.title,
                step.status,
                str(step.attempt or ""),
                duration(step.seconds) if step.seconds is not None else "",
                plain(step.message),
            ]
            for step in found
        ],
        "Nobody has tried yet. `seaway server validate` does.",
    )
    for step in found:
        if step.status == StepStatus.FAILED and step.detail:
            session.output.say(f"✗ {step.title}", "bold red")
            session.output.say(f"  {plain(step.detail)}".replace("\n", "\n  "), "dim")


def validate(session: Session, server: ServerName, wait: Wait = True) -> ExitCode:
    """Check a server and do what is missing, step by step."""
    from seaway.cli.server_progress import conclude

    found = find_server(session.client, server)
    if found.is_coolify_host:
        answer = session.client.validate_server(found.uuid)
        session.output.show({"message": answer}, lambda: session.output.say(answer))
        return ExitCode.SUCCESS if found.is_usable else ExitCode.FAILED
    before = session.client.server_steps(found.uuid)
    with contextlib.suppress(ServerUnreachable):  # its steps and its status tell it better
        session.client.validate_server(found.uuid)
    return conclude(session, found.uuid, wait=wait, known=before)


def accept_host_key(
    session: Session,
    server: ServerName,
    fingerprint: Annotated[
        str | None, typer.Argument(help="The one that you have compared; you are asked, if not given.")
    ] = None,
    wait: Wait = True,
) -> ExitCode:
    """Accept that a server shows another host key, after comparing its fingerprint."""
    from seaway.cli.server_progress import conclude

    found = find_server(session.client, server)
    if fingerprint is None:
        fingerprint = _ask_for_fingerprint(session, found)
    before = session.client.server_steps(found.uuid)
    session.client.accept_host_key(found.uuid, fingerprint)
    session.output.note(f"Accepted {fingerprint} for {found.name}.")
    return conclude(session, found.uuid, wait=wait, known=before)


def _ask_for_fingerprint(session: Session, server: Server) -> str:
    keys = session.client.host_key(server.uuid)
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"{server.name} shows {keys.shown_fingerprint}. Compare it on the server "
            "(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) and give it as an argument.",
            field="fingerprint",
        )
    session.output.note(f"Pinned: {keys.pinned_fingerprint or 'none'}")
    session.output.note(f"Shown:  {keys.shown_fingerprint}")
    if not typer.confirm("Have you compared it on the server, and is it the shown one?", err=True):
        raise InvalidInput("Nothing was changed.")
    return keys.shown_fingerprint


def remove(
    session: Session,
    server: ServerName,
    with_applications: Annotated[
        bool,
        typer.Option(
            "--with-applications", help="Delete what lives there too, with its volumes and the data in them."
        ),
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="It is gone for good: what is on it stays there.")
    ] = False,
    yes: Yes = False,
    wait: Wait = True,
) -> ExitCode:
    """Take Seaway off a server and forget it. Refused while applications live there."""
    from seaway.cli.server_progress import conclude_removal, refusals

    found = find_server(session.client, server)
    if not yes:
        _confirm(found, with_applications=with_applications)
    known: Collection[str] = ()
    with contextlib.suppress(NotFound):  # somebody was faster
        known = refusals(session, found.uuid)
        said = session.client.delete_server(found.uuid, delete_resources=with_applications, forget=forget)
        if forget:
            session.output.note(said)
    return conclude_removal(session, found, known, wait=wait)


def _confirm(server: Server, *, with_applications: bool) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"To remove {server.name} ({server.uuid}) without being asked, add --yes.", field="yes"
        )
    more = " and deletes the applications there, with their volumes and all data in them"
    what = f"{server.name}{more}" if with_applications else server.name
    if typer.prompt(f"This removes {what}. Write its name to go on", err=True) != server.name:
        raise InvalidInput("That is not its name. Nothing was removed.")


def _address(server: Server) -> str:
    if server.is_coolify_host:
        return "this machine"
    host = f"[{server.ip}]" if ":" in server.ip else server.ip
    return f"{server.user}@{host}:{server.port}"
