"""Parametrised tests whose cases run side by side, because most of their time is waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

import pytest

Case = TypeVar("Case")
Outcome = TypeVar("Outcome")


def selected(session: pytest.Session, test: str, cases: Sequence[Case]) -> list[Case]:
    """The cases of a parametrised test that this run has selected; their ids are `str(case)`."""
    names = {item.name for item in session.items}
    return [case for case in cases if f"{test}[{case}]" in names]


class SideBySide(Generic[Case, Outcome]):
    """Runs cases in their order, a few at a time; each test waits for its own case.

    A case gets the number of its lane, which no other case has at the same time.
    """

    def __init__(
        self, cases: Iterable[Case], run: Callable[[Case, int], Awaitable[Outcome]], *, lanes: int
    ) -> None:
        """Starts at once; call `end` when the tests are over."""
        self._run = run
        self._lanes: asyncio.Queue[int] = asyncio.Queue()
        for lane in range(lanes):
            self._lanes.put_nowait(lane)
        self._tasks = {id(case): asyncio.create_task(self._in_a_lane(case)) for case in cases}

    async def _in_a_lane(self, case: Case) -> Outcome:
        lane = await self._lanes.get()
        try:
            return await self._run(case, lane)
        finally:
            self._lanes.put_nowait(lane)

    async def outcome(self, case: Case) -> Outcome:
        """How the case went. Raises what went wrong in it."""
        return await self._tasks[id(case)]

    async def end(self) -> None:
        """Ends what still runs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
