"""The slot that a build is to run in, asked for while the build is prepared."""

from __future__ import annotations

import asyncio
from types import TracebackType

from activities import messages as m
from activities.build_slots import BuildSlotActivities, repository_key
from domain.configuration import ApplicationConfiguration
from store.store import Store


class BuildTurn:
    """Asks for the slot and writes down who builds, beside the work, which hardly ever has to wait for it."""

    def __init__(
        self,
        store: Store,
        slots: BuildSlotActivities,
        build: m.BuildImage,
        configuration: ApplicationConfiguration,
    ) -> None:
        self._store = store
        self._slots = slots
        self._build = build
        self._configuration = configuration
        self._asking: asyncio.Task[m.BuildSlotLease] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._lease = m.BuildSlotLease(is_granted=True)

    async def __aenter__(self) -> BuildTurn:
        """Begins to ask, if there is something to ask for."""
        if self._build.lease is not None:
            self._asking = asyncio.create_task(self._slots.lease(self._build.lease))
        return self

    async def begins(self) -> bool:
        """Whether the build may run now; else the deployment waits in a queue. Raises what asking raised."""
        if self._asking is not None:
            self._lease = await self._asking
        if self._lease.is_granted:
            key = repository_key(self._store, self._configuration)
            deployment_id, server_id = self._build.step.deployment_id, self._build.server_id
            self._writing = asyncio.create_task(self._store.builds.begin(deployment_id, server_id, key))
        return self._lease.is_granted

    def waits(self) -> m.BuildOutcome:
        """The answer of a build that may not run yet."""
        return m.BuildOutcome(waits=True, lease=self._lease, message=self._lease.message)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing goes on by itself afterwards. A slot that was got stays the deployment's."""
        if self._asking is not None and not self._asking.done():
            self._asking.cancel()
        tasks = [task for task in (self._asking, self._writing) if task is not None]
        # What asking raised is the build's only where the build still waits for it.
        await asyncio.gather(*tasks, return_exceptions=True)
        if error is None and self._writing is not None:
            self._writing.result()
