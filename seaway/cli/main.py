"""The `seaway` command: its parts put together, and the last line of defence against stack traces."""

from __future__ import annotations

import os
import sys
from typing import TextIO, cast

import typer

from seaway.cli.commands import (
    applications,
    audit,
    contexts,
    deployments,
    environment,
    inspection,
    metrics,
    operations,
    private_keys,
    projects,
    registries,
    servers,
    serving,
    terminals,
    version,
)
from seaway.cli.exit_codes import ExitCode

_EPILOGUE = (
    "Exit codes: 0 done, 1 failed or refused, 2 wrong usage or input, 3 cancelled or superseded, "
    "4 no access to Seaway, 5 not found, 130 interrupted."
)

application = typer.Typer(
    name="seaway",
    help="Deploys applications to your own servers.",
    epilog=_EPILOGUE,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    serving,
    deployments,
    operations,
    inspection,
    metrics,
    terminals,
    applications,
    environment,
    projects,
    servers,
    private_keys,
    registries,
    audit,
    contexts,
    version,
):
    part.register(application)


def main() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows a question mark, instead of ending the command.
        cast("_Reconfigurable", stream).reconfigure(errors="replace")
    try:
        application()
    except BrokenPipeError:
        # Whoever read the output has gone, as in `seaway logs app | head`; nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.SUCCESS)
    except Exception as error:
        if os.environ.get("SEAWAY_DEBUG"):
            raise
        print(
            f"Error: {type(error).__name__}: {error}\n"
            "This is a fault in Seaway. SEAWAY_DEBUG=1 shows where it is; please report it.",
            file=sys.stderr,
        )
        sys.exit(ExitCode.FAILED)


class _Reconfigurable(TextIO):
    def reconfigure(self, *, errors: str) -> None:
        """As `io.TextIOWrapper` has it."""
