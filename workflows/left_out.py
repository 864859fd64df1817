"""Servers that a release goes on without: each is put back to what it had, beside the release."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows.calls import call
from workflows.compensation import Compensations, all_or_nothing
from workflows.policies import RECORD
from workflows.progress import ProgressTracker

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import StepName
    from domain.release_policies import AWAY, BEFORE_REPLICAS, LeftOut, note_of, steps_without
    from workflows.failures import Failure


class LeftOutServers:
    """Takes servers out of a plan, undoes on them alone what was done there, and remembers why."""

    def __init__(self, deployment_id: str, tracker: ProgressTracker, compensations: Compensations) -> None:
        self._deployment_id = deployment_id
        self._tracker = tracker
        self._compensations = compensations
        self._left: list[LeftOut] = []
        self._ids: set[str] = set()
        self._lost: set[str] = set()
        self._undoing: list[asyncio.Task[None]] = []

    @property
    def note(self) -> str:
        """What a deployment says that has finished without them; empty without any."""
        return note_of(self._left)

    def has(self, server_id: str) -> bool:
        """Whether the release goes on without this server."""
        return server_id in self._ids

    def is_lost(self, server_id: str) -> bool:
        """Whether it was away before anything of it was changed, so that nobody waits for it."""
        return server_id in self._lost

    def out_of(
        self, plan: m.ReleasePlan, server: m.PlannedServer, failed: StepName, failure: Failure
    ) -> m.ReleasePlan:
        """The plan without this server, which failed in this step. It begins to be put back at once."""
        instead = next(one for one in plan.servers if one.id != server.id)
        message = failure.message
        steps = steps_without(self._tracker.steps, server.name, instead.name, failed, message)
        self._tracker.plan(steps)
        self._left.append(LeftOut(server.name, message))
        self._ids.add(server.id)
        if failed in BEFORE_REPLICAS and failure.code in AWAY:
            self._lost.add(server.id)
        self._undoing.append(asyncio.create_task(self._put_back(server)))
        return plan.without(server, steps)

    async def record(self, server: m.PlannedServer, plan: m.ReleasePlan, failed: StepName) -> None:
        """Writes down that `plan` goes on without the server, so that it shows while the release runs."""
        message = next(one.message for one in self._left if one.server == server.name)
        leave = m.LeaveOutServer(
            deployment_id=self._deployment_id,
            server=server.name,
            instead=plan.servers[0].name,
            failed=failed,
            message=message,
        )
        # By itself, a call that ends well in spite of a cancellation would hide that cancellation.
        await all_or_nothing([call(s.LEAVE_OUT_SERVER, leave, RECORD)])

    async def settle(self) -> None:
        """Returns once each of them has what it had, or is known to be lost."""
        if pending := [task for task in self._undoing if not task.done()]:
            await workflow.wait(pending)

    async def _put_back(self, server: m.PlannedServer) -> None:
        try:
            await self._compensations.unwind_on(server.id)
        except FailureError as error:
            workflow.logger.warning("%s is not put back: %s", server.name, error)
