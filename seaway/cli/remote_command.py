"""A command that runs elsewhere, with this terminal: the near side of `domain.terminals`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from api.credit import Credit
from domain.errors import SeawayError, TransientError
from domain.terminals import ALIVE_SECONDS, WINDOW_BYTES, OutputStream, Signal, Start, output_of
from seaway.cli.context import API_PATH, Connection
from seaway.cli.exit_codes import ExitCode
from seaway.cli.rest import ANSWER_SECONDS, error_of, is_loopback, unreachable
from seaway.cli.terminal import OutputWriter, raw_terminal, read_input

DESCRIPTORS: Final = {OutputStream.STDOUT: 1, OutputStream.STDERR: 2}
LARGEST_MESSAGE_BYTES: Final = 1024 * 1024


def run_remotely(connection: Connection, path: str, query: Mapping[str, object], start: Start) -> int:
    """Runs it and returns its exit code. Raises what Seaway refuses with, and TransientError."""
    # Not the terminal's own Ctrl-C: it is one of the command's keys.
    with raw_terminal() if start.terminal is not None else nullcontext():
        return asyncio.run(_run(connection, path, query, start))


async def _run(connection: Connection, path: str, query: Mapping[str, object], start: Start) -> int:
    address = "ws" + connection.url.removeprefix("http") + API_PATH + path
    given = {name: value for name, value in query.items() if value is not None}
    try:
        async with connect(
            f"{address}?{urlencode(given)}" if given else address,
            additional_headers={"Authorization": f"Bearer {connection.token}"},
            compression=None,
            max_size=LARGEST_MESSAGE_BYTES,
            open_timeout=ANSWER_SECONDS,
            close_timeout=1,
            proxy=None if is_loopback(connection.url) else True,
        ) as websocket:
            return await RemoteCommand(websocket, start).attend()
    except InvalidStatus as error:
        raise _refusal(error.response.status_code, error.response.body, address) from error
    except (InvalidHandshake, OSError, TimeoutError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise unreachable(connection.url, error) from error


def _refusal(status: int, body: bytes | bytearray | None, address: str) -> SeawayError:
    answer = httpx.Response(status, content=bytes(body or b""), request=httpx.Request("GET", address))
    return error_of(answer)


class Interrupted(Exception):
    """Asked to leave at once."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


class RemoteCommand:
    """One conversation, from its start to the command's end."""

    def __init__(self, websocket: ClientConnection, start: Start) -> None:
        self._websocket = websocket
        self._start = start
        self._credit = Credit(WINDOW_BYTES)
        self._loop = asyncio.get_running_loop()
        self._leaving: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._was_interrupted = False

    async def attend(self) -> int:
        """The exit code. Raises the error that Seaway tells, TransientError when the connection breaks."""
        writer = OutputWriter(self._loop, lambda count: self._later({"event": "taken", "bytes": count}))
        listening = asyncio.create_task(self._listen(writer))
        living = asyncio.create_task(self._stay_alive())
        try:
            await self._say(self._start.model_dump(mode="json"))
            self._listen_to_signals()
            endings: list[asyncio.Future[Any]] = [listening, self._leaving, writer.ended]
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            if self._leaving.done():
                self._leaving.result()
            if writer.ended.done():
                writer.ended.result()
            code = await listening
            await writer.finish()
        except Interrupted as interrupted:
            return interrupted.exit_code
        except ConnectionClosed as error:
            raise TransientError(
                "The connection to Seaway broke off, and with it the command. Look at what it has done."
            ) from error
        finally:
            for task in (listening, living):
                task.cancel()
            await asyncio.wait([listening, living])
        return code

    async def _listen(self, writer: OutputWriter) -> int:
        async for message in self._websocket:
            if isinstance(message, bytes):
                stream, data = output_of(message)
                writer.write(DESCRIPTORS[stream], data)
                continue
            event = json.loads(message)
            match event["event"]:
                case "started":
                    if self._start.interactive:
                        read_input(self._give, self._hang_up, self._loop)
                case "taken":
                    self._credit.taken(int(event["bytes"]))
                case "exit":
                    return int(event["code"])
                case "error":
                    raise _told(event)
        raise TransientError("Seaway ended the connection before the command ended.")

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            await self._say({"event": "alive"})

    async def _give(self, data: bytes) -> None:
        if not data:
            await self._say({"event": "end-of-input"})
            return
        await self._credit.spend(len(data))
        await self._websocket.send(data)

    def _listen_to_signals(self) -> None:
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._leave, 128 + number)
        if self._start.terminal is not None:
            self._loop.add_signal_handler(signal.SIGWINCH, self._resize)

    def _interrupt(self) -> None:
        if self._was_interrupted:
            self._leave(ExitCode.INTERRUPTED)
            return
        self._was_interrupted = True
        self._later({"event": "signal", "signal": Signal.INTERRUPT})

    def _hang_up(self) -> None:
        self._leave(128 + signal.SIGHUP)

    def _resize(self) -> None:
        columns, rows = shutil.get_terminal_size()
        self._later({"event": "resize", "columns": columns, "rows": rows})

    def _leave(self, exit_code: int) -> None:
        if not self._leaving.done():
            self._leaving.set_exception(Interrupted(exit_code))

    def _later(self, message: dict[str, Any]) -> None:
        task = self._loop.create_task(self._say(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionClosed):  # who listens learns it
            await self._websocket.send(json.dumps(message))


def _told(event: dict[str, Any]) -> SeawayError:
    body = {name: value for name, value in event.items() if name != "event"}
    return error_of(httpx.Response(400, json=body, request=httpx.Request("GET", "http://seaway/")))
