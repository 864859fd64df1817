"""Limits on how often somebody may ask or guess."""

from __future__ import annotations

import pytest

from api.throttling import MAXIMUM_KEYS, LoginThrottle, RequestLimiter, SlidingWindow
from domain.errors import TooManyRequests
from tests.integration.api.conftest import Seaway


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_requests_are_refused_until_the_oldest_is_a_minute_old() -> None:
    clock = Clock()
    limiter = RequestLimiter(2, clock)
    limiter.admit("a")
    clock.now += 20
    limiter.admit("a")
    limiter.admit("b")
    with pytest.raises(TooManyRequests) as refused:
        limiter.admit("a")
    assert refused.value.retry_after_seconds == 40
    clock.now += 40
    limiter.admit("a")
    with pytest.raises(TooManyRequests):
        limiter.admit("a")


def admitted(throttle: LoginThrottle, email: str, address: str) -> bool:
    """Whether a log-in may be tried."""
    try:
        throttle.admit(email, address)
    except TooManyRequests:
        return False
    return True


def test_five_wrong_passwords_make_this_email_wait_at_this_address_only() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock=clock)
    for _ in range(5):
        throttle.admit("A@example.com ", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        throttle.admit("a@example.com", "192.0.2.1")
    throttle.admit("a@example.com", "192.0.2.2")
    throttle.admit("b@example.com", "192.0.2.1")
    clock.now += 60
    assert admitted(throttle, "a@example.com", "192.0.2.1")


def test_a_right_password_forgives_the_wrong_ones() -> None:
    throttle = LoginThrottle()
    for _ in range(3):
        tries = [admitted(throttle, "a@example.com", "192.0.2.1") for _ in range(5)]
        assert tries == [True] * 5
        throttle.succeeded("a@example.com", "192.0.2.1")


def test_guessing_many_accounts_from_one_address_is_refused_and_logging_in_often_is_not() -> None:
    throttle = LoginThrottle(of_address=30)
    for _ in range(100):
        throttle.admit("a@example.com", "192.0.2.1")
        throttle.succeeded("a@example.com", "192.0.2.1")
    for number in range(30):
        throttle.admit(f"{number}@example.com", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        throttle.admit("a@example.com", "192.0.2.1")
    throttle.admit("a@example.com", "192.0.2.2")


def test_guessing_one_account_from_many_addresses_is_refused_and_a_success_does_not_forgive_it() -> None:
    throttle = LoginThrottle(of_account=60)
    for number in range(60):
        throttle.admit("a@example.com", f"192.0.2.{number}")
        if number == 30:
            throttle.succeeded("a@example.com", f"192.0.2.{number}")
    throttle.admit("a@example.com", "198.51.100.1")
    with pytest.raises(TooManyRequests):
        throttle.admit("a@example.com", "198.51.100.2")


def test_memory_does_not_grow_with_the_number_of_guessers() -> None:
    window = SlidingWindow(1, 60)
    for number in range(MAXIMUM_KEYS + 1):
        window.add(number)
    assert window.wait_seconds(0) == 0
    assert window.wait_seconds(MAXIMUM_KEYS) == 60


async def test_a_token_that_asks_too_often_is_told_when_to_come_back(
    seaway: Seaway, request: pytest.FixtureRequest
) -> None:
    # Put back by hand: monkeypatch would take it away, as the state has it in no `__dict__` of its own.
    usual, seaway.app.state.request_limiter = seaway.app.state.request_limiter, RequestLimiter(2)
    request.addfinalizer(lambda: setattr(seaway.app.state, "request_limiter", usual))
    async with seaway.client(seaway.mine.token) as client:
        for _ in range(2):
            assert (await client.get("/version")).status_code == 200
        answer = await client.get("/version")
        assert answer.status_code == 429
        assert answer.json()["code"] == "too_many_requests"
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert (await client.get("/health")).status_code == 200
    async with seaway.client(seaway.theirs.token) as client:
        assert (await client.get("/version")).status_code == 200
