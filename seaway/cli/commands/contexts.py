"""`seaway login` and `seaway context`: which Seaway to talk to, remembered."""

from __future__ import annotations

import os
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from domain.errors import InvalidInput
from seaway.cli.context import Connection, Contexts, configuration_file, normalised_url
from seaway.cli.session import Session, command, open_client


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Saved log-ins.", no_args_is_help=True)
    command(root, "login")(login)
    command(group, "list")(list_contexts)
    command(group, "use")(use)
    command(group, "rm")(remove)
    root.add_typer(group, name="context")


def login(
    session: Session,
    address: Annotated[str, typer.Argument(metavar="URL", help="Such as https://seaway.example.com.")],
    name: Annotated[str | None, typer.Option(help="What to call the log-in; its host, if not given.")] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the token from standard input.")
    ] = False,
) -> None:
    """Check an API token and remember it as the current context. Asks for the token."""
    url = normalised_url(address)
    token = _token(session, token_stdin)
    client = open_client(Connection(url, token, origin="login"))
    try:
        client.projects()
        version = client.version()
    finally:
        client.rest.close()
    file = configuration_file(os.environ)
    saved_as = name or urlsplit(url).hostname or "default"
    Contexts(file).put(saved_as, Connection(url, token, origin="login"))
    session.output.show(
        {"context": saved_as, "url": url, "version": version, "file": str(file)},
        lambda: session.output.say(f"Logged in to {url} (Seaway {version}) as context '{saved_as}'."),
    )


def _token(session: Session, from_stdin: bool) -> str:
    if from_stdin:
        token = sys.stdin.readline()
    elif session.flags.token or os.environ.get("SEAWAY_TOKEN"):
        token = session.flags.token or os.environ["SEAWAY_TOKEN"]
    elif sys.stdin.isatty():
        token = typer.prompt("API token", hide_input=True, err=True)
    else:
        raise InvalidInput("Give the token with --token-stdin or SEAWAY_TOKEN.", field="token")
    if not token.strip() or not token.strip().isascii():
        raise InvalidInput("The token is empty or holds characters that no token has.", field="token")
    return token.strip()


def list_contexts(session: Session) -> None:
    """List the saved log-ins, without their tokens."""
    contexts = Contexts(configuration_file(os.environ))
    rows = [(name, contexts.get(name).url, name == contexts.current) for name in contexts.names]
    session.output.show(
        [{"name": name, "url": url, "current": current} for name, url, current in rows],
        lambda: session.output.table(
            ["Name", "URL", "Current"],
            [[name, url, "yes" if current else ""] for name, url, current in rows],
            "No context yet. `seaway login URL` makes one.",
        ),
    )


def use(session: Session, name: Annotated[str, typer.Argument(metavar="CONTEXT")]) -> None:
    """Make a saved log-in the current one."""
    Contexts(configuration_file(os.environ)).use(name)
    session.output.show(
        {"current": name}, lambda: session.output.say(f"Commands now go to context '{name}'.")
    )


def remove(session: Session, name: Annotated[str, typer.Argument(metavar="CONTEXT")]) -> None:
    """Forget a saved log-in. The token stays valid until it is revoked."""
    Contexts(configuration_file(os.environ)).remove(name)
    session.output.show({"removed": name}, lambda: session.output.say(f"Forgot context '{name}'."))
