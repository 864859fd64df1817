"""Work side by side, of which one part fails."""

from __future__ import annotations

import asyncio

import pytest

from activities.together import all_or_none


async def test_all_results_come_in_the_order_of_the_works() -> None:
    async def answer(value: int) -> int:
        await asyncio.sleep(0)
        return value

    assert await all_or_none([answer(1), answer(2), answer(3)]) == [1, 2, 3]
    assert await all_or_none([]) == []


async def test_when_one_fails_the_others_have_ended_before_it_is_raised() -> None:
    ended = asyncio.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("the first")

    with pytest.raises(ValueError, match="the first"):
        await all_or_none([wait_for_ever(), fail()])
    assert ended.is_set()
