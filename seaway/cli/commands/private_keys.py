"""`seaway key`: private keys for repositories and servers. Keys come from files, never from arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidInput
from seaway.cli.naming import find_key
from seaway.cli.session import Session, command

if TYPE_CHECKING:
    from seaway.cli.answers import PrivateKey

PASSPHRASE_IN_ENVIRONMENT = "SEAWAY_KEY_PASSPHRASE"  # noqa: S105  the name of a variable


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Private keys, such as deploy keys.", no_args_is_help=True)
    command(group, "list")(list_keys)
    command(group, "show")(show)
    command(group, "add")(add)
    command(group, "generate")(generate)
    command(group, "set")(change)
    command(group, "rm")(remove)
    root.add_typer(group, name="key")


def list_keys(session: Session) -> None:
    """List private keys, without the keys themselves."""
    keys = session.client.keys()
    session.output.show(
        [key.document() for key in keys],
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
    passphrase: Annotated[
        bool,
        typer.Option("--passphrase", help="Ask for what opens it, unless SEAWAY_KEY_PASSPHRASE holds that."),
    ] = False,
) -> None:
    """Store a private key. Its passphrase is used once and not kept: Seaway encrypts keys itself."""
    key = store_key(session, name, file, description, ask=passphrase)
    session.output.show(key.document(), lambda: session.output.say(f"Stored key {key.name} ({key.uuid})."))


def generate(
    session: Session,
    name: Annotated[str, typer.Argument()],
    description: Annotated[str, typer.Option()] = "",
) -> None:
    """Make an Ed25519 key, and show the line that opens a server to it."""
    key = session.client.generate_key(name, description)
    session.output.show(key.document(), lambda: _say_generated(session, key))


def show(session: Session, key: Annotated[str, typer.Argument(help="Name or uuid.")]) -> None:
    """Show the public part and the fingerprint of a key."""
    found = find_key(session.client, key)
    session.output.show(
        found.document(),
        lambda: session.output.table(
            ["Field", "Value"],
            [[name, str(value)] for name, value in found.document().items() if value not in (None, "")],
            "",
        ),
    )


def change(
    session: Session,
    key: Annotated[str, typer.Argument(help="Name or uuid.")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    file: Annotated[
        Path | None, typer.Option(help="Another private key in its place, or - for standard input.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for what opens the file; else SEAWAY_KEY_PASSPHRASE.")
    ] = False,
) -> None:
    """Change a private key. What uses it, uses the new one from then on."""
    found = find_key(session.client, key)
    fields = {"name": name, "description": description}
    given: dict[str, object] = {field: value for field, value in fields.items() if value is not None}
    if passphrase and file is None:
        raise InvalidInput("--passphrase asks for what opens a file: give --file as well.", field="file")
    if not given and file is None:
        raise InvalidInput("Say what to change; `seaway key set --help` lists it.")
    if file is None:
        changed = session.client.update_key(found.uuid, given)
    else:
        text = read_text(file)

        def send(opened_by: str) -> PrivateKey:
            secret = {"passphrase": opened_by} if opened_by else {}
            return session.client.update_key(found.uuid, {**given, "private_key": text, **secret})

        changed = _with_passphrase(send, ask=passphrase)
    what = [*given, *(["the key itself"] if file is not None else [])]
    said = f"Changed {', '.join(what)} of {changed.name} ({changed.fingerprint})."
    session.output.show(changed.document(), lambda: session.output.say(said))


def remove(session: Session, key: Annotated[str, typer.Argument(help="Name or uuid.")]) -> None:
    """Remove a private key that nothing uses."""
    found = find_key(session.client, key)
    session.client.delete_key(found.uuid)
    session.output.show(
        {"removed": found.uuid, "name": found.name},
        lambda: session.output.say(f"Removed key {found.name}."),
    )


def store_key(
    session: Session, name: str, file: Path, description: str = "", *, ask: bool = False
) -> PrivateKey:
    """Stores the key of a file, with its passphrase from SEAWAY_KEY_PASSPHRASE or from a person.

    A person at a terminal is asked as well where the key turns out to need one.
    """
    text = read_text(file)

    def send(passphrase: str) -> PrivateKey:
        return session.client.create_key(name, text, description, passphrase=passphrase)

    return _with_passphrase(send, ask=ask)


def _with_passphrase(send: Callable[[str], PrivateKey], *, ask: bool) -> PrivateKey:
    """What `send` makes of the passphrase, as `store_key` gets it; empty where none is known to be needed."""
    passphrase = os.environ.get(PASSPHRASE_IN_ENVIRONMENT, "")
    if ask and not passphrase:
        passphrase = _asked_passphrase()
    try:
        return send(passphrase)
    except InvalidInput as error:
        if "passphrase" not in error.fields or passphrase or not sys.stdin.isatty():
            raise
    return send(_asked_passphrase())


def _asked_passphrase() -> str:
    return str(typer.prompt("Passphrase", hide_input=True, err=True))


def _say_generated(session: Session, key: PrivateKey) -> None:
    session.output.say(f"Made key {key.name} ({key.uuid}), {key.fingerprint}.")
    session.output.say("Put this line into ~/.ssh/authorized_keys of the user on the server:")
    session.output.say(key.public_key or "")


def read_text(file: Path) -> str:
    """The text of a file, or of standard input for `-`. Raises InvalidInput."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}.", field="file") from error
