"""`seaway key`: private keys for repositories and servers. Keys come from files, never from arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import InvalidInput
from seaway.cli.naming import find_key
from seaway.cli.session import Session, command


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Private keys, such as deploy keys.", no_args_is_help=True)
    command(group, "list")(list_keys)
    command(group, "add")(add)
    command(group, "rm")(remove)
    root.add_typer(group, name="key")


def list_keys(session: Session) -> None:
    """List private keys, without the keys themselves."""
    keys = session.client.keys()
    session.output.show(
        [{name: value for name, value in key.document().items() if name != "private_key"} for key in keys],
        lambda: session.output.table(
            ["Name", "Fingerprint", "UUID"],
            [[key.name, key.fingerprint or "", key.uuid] for key in keys],
            "No key yet. `seaway key add NAME FILE` stores one.",
        ),
    )


def add(
    session: Session,
    name: Annotated[str, typer.Argument()],
    file: Annotated[Path, typer.Argument(help="The private key's file, or - for standard input.")],
    description: Annotated[str, typer.Option()] = "",
) -> None:
    """Store a private key."""
    uuid = session.client.create_key(name, read_text(file), description)
    session.output.show(
        {"uuid": uuid, "name": name}, lambda: session.output.say(f"Stored key {name} ({uuid}).")
    )


def remove(session: Session, key: Annotated[str, typer.Argument(help="Name or uuid.")]) -> None:
    """Remove a private key that nothing uses."""
    found = find_key(session.client, key)
    session.client.delete_key(found.uuid)
    session.output.show(
        {"removed": found.uuid, "name": found.name},
        lambda: session.output.say(f"Removed key {found.name}."),
    )


def read_text(file: Path) -> str:
    """The text of a file, or of standard input for `-`. Raises InvalidInput."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}.", field="file") from error
