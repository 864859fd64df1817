"""The slots for builds that a server's workflow keeps."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

from workflows import names
from workflows.calls import call
from workflows.policies import LOOK

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.build_slots import BuildSlots, admit, ask, release, with_limit
    from workflows.server_state import ServerState

CHECK_WHILE_SOMEBODY_WAITS = timedelta(seconds=15)
CHECK_OTHERWISE = timedelta(minutes=5)


class ServerSlots:
    """A slot is a lease: whoever has one gives it back, or loses it once its workflow has ended.

    A request is an update that is answered at once; those that wait are told by a signal. Holders are
    looked at as soon as somebody has to wait for them, then every 15 seconds.
    """

    def __init__(self, state: ServerState) -> None:
        """`state` is the server's; the slots in it are changed here and nowhere else."""
        self._state = state
        self._check_now = False
        self.is_checking = False

    def keep(self) -> list[asyncio.Task[None]]:
        """What runs beside the server's other work as long as its workflow does."""
        return [asyncio.create_task(self._tell()), asyncio.create_task(self._evict())]

    def lease(self, request: m.BuildSlotRequest) -> m.BuildSlotAnswer:
        """A slot, a place in the queue, or (for those that do not wait) neither."""
        slots = with_limit(self._state.slots, request.limit)
        if request.waits or slots.free or request.deployment_id in slots.holders:
            slots = ask(slots, request.deployment_id, request.group)
        self._admit(slots)
        is_granted = request.deployment_id in self._state.slots.builds
        if is_granted:
            self._forget(request.deployment_id)  # The answer tells it.
        elif request.deployment_id in self._state.slots.holders:
            self._check_now = True
        slots = self._state.slots
        return m.BuildSlotAnswer(
            is_granted=is_granted,
            position=slots.position(request.deployment_id),
            waiting=len(slots.waiting),
            running=slots.builds,
        )

    def release(self, deployment_id: str) -> None:
        """The deployment builds and waits no more."""
        self._forget(deployment_id)
        self._admit(release(self._state.slots, deployment_id))

    def _admit(self, slots: BuildSlots) -> None:
        self._state.slots, admitted = admit(slots)
        self._state.granted = [*self._state.granted, *admitted]

    def _forget(self, deployment_id: str) -> None:
        self._state.granted = [one for one in self._state.granted if one != deployment_id]

    async def _tell(self) -> None:
        while True:
            await workflow.wait_condition(lambda: bool(self._state.granted))
            deployment_id = self._state.granted[0]
            handle = workflow.get_external_workflow_handle(names.deployment_workflow_id(deployment_id))
            grant = m.BuildSlotGrant(server_id=self._state.server_id)
            try:
                await handle.signal(names.BUILD_SLOT_GRANTED_SIGNAL, grant)
            except FailureError:
                # It has ended without a word.
                self.release(deployment_id)
            # Only now: a history that ends in between tells it again.
            self._forget(deployment_id)

    async def _evict(self) -> None:
        while True:
            await workflow.wait_condition(self._is_used)
            pause = CHECK_WHILE_SOMEBODY_WAITS if self._state.slots.waiting else CHECK_OTHERWISE
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._check_now or not self._is_used(), timeout=pause)
            self._check_now = False
            if self._is_used():
                await self._evict_closed()

    async def _evict_closed(self) -> None:
        holders = m.BuildHolders(server_id=self._state.server_id, deployment_ids=self._state.slots.holders)
        self.is_checking = True
        try:
            closed = await call(s.FIND_CLOSED_HOLDERS, holders, LOOK)
        finally:
            self.is_checking = False
        for deployment_id in closed.deployment_ids:
            workflow.logger.warning("deployment %s has ended; its slot is free", deployment_id)
            self.release(deployment_id)

    def _is_used(self) -> bool:
        return bool(self._state.slots.running or self._state.slots.waiting)
