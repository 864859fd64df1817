"""What one invocation works with, and the decorator that gives it to the commands.

`@command(group)` registers a function whose first parameter is the session. Typer never sees that
parameter; it sees the options that all commands share instead: --json, --url, --token, --context.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from domain.errors import SeawayError
from seaway.cli.context import Connection, ConnectionFlags, resolve_connection
from seaway.cli.exit_codes import ExitCode
from seaway.cli.output import Output

if TYPE_CHECKING:
    from seaway.cli.client import SeawayClient

Function = TypeVar("Function", bound=Callable[..., int | None])
_PANEL = "Every command"
_SHARED: tuple[tuple[str, Any, object], ...] = (
    (
        "as_json",
        Annotated[bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=_PANEL)],
        False,
    ),
    (
        "url",
        Annotated[str | None, typer.Option(help="Where Seaway is (SEAWAY_URL).", rich_help_panel=_PANEL)],
        None,
    ),
    (
        "token",
        Annotated[
            str | None,
            typer.Option(
                help="API token. SEAWAY_TOKEN is better: others see arguments.", rich_help_panel=_PANEL
            ),
        ],
        None,
    ),
    (
        "context",
        Annotated[str | None, typer.Option(help="A saved log-in (SEAWAY_CONTEXT).", rich_help_panel=_PANEL)],
        None,
    ),
)
SHARED_OPTIONS = ("--json", "--url", "--token", "--context")


@dataclass
class Session:
    """The connection and the output of one command."""

    flags: ConnectionFlags
    output: Output

    @cached_property
    def connection(self) -> Connection:
        """The Seaway to talk to. Raises Unauthenticated or InvalidInput."""
        return resolve_connection(self.flags, os.environ)

    @cached_property
    def client(self) -> SeawayClient:
        """Its API."""
        return open_client(self.connection)

    def close(self) -> None:
        """Closes the connections, if there are any."""
        if "client" in self.__dict__:
            self.client.rest.close()


def open_client(connection: Connection) -> SeawayClient:
    """The API of one Seaway; the one place where the command's tests put a stand-in."""
    from seaway.cli.client import SeawayClient
    from seaway.cli.rest import RestClient

    return SeawayClient(RestClient(connection))


def command(group: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Registers a command that may return its exit code; None is success. Errors are reported here."""

    def register(function: Function) -> Function:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in list(signature.parameters.values())[1:]
        ]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, annotation, default in _SHARED
        ]

        def run(**values: Any) -> None:
            flags = ConnectionFlags(values.pop("url"), values.pop("token"), values.pop("context"))
            finish(function, Session(flags, Output(as_json=values.pop("as_json"))), values)

        parameters = [*own, *shared]
        run.__doc__ = function.__doc__
        run.__name__ = name
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        group.command(name)(run)
        return function

    return register


def finish(function: Callable[..., int | None], session: Session, values: dict[str, Any]) -> None:
    """Runs a command and ends with its exit code."""
    try:
        code = function(session, **values) or ExitCode.SUCCESS
    except SeawayError as error:
        code = session.output.fail(error)
    finally:
        session.close()
    raise typer.Exit(int(code))
