"""What is said to and heard from a container's command, or a command in a running container."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.streams import FrameReader
from adapters.docker.waiting import Waiting
from domain.errors import CommandFailed, DeadlineExceeded, EngineUnavailable
from domain.terminals import OutputStream, Signal

CHUNK_BYTES: Final = 32 * 1024
EXIT_LIMIT_SECONDS: Final = 10.0
"""How long a command may run on without its output: what broke is nearly always the way to it."""

END_GRACE_SECONDS: Final = 5.0

STALL_SECONDS: Final = 5.0
QUESTION_SECONDS: Final = 5.0
MOST_HELD_BYTES: Final = 4 * 1024**2
"""More than an engine, the sockets and the kernel hold of a command's output together (about 2 MB)."""

SIGNALLED: Final = 'kill "-$1" "-$2"'
RUNTIME_FAILURE: Final = b"OCI runtime exec failed"

LONGEST_FIRST_LINE: Final = 4096
"""The image's shell says it, so it may be anything; nothing holds it up while it is waited for."""

OUTPUT_LOST: Final = "The connection to the command broke off while it ran, so the command is ended."

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Duplex:
    """A hijacked connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, has_terminal: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._has_terminal = has_terminal

    async def output(self) -> AsyncGenerator[tuple[OutputStream, bytes], None]:
        """See `domain.terminals.TerminalSession`. Raises EngineUnavailable when the connection breaks."""
        frames = FrameReader()
        while chunk := await self._read():
            if self._has_terminal:
                yield OutputStream.STDOUT, chunk
                continue
            for name, payload in frames.feed(chunk):
                yield OutputStream.STDERR if name == "stderr" else OutputStream.STDOUT, payload

    async def write(self, data: bytes) -> None:
        """See `domain.terminals.TerminalSession`."""
        with contextlib.suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    async def end_input(self) -> None:
        """See `domain.terminals.TerminalSession`."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.write_eof()

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(CHUNK_BYTES)
        except OSError as error:
            raise EngineUnavailable("The connection to the Docker Engine broke off.") from error


class ContainerTerminal(_Duplex):
    """The command of a container, attached to."""

    def __init__(
        self,
        engine: Waiting,
        name: str,
        streams: Streams,
        *,
        has_terminal: bool,
    ) -> None:
        """`Terminals.attach` makes one."""
        super().__init__(*streams, has_terminal=has_terminal)
        self._engine = engine
        self._name = name
        self._ahead: deque[bytes] = deque()

    async def output(self) -> AsyncGenerator[tuple[OutputStream, bytes], None]:
        """See `domain.terminals.TerminalSession`. Raises EngineUnavailable when the connection breaks.

        An engine does not let a container be inspected, stopped or removed that ended while the last of its
        output waits for a reader. Releases and deletions would wait for a person, so it is taken in here.
        """
        async with contextlib.aclosing(super().output()) as output:
            async for piece in output:
                holding = asyncio.create_task(self._hold_the_last())
                try:
                    yield piece
                finally:
                    holding.cancel()
                    await asyncio.wait([holding])

    async def _read(self) -> bytes:
        return self._ahead.popleft() if self._ahead else await super()._read()

    async def _hold_the_last(self) -> None:
        while True:
            await asyncio.sleep(STALL_SECONDS)
            if not await self._can_be_inspected():
                break
        with contextlib.suppress(EngineUnavailable):  # whoever reads on learns it
            while sum(map(len, self._ahead)) < MOST_HELD_BYTES and (chunk := await super()._read()):
                self._ahead.append(chunk)

    async def _can_be_inspected(self) -> bool:
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                await self._engine.call(
                    lambda client: client.inspect_container(self._name), changes_nothing=True
                )
        except (TimeoutError, EngineUnavailable) as error:
            return isinstance(error, EngineRefusal)
        return True

    async def resize(self, columns: int, rows: int) -> None:
        """See `domain.terminals.TerminalSession`."""
        if self._has_terminal:
            await _if_it_runs(self._engine, lambda client: client.resize(self._name, rows, columns))

    async def signal(self, signal: Signal) -> None:
        """See `domain.terminals.TerminalSession`."""
        await _if_it_runs(self._engine, lambda client: client.kill(self._name, f"SIG{signal.value}"))

    async def exit_code(self) -> int:
        """See `domain.terminals.TerminalSession`."""
        try:
            return await self._engine.wait(self._name, EXIT_LIMIT_SECONDS)
        except DeadlineExceeded as error:
            raise EngineUnavailable(OUTPUT_LOST) from error


