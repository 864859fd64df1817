"""The image of a release: found or built, pushed, and brought to every server."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import StepName
    from domain.image_distribution import sending_server
    from workflows import names
    from workflows.build_servers import BuildServers
    from workflows.build_slots import DeploymentSlots
    from workflows.failures import Failure, failure_of
    from workflows.left_out import LeftOutServers
    from workflows.policies import RESOLVE, within
    from workflows.release import InputFor, ReleaseSteps


class ReleaseImage:
    """Steps of a deployment: resolve source, build, push, and distribute.

    Each undo is pushed before what it takes back.
    """

    def __init__(
        self, command: m.Command, steps: ReleaseSteps, slots: DeploymentSlots, left_out: LeftOutServers
    ) -> None:
        self._command = command
        self._steps = steps
        self._slots = slots
        self._left_out = left_out

    @property
    def _plan(self) -> m.ReleasePlan:
        return self._steps.plan

    async def prepare(self) -> None:
        """All servers of the plan have it afterwards.

        Raises ActivityError, ApplicationError and CancelledError.
        """
        if self._plan.build_on is not None:
            await self._build_for_all(self._plan.build_on)
            return
        everywhere = await self._steps.run(
            StepName.RESOLVE_SOURCE,
            s.RESOLVE_SOURCE,
            self._steps.input_of(m.ResolveSource, command=self._command),
            RESOLVE,
        )
        resolved = everywhere[0]
        self._show_reference(resolved)
        if not all(answer.image_present for answer in everywhere):
            self._steps.push_undo(
                StepName.BUILD, s.DISCARD_IMAGE, self._steps.input_of(m.DiscardImage, image=resolved.image)
            )
        build = self._steps.input_of(
            m.BuildImage,
            commit=resolved.commit,
            image=resolved.image,
            force=self._command.force,
            limit=self._plan.build_limit,
        )
        if any(self._needs_slot(answer) for answer in everywhere):
            planned = zip(self._plan.servers, everywhere, strict=True)
            builds = [self._build_in_turn(build, *where) for where in planned]
            await self._steps.together(StepName.BUILD, builds)
            self._slots.release()  # of those that failed and are left out, too
        else:
            await self._steps.run(StepName.BUILD, s.BUILD_IMAGE, build, within(self._plan.build_limit))
        await self._push(resolved.image, self._plan.servers[0])

    def _needs_slot(self, resolved: m.ResolvedSource) -> bool:
        """Whether there is something to build; an image that is there or only pulled needs no slot."""
        return self._plan.needs_build_slot and bool(resolved.commit) and not resolved.image_present

    async def _build_in_turn(
        self, build: InputFor[m.BuildImage], server: m.PlannedServer, resolved: m.ResolvedSource
    ) -> None:
        """Builds in a slot, which is asked for while the build is prepared: mostly there is one."""
        policy, run = within(self._plan.build_limit), self._steps.run
        if not self._needs_slot(resolved):
            await run(StepName.BUILD, s.BUILD_IMAGE, build, policy, [server])
            return
        wish = self._slots.wish(self._steps, [server], server)
        asking = self._slots.asking(build, wish)
        [outcome] = await run(StepName.BUILD, s.BUILD_IMAGE, asking, policy, [server])
        if outcome.waits:
            await self._slots.lease(wish, outcome.lease)
            await run(StepName.BUILD, s.BUILD_IMAGE, build, policy, [server])
        self._slots.release([server.id])

    async def _build_for_all(self, builder: m.PlannedServer) -> None:
        """One server builds, unless another one has the image; all others get it from there."""
        servers = self._plan.servers
        resolve = self._steps.input_of(
            m.ResolveSource,
            command=self._command,
            look_on=tuple(server.id for server in servers),
            passes_over=bool(self._plan.required),
        )
        first = builder if builder in servers else servers[0]
        [resolved] = await self._steps.run(
            StepName.RESOLVE_SOURCE, s.RESOLVE_SOURCE, resolve, RESOLVE, [first]
        )
        self._show_reference(resolved)
        await self._leave_out_unreached(resolved)
        while True:
            builder = self._plan.servers[0] if self._left_out.has(builder.id) else builder
            try:
                builder, sender = await self._build_once(builder, resolved)
                break
            except ActivityError as error:
                if builder not in self._plan.servers or not self._steps.may_leave_out(StepName.BUILD, error):
                    raise
                self._slots.release([builder.id])
                # Another server takes the build over, so it is the next step that shows what happened here.
                await self._steps.leave_out(StepName.DISTRIBUTE, builder, failure_of(error))
        await self._push(resolved.image, sender)
        limit = self._plan.build_limit
        if not resolved.image_present:
            others = [server for server in self._plan.servers if server != builder]
            discard = self._steps.input_of(m.DiscardImage, image=resolved.image)
            self._steps.push_undo(StepName.DISTRIBUTE, s.DISCARD_IMAGE, discard, others)
        distribute = self._steps.input_of(m.DistributeImage, source=sender, image=resolved.image, limit=limit)
        await self._steps.run(StepName.DISTRIBUTE, s.DISTRIBUTE_IMAGE, distribute, within(limit))

    async def _leave_out_unreached(self, resolved: m.ResolvedSource) -> None:
        """Servers that could not even be asked for the image. Raises ApplicationError for too many."""
        failures = {one.server_id: Failure(one.code, one.message) for one in resolved.unreached}
        lost = [server for server in self._plan.servers if server.id in failures]
        for server in lost:
            failure = failures[server.id]
            if len(self._plan.servers) <= self._plan.required:
                raise ApplicationError(failure.message, type=failure.code, non_retryable=True)
            await self._steps.leave_out(StepName.DISTRIBUTE, server, failure)

    async def _build_once(
        self, builder: m.PlannedServer, resolved: m.ResolvedSource
    ) -> tuple[m.PlannedServer, m.PlannedServer]:
        """The server that has built, and the one that has the image afterwards and gives it to the others."""
        servers = self._plan.servers
        builds = self._needs_slot(resolved) and not self._has_image(resolved)
        if builds and self._plan.builders:
            builds_on = BuildServers(self._command, self._steps, self._slots)
            builder = await builds_on.build(builder, resolved)
            return builder, builder
        sender_id = sending_server(builder.id, self._has_image(resolved))
        sender = next((server for server in servers if server.id == sender_id), builder)
        if self._plan.builders and not builds:
            # Where nothing is built, a build server need not even answer.
            builder = builder.model_copy(update={"id": sender.id})
        discard = self._steps.input_of(m.DiscardImage, image=resolved.image)
        limit = self._plan.build_limit
        if not resolved.image_present:
            self._steps.push_undo(StepName.BUILD, s.DISCARD_IMAGE, discard, [builder])
        build = self._steps.input_of(
            m.BuildImage,
            commit=resolved.commit,
            image=resolved.image,
            force=self._command.force,
            limit=limit,
            sent_by="" if sender == builder else sender.name,
        )
        if builds:
            await self._build_in_turn(build, builder, resolved)
        else:
            await self._steps.run(StepName.BUILD, s.BUILD_IMAGE, build, within(limit), [builder])
            self._slots.release()
        return builder, sender

    def _has_image(self, resolved: m.ResolvedSource) -> list[str]:
        return [server_id for server_id in resolved.present_on if not self._left_out.has(server_id)]

    async def _push(self, image: str, source: m.PlannedServer) -> None:
        """To the registry that the application names, by the server that has the image."""
        servers = self._plan.on(StepName.PUSH)
        if not servers:
            return
        limit = self._plan.build_limit
        push = self._steps.input_of(m.PushImage, source=source, image=image, limit=limit)
        self._steps.push_undo(StepName.PUSH, s.WITHDRAW_IMAGE, push, servers, of_servers=False)
        await self._steps.run(StepName.PUSH, s.PUSH_IMAGE, push, within(limit), servers)

    def _show_reference(self, resolved: m.ResolvedSource) -> None:
        reference = resolved.reference[: names.LONGEST_KEYWORD]
        workflow.upsert_search_attributes([names.GIT_REFERENCE.value_set(reference)])
