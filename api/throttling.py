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
    """After five wrong passwords within a minute for one e-mail from one address, both must wait."""

    def __init__(
        self, failures: int = 5, seconds: float = 60, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window = SlidingWindow(failures, seconds, clock)

    def check(self, email: str, ip: str) -> None:
        """Call it before looking at the password. Raises TooManyRequests."""
        if wait := self._window.wait_seconds(_login_key(email, ip)):
            raise TooManyRequests(
                f"Too many failed attempts. Try again in {wait} s.", retry_after_seconds=wait
            )

    def failed(self, email: str, ip: str) -> None:
        """The password was wrong."""
        self._window.add(_login_key(email, ip))

    def succeeded(self, email: str, ip: str) -> None:
        """The password was right."""
        self._window.forget(_login_key(email, ip))


def _login_key(email: str, ip: str) -> Hashable:
    return email.strip().lower()[:320], ip
