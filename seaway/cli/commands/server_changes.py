"""`seaway server add` and `set`: what is said about a server, and how one gets there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import Conflict, InvalidInput, NotFound, NotPossibleNow, SeawayError
from seaway.cli.exit_codes import ExitCode
from seaway.cli.naming import find_key, find_server
from seaway.cli.session import Session

if TYPE_CHECKING:
    from seaway.cli.answers import PrivateKey

ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="Name, address or uuid of the server.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end, or return at once.")]
REFUSALS = (Conflict, InvalidInput, NotFound, NotPossibleNow)
"""What leaves no server; after any other error there may be one."""

USUAL, PERCENT = "usual", "0-100|usual"
_WAY, _USE = "Way in", "Use"
_WAY_IN = ("ip", "user", "port", "private_key_uuid", "jump_server_uuid")


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
    swarm_manager: Annotated[
        bool,
        typer.Option("--swarm-manager", help="It manages a Swarm, begun if needed.", rich_help_panel=_USE),
    ] = False,
    swarm_worker: Annotated[
        bool,
        typer.Option("--swarm-worker", help="It joins your manager's Swarm.", rich_help_panel=_USE),
    ] = False,
    wildcard_domain: Annotated[
        str | None, typer.Option(help="Such as https://apps.example.com.", rich_help_panel=_USE)
    ] = None,
    wait: Wait = True,
) -> ExitCode:
    """Add a server, pin its host key, and make it usable: Docker is installed where it is missing."""
    from seaway.cli.server_progress import conclude

    jump_uuid = find_server(session.client, jump).uuid if jump else None
    chosen = _key(session, key, key_file, name or address, passphrase=passphrase)
    fields: dict[str, object] = {
        "ip": address,
        "name": name,
        "description": description,
        "user": user,
        "port": port,
        "host_key": host_key,
        "is_build_server": build_server or None,
        "is_swarm_manager": swarm_manager or None,
        "is_swarm_worker": swarm_worker or None,
        "wildcard_domain": wildcard_domain,
        "jump_server_uuid": jump_uuid,
        "private_key_uuid": chosen.uuid,
        "instant_validate": True,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        server = session.client.create_server(given)
    except REFUSALS as error:
        if key_file is not None:
            with contextlib.suppress(SeawayError):  # it was stored for this server alone
                session.client.delete_key(chosen.uuid)
        raise _advised(error) from error
    session.output.note(f"Added {server.name} ({server.uuid}).")
    if server.host_key_fingerprint:
        how = "given" if host_key else "pinned at first contact"
        session.output.note(f"Host key, {how}: {server.host_key_fingerprint}")
    return conclude(session, server.uuid, wait=wait)


def _advised(error: SeawayError) -> SeawayError:
    if not isinstance(error, Conflict):
        return error
    advice = "`seaway server set` changes it, `seaway server validate` tries it again."
    return Conflict(f"{error.message} {advice}", detail=error.detail)


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


def change(
    session: Session,
    server: ServerName,
    name: Annotated[str | None, typer.Option(help="What to call it.", rich_help_panel=_USE)] = None,
    description: Annotated[str | None, typer.Option(rich_help_panel=_USE)] = None,
    wildcard_domain: Annotated[
        str | None, typer.Option(help="Such as https://apps.example.com.", rich_help_panel=_USE)
    ] = None,
    build_server: Annotated[
        bool | None,
        typer.Option("--build-server/--no-build-server", help="It builds images.", rich_help_panel=_USE),
    ] = None,
    swarm_manager: Annotated[
        bool | None,
        typer.Option("--swarm-manager/--no-swarm-manager", help="It manages a Swarm.", rich_help_panel=_USE),
    ] = None,
    swarm_worker: Annotated[
        bool | None,
        typer.Option(
            "--swarm-worker/--no-swarm-worker", help="It is in a manager's Swarm.", rich_help_panel=_USE
        ),
    ] = None,
    concurrent_builds: Annotated[
        int | None, typer.Option(min=1, max=100, help="How many at once.", rich_help_panel=_USE)
    ] = None,
    build_cpu_percent: Annotated[
        str | None,
        typer.Option(
            metavar=PERCENT,
            help="Of processors for builds; 0: no limit; `usual`: as set for all.",
            rich_help_panel=_USE,
        ),
    ] = None,
    build_memory_percent: Annotated[
        str | None,
        typer.Option(
            metavar=PERCENT,
            help="Of memory for builds; 0: no limit; `usual`: as set for all.",
            rich_help_panel=_USE,
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The pinned host key stays.", rich_help_panel=_WAY)
    ] = None,
    user: Annotated[str | None, typer.Option(rich_help_panel=_WAY)] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, rich_help_panel=_WAY)] = None,
    key: Annotated[str | None, typer.Option(help="A key of `seaway key list`.", rich_help_panel=_WAY)] = None,
    jump: Annotated[
        str | None, typer.Option(help="A server that the way leads over, or none.", rich_help_panel=_WAY)
    ] = None,
    wait: Wait = True,
) -> ExitCode:
    """Change a server. A new way in is tried at once."""
    from seaway.cli.server_progress import UNDER_WAY, conclude

    client = session.client
    found = find_server(client, server)
    fields: dict[str, object] = {
        "name": name,
        "description": description,
        "wildcard_domain": wildcard_domain,
        "is_build_server": build_server,
        "is_swarm_manager": swarm_manager,
        "is_swarm_worker": swarm_worker,
        "concurrent_builds": concurrent_builds,
        "ip": address,
        "user": user,
        "port": port,
        "private_key_uuid": find_key(client, key).uuid if key else None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    shares = {"build_cpu_percent": build_cpu_percent, "build_memory_percent": build_memory_percent}
    given |= {name: _percent(name, said) for name, said in shares.items() if said is not None}
    if jump is not None:
        given["jump_server_uuid"] = None if jump == "none" else find_server(client, jump).uuid
    if not given:
        raise InvalidInput("Say what to change; `seaway server set --help` lists it.")
    before = client.server_steps(found.uuid)
    changed = client.update_server(found.uuid, given)
    session.output.note(f"Changed {', '.join(given)} of {changed.name}.")
    if changed.status in UNDER_WAY or not given.keys().isdisjoint(_WAY_IN):
        return conclude(session, found.uuid, wait=wait, known=before)
    session.output.show(changed.document(), lambda: None)
    return ExitCode.SUCCESS


def _percent(field: str, said: str) -> int | None:
    """The share of a server that builds get; None where the settings for all servers say it."""
    if said == USUAL:
        return None
    if said.isascii() and said.isdigit() and int(said) <= 100:
        return int(said)
    option = field.replace("_", "-")
    raise InvalidInput(f"--{option} is a number from 0 to 100, or `{USUAL}`; not '{said}'.", field=field)
