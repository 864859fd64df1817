"""`seaway up`, `api`, `worker`: start Seaway itself. Only the flags that were given override settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import SeawayError
from seaway.cli.output import Output

if TYPE_CHECKING:
    from seaway.settings import Settings

_PANEL = "Running Seaway"
DataDirectory = Annotated[Path | None, typer.Option("--data-dir", help="Where Seaway keeps its data.")]
Host = Annotated[str | None, typer.Option(help="The address that the API listens on.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="API and dashboard [8000].")]
HttpPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Applications over HTTP [80].")]
HttpsPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Applications over HTTPS [443].")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    for function in (up, api, worker):
        root.command(rich_help_panel=_PANEL)(function)


def up(
    port: Port = None,
    http_port: HttpPort = None,
    https_port: HttpsPort = None,
    host: Host = None,
    data_dir: DataDirectory = None,
) -> None:
    """Start everything on this machine: Temporal, API, dashboard, worker and proxy. Ctrl-C ends it."""

    def run(settings: Settings) -> None:
        from seaway.up import run_up

        run_up(settings)

    _start(run, port=port, http_port=http_port, https_port=https_port, host=host, data_dir=data_dir)


def api(port: Port = None, host: Host = None, data_dir: DataDirectory = None) -> None:
    """Start the API and the dashboard alone (TEMPORAL_ADDRESS, SEAWAY_DATABASE_URL)."""

    def run(settings: Settings) -> None:
        from seaway.parts import run_api

        run_api(settings)

    _start(run, port=port, host=host, data_dir=data_dir)


def worker(http_port: HttpPort = None, https_port: HttpsPort = None, data_dir: DataDirectory = None) -> None:
    """Start a worker alone (TEMPORAL_ADDRESS, SEAWAY_DATABASE_URL)."""

    def run(settings: Settings) -> None:
        from seaway.parts import run_worker

        run_worker(settings)

    _start(run, http_port=http_port, https_port=https_port, data_dir=data_dir)


def _start(run: Callable[[Settings], None], **flags: Any) -> None:
    from pydantic import ValidationError

    from seaway.settings import Settings

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            typer.echo(f"Error: setting {place}: {problem['msg']}", err=True)
        raise typer.Exit(2) from None
    try:
        run(settings)
    except SeawayError as error:
        raise typer.Exit(int(Output(as_json=False).fail(error))) from None
