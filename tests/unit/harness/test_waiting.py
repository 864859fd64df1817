"""`eventually` waits for a condition and says what it waited for."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.waiting import eventually


async def test_the_first_truthy_answer_is_returned() -> None:
    answers = iter([None, 0, "there"])

    assert await eventually(lambda: next(answers), 5, interval_seconds=0.001) == "there"


async def test_an_asynchronous_check_may_fail_its_assertions_until_it_holds() -> None:
    tries = 0

    async def third_try() -> int:
        nonlocal tries
        tries += 1
        assert tries == 3
        return tries

    assert await eventually(third_try, 5, interval_seconds=0.001) == 3


async def test_a_condition_that_never_comes_fails_with_what_was_awaited_and_seen() -> None:
    def look() -> bool:
        raise AssertionError("still red")

    with pytest.raises(AssertionError, match=r"not within 0\.05 s: a green light; .*still red"):
        await eventually(look, 0.05, interval_seconds=0.01, describe="a green light")


async def test_a_check_that_hangs_is_given_up() -> None:
    with pytest.raises(AssertionError, match="no answer within the limit"):
        await eventually(asyncio.Event().wait, 0.05, describe="an event that nobody sets")


async def test_an_unexpected_exception_is_not_waited_over() -> None:
    def broken() -> bool:
        raise KeyError("a fault of the test")

    with pytest.raises(KeyError):
        await eventually(broken, 60)
