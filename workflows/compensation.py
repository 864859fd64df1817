"""Undo on a stack, and work that a cancellation must not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from temporalio import workflow

Result = TypeVar("Result")
Undo = Callable[[], Awaitable[None]]


class Compensations:
    """What has to be undone, newest first. Push before the step runs: an undo tolerates "never happened"."""

    def __init__(self) -> None:
        self._undos: list[Undo] = []

    def push(self, undo: Undo) -> None:
        """Remembers how to take back what comes next."""
        self._undos.append(undo)

    def forget(self) -> None:
        """From here on there is no way back."""
        self._undos.clear()

    async def unwind(self) -> None:
        """Runs every undo, the newest first; each one is retried until it works."""
        while self._undos:
            await self._undos[-1]()
            self._undos.pop()


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """The work's result, however often this workflow is cancelled meanwhile."""
    task = asyncio.create_task(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Cancelled as well means that the worker is evicting the whole workflow.
            if task.cancelled():
                raise


async def all_or_nothing(works: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order; when one fails, the others are cancelled and awaited before it is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await workflow.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        if any(not task.done() for task in tasks):
            await to_the_end(_settle(tasks))
    return [task.result() for task in tasks]


async def _settle(tasks: list[asyncio.Task[Result]]) -> None:
    await workflow.wait(tasks)
