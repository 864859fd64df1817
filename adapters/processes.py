"""Runs programs for the other adapters, and never leaves one behind.

Each program leads a session of its own. It is ended and reaped, with its children, when its caller is
cancelled or its time is up; and the kernel kills it when this process dies, even by SIGKILL (its children
then see their pipes close).
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import ctypes
import inspect
import os
import shutil
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO, Final

from adapters.cancellation import uninterrupted
from domain.errors import DeadlineExceeded, StartUpError

OnLine = Callable[[str], Awaitable[None] | None]

KEPT_LINES: Final = 400
KEPT_CHARACTERS: Final = 32 * 1024**2
LONGEST_LINE: Final = 64 * 1024
END_GRACE: Final = timedelta(seconds=5)
# How long output may still trickle in after the program itself has ended, held open by a child of it.
LINGERING_OUTPUT: Final = timedelta(seconds=2)
PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Completed:
    """How a program ended; `output` is the last part of its merged standard output and error."""

    exit_code: int
    output: str


class Tail:
    """The last lines of an output: so many, and no more than `KEPT_CHARACTERS` of text.

    What Git prints comes from servers and authors of commits, who may have as many long lines as they like.
    """

    def __init__(self, most_lines: int) -> None:
        self._most_lines = most_lines
        self._lines: deque[str] = deque()
        self._characters = 0

    def append(self, line: str) -> None:
        """One more line; of too many the first ones go."""
        self._lines.append(line)
        self._characters += len(line)
        while len(self._lines) > self._most_lines or self._characters > KEPT_CHARACTERS:
            self._characters -= len(self._lines.popleft())

    def __str__(self) -> str:
        return "\n".join(self._lines)


class LineSplitter:
    """Cuts a stream of bytes into lines as a terminal shows them.

    Bytes that are no UTF-8 are replaced. What a lone carriage return overwrites (progress bars) is
    dropped. A line longer than `LONGEST_LINE` characters comes in pieces, so memory stays bounded.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that this chunk completes."""
        *lines, self._rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        for line in lines:
            yield from _pieces(_shown(line))
        self._rest = _overwritten(self._rest)
        while len(self._rest) > LONGEST_LINE:
            yield self._rest[:LONGEST_LINE]
            self._rest = self._rest[LONGEST_LINE:]

    def finish(self) -> Iterator[str]:
        """The last line, if the stream did not end with a line feed."""
        rest = _shown(self._rest + self._decoder.decode(b"", final=True))
        self._rest = ""
        if rest:
            yield from _pieces(rest)


def _shown(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


def _overwritten(rest: str) -> str:
    """Drops what is surely overwritten; a carriage return at the very end may belong to a line feed."""
    kept = rest.rstrip("\r")
    return rest[kept.rfind("\r") + 1 :]


def _pieces(line: str) -> Iterator[str]:
    for start in range(0, max(len(line), 1), LONGEST_LINE):
        yield line[start : start + LONGEST_LINE]


async def run(
    arguments: Sequence[str],
    *,
    timeout: timedelta,  # noqa: ASYNC109 - it must also end the program, which a caller's timeout cannot
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: OnLine | None = None,
    input: bytes | None = None,
    kept_lines: int = KEPT_LINES,
) -> Completed:
    """Runs a program to its end and returns its exit code and the last `kept_lines` of output, see `Tail`.

    `environment` replaces the whole environment. `on_line` gets every line in order, and is awaited if it
    is asynchronous, so a slow reader slows the program down instead of filling memory.

    Raises DeadlineExceeded after `timeout`, and StartUpError where the program is not installed. Whatever
    is raised, cancellation included, the program and its children have ended before.
    """
    _require_installed(arguments[0], environment)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as output, _standard_input(input) as standard_input:
        try:
            process = await _start(arguments, environment, cwd, standard_input, write_end)
        finally:
            os.close(write_end)
        kept = Tail(kept_lines)
        try:
            async with asyncio.timeout(timeout.total_seconds()) as limit:
                exit_code = await _follow(process, output, kept, on_line)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(
                f"{Path(arguments[0]).name} ran longer than {timeout.total_seconds():g} s and was stopped.",
                detail=str(kept),
            ) from error
        finally:
            await uninterrupted(_end(process))
    return Completed(exit_code, str(kept))


async def _start(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None,
    cwd: Path | None,
    standard_input: int,
    output: int,
) -> asyncio.subprocess.Process:
    prefix, before_exec = _death_with_parent()
    return await asyncio.create_subprocess_exec(
        *prefix,
        *arguments,
        stdin=standard_input,
        stdout=output,
        stderr=output,
        env=None if environment is None else dict(environment),
        cwd=cwd,
        start_new_session=True,
        preexec_fn=before_exec,
    )


async def _follow(
    process: asyncio.subprocess.Process, output: IO[bytes], kept: Tail, on_line: OnLine | None
) -> int:
    # A pipe of our own, because asyncio's is tied to wait(): a grandchild that keeps it open would hang us.
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), output
    )
    exited = asyncio.create_task(process.wait())
    lines = LineSplitter()
    try:
        while chunk := await _next_chunk(reader, exited):
            await _deliver(lines.feed(chunk), kept, on_line)
        await _deliver(lines.finish(), kept, on_line)
        return await exited
    finally:
        exited.cancel()
        transport.close()


async def _next_chunk(reader: asyncio.StreamReader, exited: asyncio.Task[int]) -> bytes:
    """The next output; nothing at its end, or when an ended program's child only holds the pipe open."""
    reading = asyncio.create_task(reader.read(LONGEST_LINE))
    try:
        await asyncio.wait({reading, exited}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({reading}, timeout=LINGERING_OUTPUT.total_seconds() if exited.done() else None)
        return await reading if reading.done() else b""
    finally:
        reading.cancel()


async def _deliver(lines: Iterator[str], kept: Tail, on_line: OnLine | None) -> None:
    for line in lines:
        kept.append(line)
        if on_line is not None:
            answer = on_line(line)
            if inspect.isawaitable(answer):
                await answer


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM to the session, a grace, SIGKILL to what is left; returns when the program is reaped."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_GRACE.total_seconds()):
                await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def _standard_input(content: bytes | None) -> Iterator[int]:
    # A file in memory cannot block, whatever the program reads of it and when.
    descriptor = os.open(os.devnull, os.O_RDONLY) if content is None else os.memfd_create("input")
    with os.fdopen(descriptor, "rb" if content is None else "r+b", buffering=0) as file:
        if content is not None:
            file.write(content)
            file.seek(0)
        yield descriptor


def _require_installed(program: str, environment: Mapping[str, str] | None) -> None:
    path = (os.environ if environment is None else environment).get("PATH", os.defpath)
    if shutil.which(program, path=path) is None:
        raise StartUpError(f"The program {program} is not installed on this machine: install it.")


@cache
def _death_with_parent() -> tuple[tuple[str, ...], Callable[[], None] | None]:
    """What makes the kernel kill a program with us: util-linux' setpriv, else prctl before exec.

    setpriv comes first because Python can then start the program with vfork: 2 ms instead of 11 in a
    process of 200 MB, all of it on the event loop. The signal follows the death of the starting thread
    (prctl(2)), which is the event loop's.
    """
    if setpriv := shutil.which("setpriv"):
        return (setpriv, "--pdeathsig", "KILL", "--"), None
    prctl = ctypes.CDLL(None).prctl

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return (), before_exec
