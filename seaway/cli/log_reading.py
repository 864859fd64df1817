"""Prints logs: of an application while it runs, or of one deployment."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from domain.errors import TransientError
from seaway.cli.client import LOG_PAGE
from seaway.cli.exit_codes import ExitCode
from seaway.cli.live import PlainView
from seaway.cli.outcome import exit_code_of_status
from seaway.cli.output import coloured
from seaway.cli.progress import Change, LineWritten, Progress, StepChanged
from seaway.cli.watch import DeploymentWatch

if TYPE_CHECKING:
    from seaway.cli.session import Session

RECONNECT_SECONDS = 1.0
RECONNECT_TRIES = 30


def show_application(session: Session, uuid: str, *, lines: int, timestamps: bool) -> None:
    """The last lines that the application wrote, as it wrote them."""
    text = session.client.logs(uuid, lines=lines, timestamps=timestamps)
    session.output.show({"logs": text}, lambda: _write(text))


def follow_application(session: Session, uuid: str, *, lines: int, timestamps: bool) -> None:
    """The last lines and then each new one, until Ctrl-C or until the application is gone.

    After a broken connection it goes on behind the last line printed. Raises TransientError after half a
    minute without a connection.
    """
    tries, newest = RECONNECT_TRIES, ""
    while True:
        try:
            with session.client.log_events(
                uuid, lines=lines, timestamps=timestamps, last_event_id=newest
            ) as events:
                tries, lines = RECONNECT_TRIES, LOG_PAGE
                for event in events:
                    newest = event.id or newest
                    if event.name == "log":
                        _write(str(event.json().get("text", "")))
        except TransientError:
            if not tries:
                raise
            session.output.note("(the connection broke; reconnecting)", "dim")
        tries -= 1
        time.sleep(RECONNECT_SECONDS)


def show_deployment_log(session: Session, uuid: str, *, follow: bool) -> ExitCode:
    """The log of a deployment; with `follow` until its end, with the exit code of that end."""
    if follow:
        watch = DeploymentWatch(session.client, uuid)
        deployment = watch.follow(PlainView(session.output.console, watch.progress).tell)
        return exit_code_of_status(deployment.state)
    deployment = session.client.deployment(uuid)
    progress = Progress()
    progress.take(StepChanged(step) for step in deployment.steps or ())
    while True:
        page = session.client.deployment_log(uuid, after=progress.newest_line)
        progress.take(LineWritten(line) for line in page)
        if len(page) < LOG_PAGE:
            break
    changes: list[Change] = [LineWritten(line) for line in progress.lines]
    session.output.show(
        [line.document() for line in progress.lines],
        lambda: PlainView(session.output.console, progress).tell(changes),
    )
    return ExitCode.SUCCESS


def _write(text: str) -> None:
    """As the application wrote it, colours included; a terminal gets nothing else that would steer it."""
    if sys.stdout.isatty():
        text = coloured(text)
    if text:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()
