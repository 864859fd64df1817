"""How often somebody may ask, and how often they may guess a password."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from domain.errors import TooManyRequests

MAXIMUM_KEYS = 10_000


class SlidingWindow:
    """Counts events by key over the last `seconds`, in memory, and forgets who was quiet longest."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._seconds = seconds
        self._clock = clock
        self._events: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def add(self, key: Hashable) -> None:
        """Counts one event."""
        events = self._events.setdefault(key, deque(maxlen=self.limit))
        events.append(self._clock())
        self._events.move_to_end(key)
        while len(self._events) > MAXIMUM_KEYS:
            self._events.popitem(last=False)

    def wait_seconds(self, key: Hashable) -> int:
        """How long until one more event is within the limit; 0 if it is now."""
        events = self._events.get(key)
        if events is None:
            return 0
        now = self._clock()
        while events and events[0] <= now - self._seconds:
            events.popleft()
        return math.ceil(events[0] + self._seconds - now) if len(events) >= self.limit else 0

    def take_back(self, key: Hashable) -> None:
        """The newest event of this key did not count."""
        if events := self._events.get(key):
            events.pop()

    def forget(self, key: Hashable) -> None:
        """Starts again for this key."""
        self._events.pop(key, None)


class RequestLimiter:
    """At most so many requests a minute for each token."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = SlidingWindow(per_minute, 60, clock)

    def admit(self, key: Hashable) -> None:
        """Counts a request. Raises TooManyRequests."""
        if wait := self._window.wait_seconds(key):
            raise TooManyRequests(
                f"More than {self._window.limit} requests in a minute. Try again in {wait} s.",
                retry_after_seconds=wait,
            )
        self._window.add(key)


class LoginThrottle:
    """Limits the guessing of passwords: for one account from one address, from an address, of an account.

    An attempt counts when it begins and is taken back when the password was right, so that a thousand
    guesses at the same moment are as many as a thousand in a row.
    """

    def __init__(
        self,
        failures: int = 5,
        seconds: float = 60,
        *,
        of_address: int = 30,
        of_account: int = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Within `seconds`, `failures` for one account from one address are allowed.

        `of_address` is for all accounts together, `of_account` for all addresses together: high enough
        that a stranger cannot easily lock the owner out, low enough to make guessing hopeless.
        """
        self._pairs = SlidingWindow(failures, seconds, clock)
        self._addresses = SlidingWindow(of_address, seconds, clock)
        self._accounts = SlidingWindow(of_account, seconds, clock)

    def admit(self, email: str, ip: str) -> None:
        """Counts an attempt; call it before looking at the password. Raises TooManyRequests."""
        counted = self._counted(email, ip)
        if wait := max(window.wait_seconds(key) for window, key in counted):
            raise TooManyRequests(
                f"Too many failed attempts. Try again in {wait} s.", retry_after_seconds=wait
            )
        for window, key in counted:
            window.add(key)

    def succeeded(self, email: str, ip: str) -> None:
        """The password was right: this attempt, and the earlier ones from there, were no guesses."""
        self._pairs.forget(_login_key(email, ip))
        self._addresses.take_back(ip)
        self._accounts.take_back(_account_key(email))

    def _counted(self, email: str, ip: str) -> tuple[tuple[SlidingWindow, Hashable], ...]:
        return (
            (self._pairs, _login_key(email, ip)),
            (self._addresses, ip),
            (self._accounts, _account_key(email)),
        )


def _account_key(email: str) -> str:
    return email.strip().lower()[:320]


def _login_key(email: str, ip: str) -> Hashable:
    return _account_key(email), ip
