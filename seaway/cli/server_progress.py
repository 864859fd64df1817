"""Follows how a server is made usable, or removed, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.deployments import StepStatus
from domain.errors import NotFound, TransientError
from domain.server_events import ServerEventKind
from domain.servers import ServerStatus
from seaway.cli.exit_codes import ExitCode
from seaway.cli.output import duration, plain

if TYPE_CHECKING:
    from seaway.cli.answers import Server, ServerStep
    from seaway.cli.output import Output
    from seaway.cli.session import Session
    from seaway.cli.watch_answers import RecordedEvent

FIRST_PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
EVENTS_READ = 50
COMPARE_AND_ACCEPT = (
    "If it was installed anew, compare and accept: seaway server accept-host-key {name}. "
    "Else somebody may be in between."
)
# Longer than the clean-up itself is tried.
CLEAN_UP_SECONDS = 1200.0
EVENTS_LOOKED_AT = 200
UNDER_WAY = (ServerStatus.PROVISIONING, ServerStatus.REMOVING)
MARKS: dict[str, tuple[str, str]] = {
    StepStatus.RUNNING: ("→", "cyan"),
    StepStatus.SUCCEEDED: ("✓", "green"),
    StepStatus.FAILED: ("✗", "bold red"),
    StepStatus.COMPENSATED: ("↩", "yellow"),
    StepStatus.SKIPPED: ("-", "dim"),
}


class StepPrinter:
    """Says once what became of each step, and that one begins anew. `known` are of an earlier time."""

    def __init__(self, output: Output, known: Iterable[ServerStep] = ()) -> None:
        self._output = output
        self._said = {step.name: _state_of(step) for step in known}

    def tell(self, steps: list[ServerStep]) -> None:
        """Prints what is news; steps that wait are none."""
        for step in steps:
            state = _state_of(step)
            if step.status not in MARKS or self._said.get(step.name) == state:
                continue
            self._said[step.name] = state
            mark, style = MARKS[step.status]
            facts = [f"attempt {step.attempt}"] if step.attempt > 1 else []
            facts += [duration(step.seconds)] if step.seconds is not None else []
            about = f" ({', '.join(facts)})" if facts else ""
            said = f": {' '.join(plain(step.message).split())}" if step.message else ""
            self._output.note(f"{mark} {step.title}{about}{said}", style)
            if step.status == StepStatus.FAILED and step.detail:
                self._output.note(f"  {plain(step.detail)}".replace("\n", "\n  "), "dim")


def _state_of(step: ServerStep) -> tuple[str, int, datetime | None]:
    return step.status, step.attempt, step.started_at


def follow(session: Session, uuid: str, known: Iterable[ServerStep] = ()) -> tuple[Server, list[ServerStep]]:
    """Shows the steps until the server stands in some way; Ctrl-C leaves the work running.

    Raises NotFound when it is gone, TransientError after two minutes without any answer.
    """
    printer, pause, heard = StepPrinter(session.output, known), FIRST_PAUSE_SECONDS, time.monotonic()
    while True:
        try:
            server = session.client.server(uuid)
            steps = session.client.server_steps(uuid)
        except TransientError:
            if time.monotonic() - heard > PATIENCE_SECONDS:
                raise
        else:
            heard = time.monotonic()
            printer.tell(steps)
            if server.status not in UNDER_WAY:
                return server, steps
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def conclude(session: Session, uuid: str, *, wait: bool, known: Iterable[ServerStep] = ()) -> ExitCode:
    """The server as it stands or, with `wait`, as it ends; success only when it is usable then.

    `known` are the steps as they were before, which are no news.
    """
    output = session.output
    if not wait:
        server = session.client.server(uuid)
        output.show(server.document(), lambda: output.say(f"{server.name} ({uuid}) is {server.word}."))
        return ExitCode.SUCCESS
    server, steps = follow(session, uuid, known)
    document: dict[str, Any] = {**server.document(), "steps": [step.document() for step in steps]}
    output.show(document, lambda: explain(output, server))
    return ExitCode.SUCCESS if server.status == ServerStatus.USABLE else ExitCode.FAILED


def refusals(session: Session, uuid: str) -> dict[str, str]:
    """Why removals of the server were refused, by event."""
    events = session.client.server_events(uuid, limit=EVENTS_READ)
    return {one.uuid: one.message for one in events if one.kind == ServerEventKind.REMOVAL_REFUSED}


def conclude_removal(session: Session, server: Server, known: Collection[str], *, wait: bool) -> ExitCode:
    """Waits until the server is gone, if asked to. `known` are refusals of before (`refusals`)."""
    output = session.output
    if not wait:
        document = {"removing": server.uuid, "name": server.name}
        output.show(document, lambda: output.say(f"{server.name} is being removed."))
        return ExitCode.SUCCESS
    try:
        left, _ = follow(session, server.uuid, session.client.server_steps(server.uuid))
    except NotFound:
        document = {"removed": server.uuid, "name": server.name}
        output.show(document, lambda: output.say(f"✓ {server.name} is removed", "green"))
        return ExitCode.SUCCESS
    reasons = [message for one, message in refusals(session, server.uuid).items() if one not in known]
    reason = reasons[0] if reasons else left.status_message or "it was not told why."

    def tell() -> None:
        output.say(f"✗ {left.name} is not removed.", "red")
        output.say(f"  {plain(reason)}")

    output.show({**left.document(), "not_removed_because": reason}, tell)
    return ExitCode.FAILED


def conclude_clean_up(session: Session, server: Server, event_uuid: str, *, wait: bool) -> ExitCode:
    """Says what was removed, when it is over, if asked to wait."""
    output = session.output
    document: dict[str, Any] = {"uuid": server.uuid, "name": server.name, "event_uuid": event_uuid}
    if not wait:
        output.show(document, lambda: output.say(f"{server.name} is being cleaned."))
        return ExitCode.SUCCESS
    event = _awaited_event(session, server, event_uuid)
    failed = event.kind == ServerEventKind.CLEAN_UP_FAILED
    mark, style, outcome = ("✗", "red", " is not cleaned") if failed else ("✓", "green", "")
    said = f"{mark} {server.name}{outcome}: {plain(event.message)}"
    output.show(document | {"event": event.document()}, lambda: output.say(said, style))
    return ExitCode.FAILED if failed else ExitCode.SUCCESS


def _awaited_event(session: Session, server: Server, uuid: str) -> RecordedEvent:
    """The event, once it has happened; Ctrl-C leaves the work running.

    Raises NotFound when the server is gone, TransientError without any answer and when it takes too long.
    """
    began = heard = time.monotonic()
    pause = FIRST_PAUSE_SECONDS
    while time.monotonic() - began < CLEAN_UP_SECONDS:
        try:
            events = session.client.server_events(server.uuid, limit=EVENTS_LOOKED_AT)
        except TransientError:
            if time.monotonic() - heard > PATIENCE_SECONDS:
                raise
        else:
            heard = time.monotonic()
            if found := [event for event in events if event.uuid == uuid]:
                return found[0]
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
    raise TransientError(
        f"{server.name} is still being cleaned. `seaway server events {server.name}` tells when it is over."
    )


def host_key_advice(server: Server) -> str:
    """What to do about a changed host key. Where none is kept to compare, it may be that of a jump host."""
    if server.shown_host_key_fingerprint:
        return COMPARE_AND_ACCEPT.format(name=server.name)
    return plain(server.status_message or f"Look again: seaway server validate {server.name}.")


def explain(output: Output, server: Server) -> None:
    """The last lines: what it is now, or what is wrong and what to do."""
    match server.status:
        case ServerStatus.USABLE:
            facts = ", ".join(
                filter(None, [server.system, server.architecture, _engine(server.engine_version)])
            )
            output.say(f"✓ {server.name} is usable" + (f": {facts}" if facts else ""), "green")
        case ServerStatus.HOST_KEY_CHANGED if server.shown_host_key_fingerprint:
            output.say(f"✗ {server.name} shows another host key than before.", "bold red")
            output.say(f"  pinned: {server.host_key_fingerprint or 'none'}")
            output.say(f"  shown:  {server.shown_host_key_fingerprint}")
            output.say(f"  {host_key_advice(server)}")
        case ServerStatus.HOST_KEY_CHANGED:
            output.say(f"✗ Nothing goes to {server.name}: a host key is another one than before.", "bold red")
            output.say(f"  {host_key_advice(server)}")
        case _:
            output.say(f"✗ {server.name} is {server.word}.", "red")
            if server.status_message:
                output.say(f"  {plain(server.status_message)}")


def _engine(version: str | None) -> str:
    return f"Docker {version}" if version else ""
