"""The conversation between a command and a person, from the API's side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from api.terminals import AT_ONCE, AT_ONCE_OF_A_TEAM, ClientLeft, Conversation, TerminalPlaces
from domain.errors import DeadlineExceeded, InvalidInput, TooManyRequests, Unauthenticated
from domain.terminals import OutputStream, Signal
from tests.harness.waiting import eventually

SOON = timedelta(milliseconds=50)


@dataclass
class FakeWebSocket:
    """What a person says, and what they hear."""

    said: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    heard: list[Any] = field(default_factory=list)

    def says(self, **event: Any) -> None:
        self.said.put_nowait({"type": "websocket.receive", "text": json.dumps(event)})

    def leaves(self) -> None:
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def receive(self) -> dict[str, Any]:
        return await self.said.get()

    async def send_text(self, text: str) -> None:
        self.heard.append(json.loads(text))

    async def send_bytes(self, data: bytes) -> None:
        self.heard.append(data)


@dataclass
class FakeSession:
    """A command that ends when it is signalled, and notes what it is given."""

    given: list[object] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def output(self) -> AsyncGenerator[tuple[OutputStream, bytes], None]:
        yield OutputStream.STDERR, b"begun"
        await self.ended.wait()

    async def write(self, data: bytes) -> None:
        self.given.append(data)

    async def end_input(self) -> None:
        self.given.append("end")

    async def resize(self, columns: int, rows: int) -> None:
        self.given.append((columns, rows))

    async def signal(self, signal: Signal) -> None:
        self.given.append(signal)
        self.ended.set()

    async def exit_code(self) -> int:
        return 130


def conversation(websocket: FakeWebSocket, **limits: timedelta) -> Conversation:
    return Conversation(websocket, **limits)  # type: ignore[arg-type]


async def test_what_is_said_reaches_the_command_and_its_exit_code_comes_back():
    websocket, session = FakeWebSocket(), FakeSession()
    websocket.said.put_nowait({"type": "websocket.receive", "bytes": b"typed"})
    websocket.says(event="resize", columns=91, rows=17)
    websocket.says(event="end-of-input")
    websocket.says(event="alive")
    attending = asyncio.create_task(conversation(websocket).attend(session, interactive=True))
    await eventually(lambda: "end" in session.given, interval_seconds=0.001)
    websocket.says(event="signal", signal="INT")
    assert await attending == 130
    assert {(91, 17), b"typed", "end", Signal.INTERRUPT} == set(session.given)
    assert b"\x02begun" in websocket.heard
    assert {"event": "taken", "bytes": 5} in websocket.heard


async def test_an_interactive_session_in_which_nobody_says_anything_ends_and_another_does_not():
    with pytest.raises(DeadlineExceeded, match="Nothing was said"):
        await conversation(FakeWebSocket(), idle_limit=SOON).attend(FakeSession(), interactive=True)
    silent = conversation(FakeWebSocket(), idle_limit=SOON).attend(FakeSession(), interactive=False)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(silent, 4 * SOON.total_seconds())


async def test_who_may_run_it_no_more_is_not_attended_any_longer(monkeypatch):
    monkeypatch.setattr("api.terminals.CHECK_SECONDS", SOON.total_seconds() / 5)
    checks = 0

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise Unauthenticated("The token was revoked.")

    talk = Conversation(FakeWebSocket(), check=check)  # type: ignore[arg-type]
    with pytest.raises(Unauthenticated):
        await asyncio.wait_for(talk.attend(FakeSession(), interactive=False), 5)


async def test_input_ends_once_however_often_that_is_said():
    websocket, session = FakeWebSocket(), FakeSession()
    for _ in range(1000):
        websocket.says(event="end-of-input")
    websocket.says(event="signal", signal="INT")
    talk = conversation(websocket)
    await talk.attend(session, interactive=False)
    assert talk._input.qsize() <= 1


async def test_who_leaves_and_who_was_not_heard_of_for_long_are_gone(monkeypatch):
    websocket = FakeWebSocket()
    websocket.leaves()
    with pytest.raises(ClientLeft):
        await conversation(websocket).attend(FakeSession(), interactive=False)
    monkeypatch.setattr("api.terminals.SILENCE_LIMIT_SECONDS", SOON.total_seconds())
    with pytest.raises(ClientLeft):
        await conversation(FakeWebSocket()).attend(FakeSession(), interactive=False)


async def test_nothing_runs_before_it_was_said_what(monkeypatch):
    websocket = FakeWebSocket()
    websocket.says(event="resize", columns=1, rows=1)
    with pytest.raises(InvalidInput, match="Say first"):
        await conversation(websocket).begin()
    monkeypatch.setattr("api.terminals.START_LIMIT_SECONDS", SOON.total_seconds())
    with pytest.raises(DeadlineExceeded):
        await conversation(FakeWebSocket()).begin()


def test_commands_at_once_are_bounded_of_a_team_and_in_all():
    places = TerminalPlaces()
    with ExitStack() as held:
        for _ in range(AT_ONCE_OF_A_TEAM):
            held.enter_context(places.taken_by("mine"))
        with pytest.raises(TooManyRequests), places.taken_by("mine"):
            pass
        for _ in range(AT_ONCE - AT_ONCE_OF_A_TEAM):
            held.enter_context(places.taken_by("theirs"))
        with pytest.raises(TooManyRequests), places.taken_by("others"):
            pass
    with places.taken_by("mine"), places.taken_by("others"):
        pass
