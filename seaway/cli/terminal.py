"""The terminal, or the pipes, that `seaway run`, `exec` and `ssh` are used from."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import shutil
import sys
import termios
import threading
import tty
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError

from websockets.exceptions import ConnectionClosed

from domain.terminals import CHUNK_BYTES, Terminal

STDIN = 0


def own_terminal() -> Terminal | None:
    """The terminal to give to an interactive command; None where input or output is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    columns, rows = shutil.get_terminal_size()
    return Terminal(type=_known_type(os.environ.get("TERM", "")), columns=columns, rows=rows)


def _known_type(name: str) -> str:
    try:
        return Terminal(type=name).type
    except ValueError:
        return "xterm"


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Every key goes to the command as it is, Ctrl-C too; afterwards the terminal is as it was."""
    before = termios.tcgetattr(STDIN)
    try:
        tty.setraw(STDIN, termios.TCSADRAIN)  # keeps what was typed ahead
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


def read_input(
    give: Callable[[bytes], Coroutine[None, None, None]],
    hang_up: Callable[[], None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Gives all of standard input, and at its end nothing (b""); hangs up when the terminal is gone.

    In a thread that nobody waits for, because a read of a terminal cannot be ended.
    """

    def read() -> None:
        # A loop that has ended takes nothing any more, nor does one whose command has.
        with contextlib.suppress(RuntimeError, CancelledError, ConnectionClosed):
            data = b"?"
            while data:
                try:
                    data = os.read(STDIN, CHUNK_BYTES)
                except OSError:
                    loop.call_soon_threadsafe(hang_up)
                    return
                asyncio.run_coroutine_threadsafe(give(data), loop).result()

    threading.Thread(target=read, daemon=True).start()


class OutputWriter:
    """Writes to standard output and standard error, in order and without holding the event loop up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, written: Callable[[int], None]) -> None:
        """`written` hears in the loop how many bytes have been written."""
        self._loop = loop
        self._written = written
        self._queue: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._ended: asyncio.Future[None] = loop.create_future()
        # Nobody waits for it at exit: whoever reads our output may have stopped reading.
        threading.Thread(target=self._write_all, daemon=True).start()

    def write(self, descriptor: int, data: bytes) -> None:
        """To be written to that file descriptor."""
        self._queue.put((descriptor, data))

    async def finish(self) -> None:
        """All has been written. Raises BrokenPipeError where nobody reads it any more."""
        self._queue.put(None)
        await self._ended

    @property
    def ended(self) -> asyncio.Future[None]:
        """Done when nothing can be written any more; with the error, if there was one."""
        return self._ended

    def _write_all(self) -> None:
        error: OSError | None = None
        try:
            while (item := self._queue.get()) is not None:
                descriptor, data = item
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
                self._loop.call_soon_threadsafe(self._written, len(data))
        except OSError as failure:
            error = failure
        except RuntimeError:
            return  # the loop has ended
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: OSError | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
