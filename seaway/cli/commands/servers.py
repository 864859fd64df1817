"""`seaway server`: the machines that applications run on."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput, NotFound, ServerUnreachable
from seaway.cli.commands import server_metrics
from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_key, find_server
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.answers import PrivateKey, Server

ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="Name, address or uuid of the server.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end, or return at once.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_WAY, _USE = "Way in", "Use"


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Servers.", no_args_is_help=True)
    command(group, "add")(add)
    command(group, "list")(list_servers)
    command(group, "show")(show)
    command(group, "steps")(steps)
    command(group, "validate")(validate)
    command(group, "accept-host-key")(accept_host_key)
    command(group, "metrics")(server_metrics.metrics)
    command(group, "events")(server_metrics.events)
    command(group, "rm")(remove)
    root.add_typer(group, name="server")


def add(
    session: Session,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A name, an IPv4 or an IPv6 address.")],
    name: Annotated[str | None, typer.Option(help="What to call it; its address.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    user: Annotated[
        str, typer.Option(help="root, or one with passwordless sudo or in `docker`.", rich_help_panel=_WAY)
    ] = "root",
    port: Annotated[int, typer.Option(min=1, max=65535, rich_help_panel=_WAY)] = 22,
    key: Annotated[
        str | None, typer.Option(help="A key of `seaway key list`; the only one.", rich_help_panel=_WAY)
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Store this private key and use it.", rich_help_panel=_WAY)
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for what opens the key's file.", rich_help_panel=_WAY)
    ] = False,
    jump: Annotated[
        str | None, typer.Option(help="A server that the way leads over.", rich_help_panel=_WAY)
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option(help="Its host key, 'ssh-ed25519 AAAA…'; else the one shown.", rich_help_panel=_WAY),
    ] = None,
    build_server: Annotated[
        bool, typer.Option("--build-server", help="It builds images.", rich_help_panel=_USE)
    ] = False,
    wildcard_domain: Annotated[
        str | None, typer.Option(help="Such as https://apps.example.com.", rich_help_panel=_USE)
    ] = None,
    wait: Wait = True,
) -> ExitCode:
    """Add a server, pin its host key, and make it usable: Docker is installed where it is missing."""
    from seaway.cli.server_progress import conclude

    fields: dict[str, object] = {
        "ip": address,
        "name": name,
        "description": description,
        "user": user,
        "port": port,
        "host_key": host_key,
        "is_build_server": build_server or None,
        "wildcard_domain": wildcard_domain,
        "jump_server_uuid": find_server(session.client, jump).uuid if jump else None,
        "private_key_uuid": _key(session, key, key_file, name or address, passphrase=passphrase).uuid,
        "instant_validate": True,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    server = session.client.create_server(given)
    session.output.note(f"Added {server.name} ({server.uuid}).")
    if server.host_key_fingerprint:
        how = "given" if host_key else "pinned at first contact"
        session.output.note(f"Host key, {how}: {server.host_key_fingerprint}")
    return conclude(session, server.uuid, wait=wait)


def _key(
    session: Session, name: str | None, file: Path | None, for_server: str, *, passphrase: bool
) -> PrivateKey:
    from seaway.cli.commands.private_keys import store_key

    if name is not None and file is not None:
        raise InvalidInput("Give either --key or --key-file.", field="key")
    if file is not None:
        return store_key(session, for_server, file, ask=passphrase)
    if name is not None:
        return find_key(session.client, name)
    keys = session.client.keys()
    if len(keys) == 1:
        return keys[0]
    if keys:
        raise InvalidInput(
            f"Say which key with --key: {', '.join(one.name for one in keys)}.", field="private_key_uuid"
        )
    raise InvalidInput(
        "A key is needed that opens the server: --key-file FILE stores yours, `seaway key generate NAME` "
        "makes one, whose public part goes into ~/.ssh/authorized_keys there.",
        field="private_key_uuid",
    )


def list_servers(session: Session) -> None:
    """List servers."""
    servers = session.client.servers()
    session.output.show(
        [server.document() for server in servers],
        lambda: session.output.table(
            ["Name", "Status", "Address", "Engine", "UUID"],
            [
                [server.name, server.word, _address(server), server.engine_version or "", server.uuid]
                for server in servers
            ],
            "No server yet.",
        ),
    )


def show(session: Session, server: ServerName) -> None:
    """Show all that is known about a server."""
    document = find_server(session.client, server).document()
    session.output.show(
        document,
        lambda: session.output.table(
            ["Field", "Value"],
            [
                [key, str(value)]
                for key, value in document.items()
                if value not in (None, "", [], {}) and key not in ("settings", "id")
            ],
            "",
        ),
    )


def steps(session: Session, server: ServerName) -> None:
    """Show how making a server usable went the last time."""
    from seaway.cli.output import duration, plain

    found = session.client.server_steps(find_server(session.client, server).uuid)
    session.output.show(
        [step.document() for step in found],
        lambda: session.output.table(
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
        ),
    )


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
        bool, typer.Option("--with-applications", help="Delete what lives there too.")
    ] = False,
    yes: Yes = False,
    wait: Wait = True,
) -> ExitCode:
    """Take Seaway off a server and forget it. Refused while applications live there."""
    from seaway.cli.server_progress import conclude_removal

    found = find_server(session.client, server)
    if not yes:
        _confirm(found, with_applications=with_applications)
    with contextlib.suppress(NotFound):  # somebody was faster
        session.client.delete_server(found.uuid, delete_resources=with_applications)
    return conclude_removal(session, found, wait=wait)


def _confirm(server: Server, *, with_applications: bool) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"To remove {server.name} ({server.uuid}) without being asked, add --yes.", field="yes"
        )
    what = f"{server.name} and deletes the applications there" if with_applications else server.name
    if typer.prompt(f"This removes {what}. Write its name to go on", err=True) != server.name:
        raise InvalidInput("That is not its name. Nothing was removed.")


def _address(server: Server) -> str:
    if server.is_coolify_host:
        return "this machine"
    host = f"[{server.ip}]" if ":" in server.ip else server.ip
    return f"{server.user}@{host}:{server.port}"
