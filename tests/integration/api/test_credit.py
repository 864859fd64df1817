"""What is on its way to a reader stays within the limit."""

from __future__ import annotations

import asyncio

import pytest

from api.credit import Credit


async def test_a_writer_waits_until_the_reader_has_taken_enough():
    credit = Credit(10)
    await credit.spend(6)
    await credit.spend(4)
    waiting = asyncio.create_task(credit.spend(5))
    credit.taken(4)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    credit.taken(1)
    async with asyncio.timeout(1):
        await waiting


async def test_more_than_the_limit_at_once_passes_alone():
    credit = Credit(10)
    async with asyncio.timeout(1):
        await credit.spend(50)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await credit.spend(1)
