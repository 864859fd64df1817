"""Undo on a stack, work to the end, and works that succeed together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.exceptions import ApplicationError

from workflows.compensation import Compensations, Evicted, all_or_nothing, to_the_end


class Worker:
    """Work that runs until it may end, or is cancelled and takes a few turns of the loop to stop."""

    def __init__(self, result: int = 0) -> None:
        self.result = result
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()
        self.stopped = False

    async def run(self) -> int:
        self.started.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            for _ in range(5):
                await asyncio.sleep(0)
            self.stopped = True
            raise
        return self.result


async def failing() -> int:
    raise ApplicationError("broken", type="build_failed")


async def test_the_results_keep_the_order_of_the_works() -> None:
    slow, quick = Worker(1), Worker(2)
    task = asyncio.create_task(all_or_nothing([slow.run(), quick.run()]))
    await slow.started.wait()
    quick.may_end.set()
    await asyncio.sleep(0)
    slow.may_end.set()

    assert await task == [1, 2]


@pytest.mark.parametrize("failing_at", [0, 1, 2])
async def test_when_one_fails_the_others_have_stopped_before_its_failure_is_raised(failing_at: int) -> None:
    others = [Worker(), Worker()]
    works = [worker.run() for worker in others]
    works.insert(failing_at, failing())

    with pytest.raises(ApplicationError, match="broken"):
        await all_or_nothing(works)

    assert [worker.stopped for worker in others] == [True, True]


async def test_a_cancellation_from_outside_ends_all_of_them_first() -> None:
    workers = [Worker(), Worker()]
    task = asyncio.create_task(all_or_nothing([worker.run() for worker in workers]))
    await workers[1].started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert [worker.stopped for worker in workers] == [True, True]


async def test_what_is_thrown_away_in_the_midst_begins_nothing_more() -> None:
    worker = Worker()
    thrown_away = all_or_nothing([worker.run()])
    thrown_away.send(None)
    await worker.started.wait()
    before = asyncio.all_tasks()

    thrown_away.close()  # as a worker does with its workflows when it stops

    assert asyncio.all_tasks() == before
    worker.may_end.set()


async def test_work_to_the_end_cannot_be_interrupted() -> None:
    worker = Worker(7)
    task = asyncio.create_task(to_the_end(worker.run()))
    await worker.started.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    worker.may_end.set()

    assert await task == 7
    assert not worker.stopped


async def test_work_whose_own_task_is_cancelled_was_evicted() -> None:
    async def evicted() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Evicted):
        await to_the_end(evicted())


def undo(done: list[str], name: str) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        done.append(name)

    return run


async def test_undos_run_newest_first_and_once() -> None:
    done: list[str] = []
    compensations = Compensations()
    for name in ("image", "replicas", "routes"):
        compensations.push(undo(done, name))

    await compensations.unwind()
    await compensations.unwind()

    assert done == ["routes", "replicas", "image"]


async def test_what_is_forgotten_is_not_undone() -> None:
    done: list[str] = []
    compensations = Compensations()
    compensations.push(undo(done, "image"))
    compensations.forget()

    await compensations.unwind()

    assert done == []
