"""A shell or one command on a server, for somebody who talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncssh

from adapters.ssh.commands import command_line
from adapters.ssh.connection import SshConnection
from domain.errors import ServerUnreachable
from domain.terminals import OutputStream, Signal, Start

CHUNK_BYTES: Final = 32 * 1024
HELD_CHUNKS: Final = 4


class SshTerminal:
    """Implements `domain.terminals.TerminalSession`."""

    def __init__(
        self, process: asyncssh.SSHClientProcess[bytes], *, has_terminal: bool, is_watched: bool
    ) -> None:
        """A watched command ends when its input does, see `adapters.ssh.commands`."""
        self._process = process
        self._has_terminal = has_terminal
        self._is_watched = is_watched

    async def output(self) -> AsyncGenerator[tuple[OutputStream, bytes], None]:
        """What it writes."""
        readers = {OutputStream.STDOUT: self._process.stdout, OutputStream.STDERR: self._process.stderr}
        heard: asyncio.Queue[tuple[OutputStream, bytes]] = asyncio.Queue(HELD_CHUNKS)

        async def read(stream: OutputStream) -> None:
            while True:
                try:
                    chunk = await readers[stream].read(CHUNK_BYTES)
                except (OSError, asyncssh.Error):
                    chunk = b""  # `exit_code` tells that the link broke
                await heard.put((stream, chunk))
                if not chunk:
                    return

        tasks = [asyncio.create_task(read(stream)) for stream in readers]
        try:
            open_streams = len(tasks)
            while open_streams:
                stream, chunk = await heard.get()
                if chunk:
                    yield stream, chunk
                else:
                    open_streams -= 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def write(self, data: bytes) -> None:
        """Gives it input."""
        with contextlib.suppress(OSError, asyncssh.Error):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    async def end_input(self) -> None:
        """Its input ends."""
        if not self._is_watched:
            with contextlib.suppress(OSError, asyncssh.Error):
                self._process.stdin.write_eof()

    async def resize(self, columns: int, rows: int) -> None:
        """Its terminal has this size."""
        if self._has_terminal:
            self._process.change_terminal_size(columns, rows)

    async def signal(self, signal: Signal) -> None:
        """Ends a watched command, whatever the signal: servers pass few signals on, and none through sudo."""
        if self._is_watched:
            self._process.stdin.write_eof()
        else:
            with contextlib.suppress(OSError, asyncssh.Error):
                self._process.send_signal(signal.value)

    async def exit_code(self) -> int:
        """How it ended. Raises ServerUnreachable when the link broke first."""
        await self._process.wait_closed()
        code = self._process.returncode
        if code is None:
            raise ServerUnreachable("The connection to the server broke off before the command ended.")
        return code if code >= 0 else 128 - code


@asynccontextmanager
async def open_terminal(connection: SshConnection, start: Start) -> AsyncIterator[SshTerminal]:
    """The command runs within the block, or a login shell where an interactive one is empty."""
    is_watched = not start.interactive
    line = command_line(start.command) if is_watched else shlex.join(start.command)
    async with connection.session(line or None, terminal=start.terminal) as process:
        yield SshTerminal(process, has_terminal=start.terminal is not None, is_watched=is_watched)
