"""The worker of Seaway as it is, which a test can kill at an exact point of an activity.

    python -m tests.harness.killing_worker TASK_QUEUE FAULT_FILE

Settings come from the environment, as for `seaway worker`. The faults come in by an interceptor of the
client, which Temporal's SDK puts around those of the worker; nothing of Seaway knows of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import temporalio.client
import temporalio.worker
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from seaway.parts import installation, until_signal
from seaway.settings import Settings
from seaway.temporal_server import connect
from seaway.worker import build_worker
from store.logs import LogStore
from tests.harness.planned_faults import Action, Fault, FaultFile, Moment

LOOK_SECONDS = 0.02
READY = "Ready: worker polls"


class FaultyActivities(temporalio.client.Interceptor, temporalio.worker.Interceptor):
    """Carries out what the fault file plans, once."""

    def __init__(self, faults: FaultFile, logs: LogStore) -> None:
        """`logs` is where the lines are looked for that a fault may wait for."""
        self.faults = faults
        self.logs = logs

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Stands outside of everything of Seaway, and once more directly around the activity."""
        next.next = _Inside(next.next, self)
        return _Outside(next, self)

    async def at(self, moment: Moment, input: ExecuteActivityInput) -> None:
        """Carries out the fault if this is its point."""
        fault = self.faults.planned()
        if fault is None or not _is_meant(fault, moment, input) or not self.faults.take():
            return
        if fault.action is Action.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        while self.faults.happened:  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(LOOK_SECONDS)

    @contextlib.asynccontextmanager
    async def meanwhile(self, input: ExecuteActivityInput) -> AsyncIterator[None]:
        """Carries out a fault in the middle of the activity."""
        fault = self.faults.planned()
        if fault is None or not _is_meant(fault, Moment.MIDDLE, input):
            yield
            return
        watching = asyncio.create_task(self._watch(fault, input))
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, fault: Fault, input: ExecuteActivityInput) -> None:
        await asyncio.sleep(fault.seconds)
        deployment_id = input.args[0].step.deployment_id
        while fault.text and not await self._is_logged(fault.text, deployment_id):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        await self.at(Moment.MIDDLE, input)

    async def _is_logged(self, text: str, deployment_id: str) -> bool:
        return any(text in line.text for line in await self.logs.tail(deployment_id, limit=200))


def _is_meant(fault: Fault, moment: Moment, input: ExecuteActivityInput) -> bool:
    step = getattr(input.args[0], "step", None) if input.args else None
    undoes = step is not None and step.undo
    if fault.server and (step is None or step.server != fault.server):
        return False
    return (fault.activity, fault.moment, fault.undo) == (activity.info().activity_type, moment, undoes)


class _Outside(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, faulty: FaultyActivities) -> None:
        super().__init__(next)
        self._faulty = faulty

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        await self._faulty.at(Moment.BEFORE, input)
        try:
            return await super().execute_activity(input)
        finally:
            await self._faulty.at(Moment.AFTER, input)


class _Inside(_Outside):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        await self._faulty.at(Moment.BEGUN, input)
        async with self._faulty.meanwhile(input):
            answer = await self.next.execute_activity(input)
        await self._faulty.at(Moment.DONE, input)
        return answer


async def work(task_queue: str, faults: FaultFile) -> None:
    """Runs until SIGTERM, or until a fault says otherwise."""
    settings = Settings()
    async with installation(settings) as parts:
        client = await connect(settings)
        options = client.config()
        options["interceptors"] = [FaultyActivities(faults, parts.store.logs)]
        faulty = temporalio.client.Client(**options)
        async with build_worker(faulty, parts.store, parts.servers, settings, task_queue=task_queue):
            await until_signal(lambda: print(READY, flush=True))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], FaultFile(Path(sys.argv[2]))))
