"""The conversation between a command and whoever runs it; see `domain.terminals` for what is said."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import timedelta
from typing import Any, Final, NoReturn, Protocol

from fastapi import WebSocket, WebSocketDisconnect

from api.credit import Credit
from api.errors import body_of
from domain.errors import DeadlineExceeded, InvalidInput, SeawayError, TooManyRequests
from domain.terminals import (
    ALIVE_SECONDS,
    CHUNK_BYTES,
    WINDOW_BYTES,
    EndOfInput,
    OutputStream,
    Resize,
    SendSignal,
    Start,
    Taken,
    TerminalSession,
    output_message,
    said,
)

START_LIMIT_SECONDS: Final = 10.0
SILENCE_LIMIT_SECONDS: Final = 4 * ALIVE_SECONDS
"""Whoever says nothing for so long is gone, although nobody closed the connection."""

IDLE_LIMIT: Final = timedelta(hours=1)
"""An interactive session in which nobody says anything for so long is ended."""

CHECK_SECONDS: Final = 60.0
"""So often is looked again whether whoever opened it may still do so."""

LONGEST_RUN: Final = timedelta(hours=24)
AT_ONCE: Final = 32
AT_ONCE_OF_A_TEAM: Final = 16
NORMAL_CLOSURE: Final = 1000
"""RFC 6455, section 7.4.1."""


class Terminals(Protocol):
    """Runs commands on servers for people. Leaving a block ends its command and removes what it ran in."""

    def run(
        self, application_id: str, start: Start, *, server: str = ""
    ) -> AbstractAsyncContextManager[TerminalSession]:
        """In a fresh container of the application's current image, on its first server or the one named.

        `server` is a name, an address or an id. Servers that have been removed do not count. Raises
        NotPossibleNow without an image or a server, NotFound.
        """
        ...

    def execute(
        self, application_id: str, start: Start, *, replica: int | None, server: str = ""
    ) -> AbstractAsyncContextManager[TerminalSession]:
        """In a running replica, by its number and server or any. Raises NotPossibleNow where none runs,
        NotFound.
        """
        ...

    def shell(self, server_id: str, start: Start) -> AbstractAsyncContextManager[TerminalSession]:
        """On a server, over SSH. Raises NotPossibleNow for the local one, ServerUnreachable."""
        ...


class TerminalPlaces:
    """Bounds how many commands run at once, in all and of one team."""

    def __init__(self) -> None:
        self._of_teams: dict[str, int] = {}

    @contextlib.contextmanager
    def taken_by(self, team_id: str) -> Any:
        """A place for one command. Raises TooManyRequests where there is none."""
        of_team = self._of_teams.get(team_id, 0)
        if of_team >= AT_ONCE_OF_A_TEAM or sum(self._of_teams.values()) >= AT_ONCE:
            raise TooManyRequests(
                f"Too many commands run at this moment ({of_team} of yours). Let some end first."
            )
        self._of_teams[team_id] = of_team + 1
        try:
            yield
        finally:
            self._of_teams[team_id] -= 1
            if not self._of_teams[team_id]:
                del self._of_teams[team_id]


class ClientLeft(Exception):
    """Whoever ran the command is gone."""


class Conversation:
    """One WebSocket that has been accepted, from its first message to its last."""

    def __init__(
        self,
        websocket: WebSocket,
        *,
        idle_limit: timedelta = IDLE_LIMIT,
        check: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`check` raises what the command is ended with, when its caller may run it no more."""
        self._websocket = websocket
        self._check = check
        self._idle_seconds = idle_limit.total_seconds()
        self._output_credit = Credit(WINDOW_BYTES)
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._has_ended_input = False
        self._held_bytes = 0
        self._heard_at = 0.0

    async def begin(self) -> Start:
        """What shall run. Raises InvalidInput, DeadlineExceeded or ClientLeft."""
        try:
            async with asyncio.timeout(START_LIMIT_SECONDS):
                message = await self._receive()
        except TimeoutError as error:
            raise DeadlineExceeded("Nothing was said about what shall run.") from error
        start = said(message) if isinstance(message, str) else None
        if not isinstance(start, Start):
            raise InvalidInput("Say first what shall run.")
        return start

    async def attend(self, session: TerminalSession, *, interactive: bool) -> int:
        """Passes everything on until the command has ended, and returns its exit code.

        Raises ClientLeft, DeadlineExceeded, InvalidInput, and what the session and the check raise.
        """
        await self._say({"event": "started"})
        self._heard()
        limits = [self._until_longest(), self._until_forbidden()]
        limits += [self._until_idle()] if interactive else []
        ended = asyncio.create_task(self._follow(session))
        others = [asyncio.create_task(work) for work in (self._listen(session), *limits)]
        giving = asyncio.create_task(self._pass_input(session))
        tasks = [ended, *others, giving]
        try:
            await asyncio.wait([ended, *others], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
            return next(one.result() for one in others if one.done())  # each ends with an error only
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # taken, so that nobody warns about it

    async def finish(self, code: int) -> None:
        """Tells how the command ended, and closes."""
        await self._last_word({"event": "exit", "code": code})

    async def refuse(self, error: SeawayError) -> None:
        """Tells what went wrong, and closes."""
        await self._last_word({"event": "error", **body_of(error)})

    async def _last_word(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ClientLeft, WebSocketDisconnect, RuntimeError):
            await self._say(message)
            await self._websocket.close(NORMAL_CLOSURE)

    async def _follow(self, session: TerminalSession) -> int:
        async with aclosing(session.output()) as output:
            async for stream, data in output:
                await self._send_output(stream, data)
        return await session.exit_code()

    async def _send_output(self, stream: OutputStream, data: bytes) -> None:
        self._heard()
        for begin in range(0, len(data), CHUNK_BYTES):
            chunk = data[begin : begin + CHUNK_BYTES]
            await self._output_credit.spend(len(chunk))
            await self._send(output_message(stream, chunk))

    async def _pass_input(self, session: TerminalSession) -> None:
        while (data := await self._input.get()) is not None:
            await session.write(data)
            self._held_bytes -= len(data)
            await self._say({"event": "taken", "bytes": len(data)})
        await session.end_input()

    async def _listen(self, session: TerminalSession) -> NoReturn:
        while True:
            message = await self._receive()
            if isinstance(message, bytes):
                self._take_input(message)
                continue
            match said(message):
                case Taken(bytes=count):
                    self._output_credit.taken(count)
                case EndOfInput():
                    if not self._has_ended_input:
                        self._input.put_nowait(None)
                    self._has_ended_input = True
                case Resize(columns=columns, rows=rows):
                    await session.resize(columns, rows)
                case SendSignal(signal=signal):
                    await session.signal(signal)
                case Start():
                    raise InvalidInput("A command runs already on this connection.")

    def _take_input(self, data: bytes) -> None:
        self._heard()
        self._held_bytes += len(data)
        if self._held_bytes > WINDOW_BYTES:
            raise InvalidInput(f"More than {WINDOW_BYTES} bytes of input came before any was taken.")
        if data:
            self._input.put_nowait(data)

    async def _until_idle(self) -> NoReturn:
        left = self._idle_seconds
        while left > 0:
            await asyncio.sleep(left)
            left = self._heard_at + self._idle_seconds - asyncio.get_running_loop().time()
        raise DeadlineExceeded(
            f"Nothing was said in this session for {timedelta(seconds=self._idle_seconds)}, so it was ended."
        )

    async def _until_forbidden(self) -> NoReturn:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if self._check is not None:
                await self._check()

    async def _until_longest(self) -> NoReturn:
        await asyncio.sleep(LONGEST_RUN.total_seconds())
        raise DeadlineExceeded(f"A command may run for {LONGEST_RUN.total_seconds() / 3600:g} hours.")

    def _heard(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()

    async def _receive(self) -> str | bytes:
        try:
            async with asyncio.timeout(SILENCE_LIMIT_SECONDS):
                message = await self._websocket.receive()
        except TimeoutError as error:
            raise ClientLeft from error
        if message["type"] == "websocket.disconnect":
            raise ClientLeft
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def _say(self, message: dict[str, Any]) -> None:
        await self._transmit(self._websocket.send_text(json.dumps(message)))

    async def _send(self, data: bytes) -> None:
        await self._transmit(self._websocket.send_bytes(data))

    async def _transmit(self, sending: Any) -> None:
        try:
            await sending
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise ClientLeft from error
