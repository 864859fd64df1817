"""An open-loop load: requests start when they are due, however long earlier ones take.

A load that waited for its answers would ask less just when the server is in trouble, and so hide it.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import ssl
import time
from collections import deque
from datetime import timedelta
from types import TracebackType
from typing import Self

from tests.harness.http_connection import ExchangeFailed, FailureKind, HttpAnswer, HttpConnection, Target
from tests.harness.load_report import Failure, Latencies, LoadReport, VersionSeen, now
from tests.harness.websocket_session import SentAway, WebSocketSession

ECHO_INTERVAL_SECONDS = 0.1
NUMBER = "request"
"""The name of the number in the query."""
PAUSE_AFTER_CUT_SECONDS = 0.1


class LoadGenerator:
    """Asks one site all the time while it is entered, and records everything. Nothing is ever retried.

    Leaving it stops asking and waits for what is open; when the body failed, it cuts everything off instead.
    """

    def __init__(
        self,
        base_url: str,
        *,
        address: tuple[str, int] | None = None,
        rate_per_second: float = 100.0,
        path: str = "/",
        fresh_share: float = 0.1,
        slow_every_seconds: float = 2.0,
        slow_seconds: float = 5.0,
        slow_path: str = "/slow?seconds={seconds:g}",
        websockets: int = 1,
        websocket_seconds: float = 10.0,
        websocket_path: str = "/ws",
        accept_going_away: bool = False,
        limit_over_expected_seconds: float = 10.0,
        numbered: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """The mixture of the load.

        `base_url` is the site (its Host header); `address` is where to connect instead of its name.
        `fresh_share` of the requests use a connection of their own, the others a kept one.
        A request of `slow_seconds` starts each `slow_every_seconds` (0: none). `websockets` are open all the
        time, each for `websocket_seconds` and then anew. A WebSocket closed with 1001 is a failure unless
        `accept_going_away`. A request may take `limit_over_expected_seconds` longer than it should.
        Where they are `numbered`, each request and WebSocket brings a number along (`?request=7`).
        """
        self._target = Target.of(base_url, address, tls)
        self._rate = rate_per_second
        self._path = path
        self._fresh_share = fresh_share
        self._slow_every = slow_every_seconds
        self._slow_seconds = slow_seconds
        self._slow_path = slow_path.format(seconds=slow_seconds)
        self._websockets = websockets
        self._websocket_seconds = websocket_seconds
        self._websocket_path = websocket_path
        self._accept_going_away = accept_going_away
        self._limit = limit_over_expected_seconds
        self._numbers = itertools.count(1) if numbered else None
        self._idle: deque[HttpConnection] = deque()
        self._stopping = asyncio.Event()
        self._schedulers: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Task[None]] = set()
        self._started_at = now()
        self._started_clock = time.monotonic()
        self._ended_clock: float | None = None
        self._started = self._succeeded = self._slow_succeeded = self._reopened = 0
        self._sessions = self._messages = self._sent_away = 0
        self._latencies: list[float] = []
        self._versions: dict[str, VersionSeen] = {}
        self._failures: list[Failure] = []

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures so far."""
        return tuple(self._failures)

    @property
    def succeeded(self) -> int:
        """The requests that succeeded so far."""
        return self._succeeded

    def report(self) -> LoadReport:
        """What was seen so far; final after the load has been left."""
        seconds = (self._ended_clock or time.monotonic()) - self._started_clock
        return LoadReport(
            started_at=self._started_at,
            duration=timedelta(seconds=seconds),
            started=self._started,
            succeeded=self._succeeded,
            slow_succeeded=self._slow_succeeded,
            reopened=self._reopened,
            websocket_sessions=self._sessions,
            websocket_messages=self._messages,
            websockets_sent_away=self._sent_away,
            latency_ms=Latencies.of(self._latencies),
            versions=tuple(self._versions.values()),
            failures=tuple(self._failures),
        )

    async def __aenter__(self) -> Self:
        self._started_at, self._started_clock = now(), time.monotonic()
        schedulers = [self._schedule_fast()]
        if self._slow_every:
            schedulers.append(self._schedule_slow())
        schedulers += [self._keep_websocket_open() for _ in range(self._websockets)]
        self._schedulers = {asyncio.create_task(scheduler) for scheduler in schedulers}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop(cut_off=error is not None)

    async def stop(self, cut_off: bool = False) -> None:
        """Starts nothing more and waits for what is open (its own limits bound that), or cuts it off."""
        self._stopping.set()
        if cut_off:
            for task in [*self._schedulers, *self._open]:
                task.cancel()
        try:
            # Schedulers first: what they start last belongs to what is waited for.
            outcomes = await asyncio.gather(*self._schedulers, return_exceptions=True)
            outcomes += await asyncio.gather(*self._open, return_exceptions=True)
        finally:
            self._ended_clock = time.monotonic()
            while self._idle:
                await self._idle.pop().close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome  # a fault of the load itself must not look like a quiet load

    async def _schedule_fast(self) -> None:
        fresh = 0
        for number in itertools.count():
            if await self._stopped_before(self._started_clock + number / self._rate):
                return
            # Spread evenly instead of drawn by lot, so that each run does the same.
            due_fresh = math.floor((number + 1) * self._fresh_share)
            self._start(self._path, number / self._rate, fresh=due_fresh > fresh)
            fresh = due_fresh

    async def _schedule_slow(self) -> None:
        for number in itertools.count():
            if await self._stopped_before(self._started_clock + number * self._slow_every):
                return
            self._start(self._slow_path, number * self._slow_every, self._slow_seconds, fresh=number % 2 == 0)

    async def _stopped_before(self, due: float) -> bool:
        remaining = due - time.monotonic()
        if remaining <= 0:  # late: start at once, but let the others run
            await asyncio.sleep(0)
            return self._stopping.is_set()
        return await self._stopped_within(remaining)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def _start(self, path: str, offset: float, expected: float = 0.0, *, fresh: bool) -> None:
        self._started += 1
        task = asyncio.create_task(self._request(self._numbered(path), offset, expected, fresh))
        self._open.add(task)
        task.add_done_callback(self._forget)

    def _numbered(self, path: str) -> str:
        if self._numbers is None:
            return path
        return f"{path}{'&' if '?' in path else '?'}{NUMBER}={next(self._numbers)}"

    def _forget(self, task: asyncio.Task[None]) -> None:
        # A task that broke stays, so that `stop` raises its exception.
        if task.cancelled() or task.exception() is None:
            self._open.discard(task)

    async def _request(self, path: str, offset: float, expected: float, fresh: bool) -> None:
        try:
            async with asyncio.timeout(expected + self._limit):
                answer = await self._exchange(path, fresh)
            if not 200 <= answer.status < 300:
                raise ExchangeFailed(FailureKind.STATUS, f"{answer.status} {answer.body[:200]!r}")
        except TimeoutError:
            self._fail(FailureKind.TIMEOUT, f"no whole answer in {expected + self._limit:g} s", path, offset)
        except ExchangeFailed as error:
            self._fail(error.kind, error.detail, path, offset)
        else:
            self._succeed(answer, offset, expected)

    async def _exchange(self, path: str, fresh: bool) -> HttpAnswer:
        connection = None if fresh else self._kept_connection()
        connection = connection or await HttpConnection.open(self._target)
        keep = False
        try:
            answer = await connection.get(path, keep_alive=not fresh)
            keep = not fresh and "close" not in answer.headers.get("connection", "").lower()
        finally:
            if keep:
                self._idle.append(connection)
            else:
                await connection.close()
        return answer

    def _kept_connection(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.was_closed_while_idle:
                return connection
            self._reopened += 1
            connection.abandon()
        return None

    async def _keep_websocket_open(self) -> None:
        while not self._stopping.is_set():
            offset = time.monotonic() - self._started_clock
            path = self._numbered(self._websocket_path)
            try:
                async with WebSocketSession(self._target, path) as session:
                    await self._echo_for_a_while(session)
                self._sessions += 1
            except SentAway as error:
                self._sent_away += 1
                if not self._accept_going_away:
                    self._fail(error.kind, error.detail, path, offset)
                await self._stopped_within(PAUSE_AFTER_CUT_SECONDS)
            except ExchangeFailed as error:
                self._fail(error.kind, error.detail, path, offset)
                await self._stopped_within(PAUSE_AFTER_CUT_SECONDS)

    async def _echo_for_a_while(self, session: WebSocketSession) -> None:
        until = time.monotonic() + self._websocket_seconds
        while time.monotonic() < until:
            await session.echo(f"message {self._messages}")
            self._messages += 1
            if await self._stopped_within(ECHO_INTERVAL_SECONDS):
                return

    def _succeed(self, answer: HttpAnswer, offset: float, expected: float) -> None:
        self._succeeded += 1
        if expected:
            self._slow_succeeded += 1
        else:
            self._latencies.append(time.monotonic() - self._started_clock - offset)
        at, version = now(), answer.body[:80].decode(errors="replace").strip()
        seen = self._versions.setdefault(version, VersionSeen(version, at, at, 0))
        seen.last_at, seen.count = at, seen.count + 1

    def _fail(self, kind: FailureKind, detail: str, path: str, offset: float) -> None:
        due = self._started_at + timedelta(seconds=offset)
        self._failures.append(Failure(now(), kind, detail, path, due))
