"""Looks up names in threads of its own: slow names hold up nobody but those who ask for names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final

MOST_THREADS: Final = 16
"""They do nothing but wait. Names of one team's servers may be slow, each for half a minute."""

Found = list[tuple[Any, ...]]
Name = tuple[str, int]


class LookUps:
    """Looks names up; all who ask for one at the same time share one look-up.

    Its threads are daemons: a system that waits for a name server keeps no process from ending.
    """

    def __init__(self) -> None:
        """No thread is there before it is needed."""
        self._lock = Lock()
        self._under_way: dict[Name, Future[Found]] = {}
        self._waiting: SimpleQueue[Name] = SimpleQueue()
        self._threads = 0

    async def of(self, host: str, port: int) -> Found:
        """As `socket.getaddrinfo` gives it, for TCP. Raises what that raises.

        What is an address already waits for nobody. Who is cancelled leaves the look-up to the others.
        """
        with contextlib.suppress(socket.gaierror):
            return _asked(host, port, socket.AI_NUMERICHOST)
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Future[Found]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.set)

        shared = self._shared((host, port))
        shared.add_done_callback(tell)
        await done.wait()
        return shared.result()

    def _shared(self, name: Name) -> Future[Found]:
        with self._lock:
            if name in self._under_way:
                return self._under_way[name]
            made = self._under_way[name] = Future()
            self._waiting.put(name)
            if self._threads < MOST_THREADS:
                self._threads += 1
                Thread(target=self._work, name=f"look-up-{self._threads}", daemon=True).start()
            return made

    def _work(self) -> None:
        while True:
            name = self._waiting.get()
            found: Found = []
            failure: Exception | None = None
            try:
                found = _asked(*name)
            except Exception as error:  # noqa: BLE001 - it is for those who asked
                failure = error
            with self._lock:
                future = self._under_way.pop(name)
            if failure is None:
                future.set_result(found)
            else:
                future.set_exception(failure)


def _asked(host: str, port: int, flags: int = 0) -> Found:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
