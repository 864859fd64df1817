"""A build that ends before its slot was answered leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from activities.build_turns import BuildTurn
from domain.errors import SourceIncomplete, TransientError


class Slots:
    """Answers a withdrawn question as the workflow engine's client does: with an error."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def lease(self, _request: object) -> None:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise TransientError("The workflow engine has not answered yet.") from error


async def failing_build(slots: Any) -> None:
    nothing: Any = SimpleNamespace(lease=object())
    async with BuildTurn(nothing, slots, nothing, nothing):
        await slots.asked.wait()
        raise SourceIncomplete("The publish directory is missing.")


async def test_a_build_that_fails_while_it_asks_for_its_slot_leaves_no_unheard_error() -> None:
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    try:
        with pytest.raises(SourceIncomplete):
            await failing_build(Slots())
        gc.collect()
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert unheard == []
