"""What the command prints: tables and sentences for people, or one JSON document for programs.

Results go to stdout, everything else to stderr, so that a pipe gets results only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from domain.errors import InvalidInput, SeawayError
from seaway.cli.exit_codes import ExitCode, exit_code_of

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED_WIDTH = 10_000
_SEQUENCE = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
_CONTROL = re.compile(rf"{_SEQUENCE}|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# A colour stays (ECMA-48, SGR), and so does the carriage return of a progress bar.
_STEERING = re.compile(rf"(\x1b\[[0-9:;]*m)|{_SEQUENCE}|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

STYLES = {
    "running": "green",
    "finished": "green",
    "succeeded": "green",
    "healthy": "green",
    "in_progress": "cyan",
    "queued": "cyan",
    "failed": "red",
    "unhealthy": "red",
    "cancelled-by-user": "yellow",
    "superseded": "yellow",
    "unknown": "yellow",
    "usable": "green",
    "provisioning": "cyan",
    "not usable": "red",
    "unreachable": "red",
    "host key changed": "red",
}


class Output:
    """Prints for one command. With `as_json`, stdout gets exactly one JSON document."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def console(self) -> Console:
        """Stdout. A pipe has no width, so that nothing is cut there."""
        return _console(sys.stdout)

    @cached_property
    def notes(self) -> Console:
        """Stderr, for what is not the result."""
        return _console(sys.stderr)

    def show(self, document: object, for_people: Callable[[], None]) -> None:
        """The result: the document for programs, or whatever `for_people` prints."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()
        else:
            for_people()

    def say(self, text: str, style: str = "") -> None:
        """A sentence that is the result. Not for `--json`."""
        self.console.print(plain(text), style=style, markup=False, highlight=False)

    def note(self, text: str, style: str = "") -> None:
        """A sentence besides the result; nothing with `--json`."""
        if not self.as_json:
            self.notes.print(plain(text), style=style, markup=False, highlight=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
        """Rows under headings; `nothing` where there are none."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        if not rows:
            self.note(nothing)
            return
        table = Table(box=box.SIMPLE_HEAD if self.console.is_terminal else None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain(cell), style=style_of(cell)) for cell in row))
        self.console.print(table)

    def fail(self, error: SeawayError) -> ExitCode:
        """Reports an error: on stderr for people, and as the one document with `--json`."""
        code = exit_code_of(error)
        document: dict[str, object] = {"message": error.message, "code": error.code}
        if error.detail:
            document["detail"] = error.detail
        if isinstance(error, InvalidInput) and error.fields:
            document["errors"] = {field: list(messages) for field, messages in error.fields.items()}
        self.show({**document, "exit_code": int(code)}, lambda: self._explain(error))
        return code

    def _explain(self, error: SeawayError) -> None:
        self.notes.print("Error:", style="bold red", end=" ")
        self.notes.print(plain(error.message), markup=False, highlight=False)
        if isinstance(error, InvalidInput):
            for line in field_lines(error.fields, error.message):
                self.notes.print(plain(f"  {line}"), markup=False, highlight=False)
        if error.detail:
            self.notes.print(plain(error.detail), markup=False, highlight=False, style="dim")


def field_lines(fields: Mapping[str, Sequence[str]], message: str) -> list[str]:
    """One line for each thing that is wrong with a field, unless the message has said it."""
    return [
        f"{field}: {problem}"
        for field, problems in fields.items()
        for problem in problems
        if problem != message
    ]


def plain(text: str) -> str:
    """Text from elsewhere without what would steer the terminal; a progress bar shows its last state."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(_CONTROL.sub("", line) for line in lines)


def coloured(text: str) -> str:
    """What an application wrote, in its colours, without what else would steer the terminal.

    Visitors can have any text written to a log, and terminals do what it says: change what was shown, or
    what is pasted next.
    """
    return _STEERING.sub(lambda found: found[1] or "", text)


def style_of(status: str) -> str:
    """The colour of a status; of `running:unhealthy` that of its second half counts first."""
    for word in reversed(status.split(":")):
        if word in STYLES:
            return STYLES[word]
    return ""


def duration(seconds: float) -> str:
    """A duration for people: `3.2 s`, `2 min 5 s`, `1 h 2 min`."""
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def age(at: datetime | None) -> str:
    """How long ago something was, for people."""
    if at is None:
        return ""
    seconds = (datetime.now(UTC) - at).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console.width = UNLIMITED_WIDTH
        console.soft_wrap = True
    return console
