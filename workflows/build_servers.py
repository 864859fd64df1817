"""A build on one of the servers that do nothing else: on another one, should the first be lost meanwhile."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.builders import is_taken_over, taken_over_message
    from domain.deployments import StepName
    from workflows.build_slots import DeploymentSlots
    from workflows.failures import failure_of
    from workflows.policies import within
    from workflows.release import ReleaseSteps

LOST_BUILDER = "another-builds-when-the-builder-is-lost"


class BuildServers:
    """Builds in a slot of a build server. Each that begins has its undo pushed before."""

    def __init__(self, command: m.Command, steps: ReleaseSteps, slots: DeploymentSlots) -> None:
        """For one deployment, whose plan names the build servers."""
        self._command = command
        self._steps = steps
        self._slots = slots
        self._lost: list[str] = []

    async def build(self, planned: m.PlannedServer, resolved: m.ResolvedSource) -> m.PlannedServer:
        """The server that has built. One that is lost in the midst is given up, and its slot given back.

        Another one takes over, or the same once it is back. Raises ActivityError, ApplicationError and
        CancelledError.
        """
        shown, reason = planned, ""
        while True:
            builder = await self._slot(shown)
            instead = taken_over_message(shown.name, builder.name, reason) if self._lost else ""
            try:
                await self._build_on(builder, resolved, instead)
            except ActivityError as error:
                await self._give_up(builder, error)
                shown, reason = builder, failure_of(error).message
            else:
                self._slots.release()
                return builder

    async def _slot(self, shown: m.PlannedServer) -> m.PlannedServer:
        wish = self._slots.wish(self._steps, self._steps.plan.builders, shown, self._lost)
        return await self._slots.lease(wish)

    async def _build_on(self, builder: m.PlannedServer, resolved: m.ResolvedSource, instead: str) -> None:
        limit = self._steps.plan.build_limit
        if not resolved.image_present and builder.id not in self._lost:
            discard = self._steps.input_of(m.DiscardImage, image=resolved.image)
            self._steps.push_undo(StepName.BUILD, s.DISCARD_IMAGE, discard, [builder])
        self._steps.expect(builder)
        build = self._steps.input_of(
            m.BuildImage,
            commit=resolved.commit,
            image=resolved.image,
            force=self._command.force,
            limit=limit,
            instead=instead,
        )
        await self._steps.run(StepName.BUILD, s.BUILD_IMAGE, build, within(limit), [builder])

    async def _give_up(self, builder: m.PlannedServer, error: ActivityError) -> None:
        """Raises the error where nobody takes the build over."""
        lost = [*self._lost, builder.id]
        builders = [one.id for one in self._steps.plan.builders]
        if not is_taken_over(failure_of(error).code, lost, builders) or not workflow.patched(LOST_BUILDER):
            raise error
        self._lost = lost
        self._steps.give_up(builder)
        # The same server may be asked next, and must have heard of the end of this build before.
        self._slots.release()
        await self._slots.settle()
