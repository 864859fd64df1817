"""Looks up names in threads of its own: slow names hold up nobody but those who ask for slow names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, Final

SLOW_SECONDS: Final = 2.0
"""A look-up that takes longer makes its host a slow one, until another look-up of it is quicker."""

MOST_QUICK: Final = 16
"""Look-ups at once of hosts that are not known to be slow. One that turns out to be leaves its place."""

MOST_SLOW: Final = 16
"""Look-ups of slow hosts begin up to here. One team's may all be slow, each for half a minute; where the
system's own name server is slow, every host is."""

MOST_THREADS: Final = 64
"""They do nothing but wait. The rest is for hosts that turn out to be slow, which each does once."""

MOST_REMEMBERED: Final = 1000

Found = list[tuple[Any, ...]]
Name = tuple[str, int]


class LookUps:
    """Looks names up; all who ask for one at the same time share one look-up, in a thread of its own.

    Its threads are daemons: a system that waits for a name server keeps no process from ending.
    """

    def __init__(self) -> None:
        """No thread is there before it is needed."""
        self._lock = Lock()
        self._under_way: dict[Name, Future[Found]] = {}
        self._waiting_quick: deque[Name] = deque()
        self._waiting_slow: deque[Name] = deque()
        self._begun: dict[Name, float] = {}
        self._slow: dict[str, None] = {}

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
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SLOW_SECONDS):
                    await done.wait()
            if not done.is_set():
                # Those before it may have turned out to be slow.
                with self._lock:
                    self._begin_what_may()
        return shared.result()

    def _shared(self, name: Name) -> Future[Found]:
        with self._lock:
            if name not in self._under_way:
                self._under_way[name] = Future()
                (self._waiting_slow if name[0] in self._slow else self._waiting_quick).append(name)
                self._begin_what_may()
            return self._under_way[name]

    def _begin_what_may(self) -> None:
        """Begins what waits and has a place. The caller holds the lock."""
        now = time.monotonic()
        for (host, _), since in self._begun.items():
            if now - since >= SLOW_SECONDS:
                self._remember(host, is_slow=True)
        slow = sum(host in self._slow for host, _ in self._begun)
        places = (
            (self._waiting_quick, MOST_QUICK - (len(self._begun) - slow)),
            (self._waiting_slow, MOST_SLOW - slow),
        )
        for waiting, free in places:
            for _ in range(min(free, len(waiting), MOST_THREADS - len(self._begun))):
                name = waiting[0]
                Thread(target=self._look_up, args=[name], name="look-up", daemon=True).start()
                self._begun[name] = now
                waiting.popleft()

    def _look_up(self, name: Name) -> None:
        found: Found = []
        failure: Exception | None = None
        try:
            found = _asked(*name)
        except Exception as error:  # noqa: BLE001 - it is for those who asked
            failure = error
        with self._lock:
            future = self._under_way.pop(name)
            took = time.monotonic() - self._begun.pop(name)
            self._remember(name[0], is_slow=took >= SLOW_SECONDS)
        if failure is None:
            future.set_result(found)
        else:
            future.set_exception(failure)
        with self._lock:
            self._begin_what_may()

    def _remember(self, host: str, *, is_slow: bool) -> None:
        self._slow.pop(host, None)
        if is_slow:
            self._slow[host] = None
            while len(self._slow) > MOST_REMEMBERED:
                del self._slow[next(iter(self._slow))]


def _asked(host: str, port: int, flags: int = 0) -> Found:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
