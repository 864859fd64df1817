"""`docs/cli.md`, made from the commands themselves: `python -m seaway.cli.reference > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer

from seaway.cli.exit_codes import MEANINGS
from seaway.cli.main import application
from seaway.cli.session import SHARED_OPTIONS

_INTRODUCTION = """\
# Commands

`seaway COMMAND --help` is the reference; this page is the overview, and
`python -m seaway.cli.reference > docs/cli.md` makes it from the commands.

`APP` is an application's name or uuid. Commands that deploy, start, stop, restart, scale, roll back
or remove follow the operation to its end, unless `--no-wait` is given.
"""
_CONNECTION = """\
## Which Seaway, and as whom

The first of these that is there:

1. `--url` and `--token`, or a context by `--context`; `seaway login URL` makes contexts, in
   `~/.config/seaway/config.json`
2. `SEAWAY_URL` and `SEAWAY_TOKEN`; better than `--token`, which others on the machine can see
3. the context named by `SEAWAY_CONTEXT`
4. `credentials.json` in `SEAWAY_DATA_DIR`, if that is set
5. the current context
6. `credentials.json` in the default data folder (`/var/lib/seaway` for root, else
   `~/.local/share/seaway`), which `seaway up` writes

A saved token is only ever sent to the address that it was saved with.
"""
_SCRIPTS = """\
## For scripts

`--json` prints exactly one JSON document on stdout, as the API sent it; of an error, its `message`,
`code`, `exit_code` and, where there is more to say, `detail` and `errors`. Notes go to stderr.
Where stdout is not a terminal, `deploy` prints one line for each change, with the step as prefix.

`seaway deploy APP --idempotency-key "$CI_RUN_ID"` counts once, however often the job is repeated.
"""


def reference_page() -> str:
    """The whole page."""
    parts = [
        _INTRODUCTION,
        _table(("command", "does"), _commands(typer.main.get_command(application), "seaway")),
        "Every command that talks to a Seaway also takes "
        + ", ".join(f"`{option}`" for option in SHARED_OPTIONS)
        + ".\n",
        "## Exit codes\n",
        _table(("code", "means"), [(str(int(code)), meaning) for code, meaning in MEANINGS.items()]),
        _SCRIPTS,
        _CONNECTION,
    ]
    return "\n".join(parts)


def _commands(command: Any, path: str) -> Iterator[tuple[str, str]]:
    subcommands = getattr(command, "commands", {})
    for name, subcommand in subcommands.items():
        yield from _commands(subcommand, f"{path} {name}")
    if not subcommands:
        yield f"`{' '.join([path, *_usage(command)])}`", _first_line(command.help or "")


def _usage(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = (parameter.metavar or parameter.name.upper()).strip("[]")
            yield name if parameter.required else f"[{name}]"
    options = [
        "/".join([*parameter.opts[:1], *parameter.secondary_opts])
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.opts[0] not in (*SHARED_OPTIONS, "--help")
    ]
    if options:
        yield f"[{' '.join(options)}]"


def _first_line(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _table(headings: tuple[str, str], rows: Any) -> str:
    lines = [f"| {headings[0]} | {headings[1]} |", "|---|---|"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference_page())
