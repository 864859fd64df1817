"""Undo on a stack, and work that a cancellation must not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

Result = TypeVar("Result")
Undo = Callable[[], Awaitable[None]]
UndoOnServer = Callable[[str], Awaitable[None]]
"""The part of an undo that concerns one server, by its id."""

Condition = Callable[[str], bool]
"""What is true of a server, by its id."""

GoesOn = Callable[[Sequence[BaseException]], bool]
"""Whether these failures may be done without."""


HEAD_START = timedelta(seconds=30)
"""So long do servers wait for an edge that goes back before them; one that is lost mostly has no visitors."""


def no_server(_server_id: str) -> bool:
    """A condition that none meets."""
    return False


class Evicted(BaseException):
    """The worker drops this workflow from its memory, to go on from its history when there is work.

    Not a CancelledError, because nobody may answer it with a compensation.
    """


@dataclass(frozen=True)
class _Pushed:
    undo: Undo
    on_server: UndoOnServer | None
    servers: tuple[str, ...]


class Compensations:
    """What has to be undone, newest first. Push before the step runs: an undo tolerates "never happened"."""

    def __init__(self) -> None:
        self._stack: list[_Pushed] = []
        self._parts: list[UndoOnServer] = []

    def push(self, undo: Undo, on_server: UndoOnServer | None = None, servers: Sequence[str] = ()) -> None:
        """Remembers how to take back what comes next, and that on one of its servers alone, if it can be."""
        self._stack.append(_Pushed(undo, on_server, tuple(servers)))
        if on_server is not None:
            self._parts.append(on_server)

    async def unwind_on(self, server_id: str) -> None:
        """Takes back, on this server alone, what was done so far, the newest first; the stack stays."""
        for undo in reversed(self._parts.copy()):
            await undo(server_id)

    def forget(self) -> None:
        """From here on there is no way back."""
        self._stack.clear()

    async def unwind(self, is_left_out: Condition = no_server, follows: Condition = no_server) -> None:
        """Runs every undo, the newest first; each one is retried until it works.

        What concerns servers is undone on each by itself, so one that is waited for holds up no other. Those
        left out are put back by `unwind_on`. What concerns the release as a whole has a head start, and is
        over before anything is undone on a server that `follows`.
        """
        begun: list[asyncio.Task[Any]] = []
        while self._stack:
            if self._stack[-1].on_server is None:
                whole = asyncio.create_task(_awaited(self._stack.pop().undo))
                await workflow.wait([whole], timeout=HEAD_START.total_seconds())
                begun.append(whole)
                continue
            parts = []
            while self._stack and self._stack[-1].on_server is not None:
                parts.append(self._stack.pop())
            servers = dict.fromkeys(server for part in parts for server in part.servers)
            ahead = {one: tuple(begun) if follows(one) else () for one in servers}
            await all_or_nothing([_unwind(parts, one, ahead[one]) for one in servers if not is_left_out(one)])
        for task in begun:
            await task

    async def unwind_together(self) -> None:
        """The same as it was once: one undo on all servers after the other."""
        while self._stack:
            await self._stack[-1].undo()
            self._stack.pop()


async def _awaited(undo: Undo) -> None:
    await undo()


async def _unwind(parts: Sequence[_Pushed], server_id: str, ahead: Sequence[asyncio.Task[Any]]) -> None:
    if late := [task for task in ahead if not task.done()]:
        await workflow.wait(late)
    for part in parts:
        if part.on_server is not None and server_id in part.servers:
            await part.on_server(server_id)


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """The work's result, however often this workflow is cancelled meanwhile."""
    task = asyncio.create_task(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # Only an eviction cancels this task.
                raise Evicted from None


async def all_or_nothing(works: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order; when one fails, the others are cancelled and awaited before it is raised.

    What is raised is that failure, never the cancellation that it caused in the others. A cancellation
    from outside is raised in any case, even if all of them end well.
    """
    if not works:
        return []  # there is nothing to wait for, which `wait` takes for a mistake
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await workflow.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        # Not `finally`: a workflow that a stopping worker throws away must not begin to wait again.
        await _end(tasks)
        raise
    await _end(tasks)
    failures = [failure for task in tasks if (failure := _failure_of(task)) is not None]
    if failures:
        raise min(failures, key=is_cancelled_exception)
    return [task.result() for task in tasks]


async def as_many_as_possible(
    works: list[Coroutine[Any, Any, Result]], goes_on: GoesOn
) -> list[Result | BaseException]:
    """Like `all_or_nothing`, but where `goes_on` accepts the failures so far: these are among the results."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        while running := [task for task in tasks if not task.done()]:
            await workflow.wait(running, return_when=asyncio.FIRST_COMPLETED)
            failures = [failure for task in tasks if task.done() and (failure := _failure_of(task))]
            if failures and not goes_on(failures):
                break
        else:
            return [_failure_of(task) or task.result() for task in tasks]
    except asyncio.CancelledError:
        await _end(tasks)
        raise
    await _end(tasks)
    raise min(failures, key=is_cancelled_exception)


async def _end(tasks: list[asyncio.Task[Result]]) -> None:
    for task in tasks:
        task.cancel()
    if any(not task.done() for task in tasks):
        await to_the_end(_settle(tasks))


async def _settle(tasks: list[asyncio.Task[Result]]) -> None:
    await workflow.wait(tasks)
    for task in tasks:
        _failure_of(task)  # asyncio complains about exceptions that nobody has looked at


def _failure_of(task: asyncio.Task[Result]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()