class ExecutionTerminal(_Duplex):
    """A command in a running container."""

    def __init__(
        self,
        engine: Waiting,
        name: str,
        execution: str,
        streams: Streams,
        *,
        has_terminal: bool,
    ) -> None:
        """`Terminals.execute_attached` makes one."""
        super().__init__(*streams, has_terminal=has_terminal)
        self._engine = engine
        self._name = name
        self._execution = execution
        self._process: str | None = None
        self._failure = b""
        self._announced = asyncio.Event()

    async def output(self) -> AsyncGenerator[tuple[OutputStream, bytes], None]:
        """See `domain.terminals.TerminalSession`. The first line is the command's id and not shown."""
        held = b""
        async for stream, data in super().output():
            if self._process is not None or stream is OutputStream.STDERR:
                yield stream, data
                continue
            held += data
            line, end, rest = held.partition(b"\n")
            if end or len(held) > LONGEST_FIRST_LINE:
                self._hear_first_line(line[:LONGEST_FIRST_LINE])
                if rest:
                    yield stream, rest
        if self._process is None:
            self._failure = held
        self._announced.set()

    async def write(self, data: bytes) -> None:
        """See `domain.terminals.TerminalSession`."""
        # A terminal echoes what it is given, which must not come before the command's id.
        await self._announced.wait()
        await super().write(data)

    def _hear_first_line(self, line: bytes) -> None:
        text = line.strip()
        if text.isdigit():
            self._process = text.decode("ascii")
        else:
            self._failure, self._process = line, ""
        self._announced.set()

    async def resize(self, columns: int, rows: int) -> None:
        """See `domain.terminals.TerminalSession`."""
        if self._has_terminal:
            await _if_it_runs(self._engine, lambda client: client.exec_resize(self._execution, rows, columns))

    async def signal(self, signal: Signal) -> None:
        """See `domain.terminals.TerminalSession`; its whole process group gets it."""
        if self._process and await self._runs():
            argv = ["/bin/sh", "-c", SIGNALLED, "seaway", signal.value, self._process]
            await self._kill(argv)

    async def exit_code(self) -> int:
        """See `domain.terminals.TerminalSession`. Raises CommandFailed for an image without a shell."""
        code = await self._ended(EXIT_LIMIT_SECONDS)
        if code is None:
            raise EngineUnavailable(OUTPUT_LOST)
        if self._failure.startswith(RUNTIME_FAILURE):
            raise CommandFailed(
                f"Commands cannot run in {self._name}: its image has no /bin/sh.",
                detail=self._failure.decode("utf-8", "replace").strip(),
            )
        return code

    async def end(self) -> None:
        """The command has ended afterwards, and what it started in its process group."""
        if not await self._runs():
            return
        with contextlib.suppress(EngineUnavailable):
            for name in ("HUP", "TERM"):
                await self._kill(["/bin/sh", "-c", SIGNALLED, "seaway", name, self._process or "0"])
            if await self._ended(END_GRACE_SECONDS) is None:
                await self._kill(["/bin/sh", "-c", SIGNALLED, "seaway", "KILL", self._process or "0"])

    async def _kill(self, argv: Sequence[str]) -> None:
        def run(client: Any) -> None:
            client.exec_start(client.exec_create(self._name, list(argv))["Id"])

        if self._process:
            await _if_it_runs(self._engine, run)

    async def _runs(self) -> bool:
        try:
            return bool(
                (await self._engine.call(lambda client: client.exec_inspect(self._execution)))["Running"]
            )
        except EngineUnavailable:
            return False

    async def _ended(self, limit_seconds: float) -> int | None:
        pause = 0.01
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                while True:
                    facts = await self._engine.call(lambda client: client.exec_inspect(self._execution))
                    if not facts["Running"] and facts["ExitCode"] is not None:
                        return int(facts["ExitCode"])
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 1.0)
        return None


async def _if_it_runs(engine: EngineConnection, work: Callable[[Any], object]) -> None:
    """A container or command that has ended meanwhile needs nothing any more."""
    try:
        await engine.call(work)
    except EngineRefusal as refusal:
        if refusal.status not in (404, 409, 500):
            raise
