"""Waiting for a condition instead of sleeping for a guessed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")

# What a check may raise while the condition is still coming true: an assertion, or a refused connection.
NOT_YET: tuple[type[Exception], ...] = (AssertionError, OSError)


@overload
async def eventually(
    check: Callable[[], Awaitable[Value | None]],
    timeout_seconds: float = ...,
    interval_seconds: float = ...,
    describe: str | Callable[[], str] = ...,
    ignored: tuple[type[Exception], ...] = ...,
) -> Value: ...


@overload
async def eventually(
    check: Callable[[], Value | None],
    timeout_seconds: float = ...,
    interval_seconds: float = ...,
    describe: str | Callable[[], str] = ...,
    ignored: tuple[type[Exception], ...] = ...,
) -> Value: ...


async def eventually(
    check: Callable[[], Any],
    timeout_seconds: float = 10.0,
    interval_seconds: float = 0.05,
    describe: str | Callable[[], str] = "",
    ignored: tuple[type[Exception], ...] = NOT_YET,
) -> Any:
    """The first truthy answer of `check`, which may be a plain or an asynchronous function.

    An exception of one of the `ignored` types counts as "not yet"; any other goes to the caller at once.
    A check that hangs is ended at the limit. Fails with an AssertionError that says what was awaited and what
    the last try gave.
    """
    deadline = time.monotonic() + timeout_seconds
    last: object = "no answer within the limit"
    while True:
        try:
            answer = await _answer(check, max(deadline - time.monotonic(), interval_seconds))
            if answer:
                return answer
            last = answer
        except ignored as error:
            # A limit that strikes says less than what an earlier try said.
            last = error if str(error) else last
        if time.monotonic() >= deadline:
            what = describe() if callable(describe) else describe or getattr(check, "__name__", "condition")
            raise AssertionError(f"not within {timeout_seconds:g} s: {what}; the last try gave {last!r}")
        await asyncio.sleep(interval_seconds)


async def _answer(check: Callable[[], Any], limit_seconds: float) -> Any:
    answer = check()
    if inspect.isawaitable(answer):
        async with asyncio.timeout(limit_seconds):
            return await answer
    return answer
