"""One operation on an application, from the request to its one final state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import DeploymentStatus, OperationKind, StepName
    from domain.image_distribution import sending_server
    from workflows import names
    from workflows.build_slots import DeploymentSlots
    from workflows.calls import call
    from workflows.compensation import Compensations, all_or_nothing, to_the_end
    from workflows.failures import Failure, failure_of
    from workflows.left_out import LeftOutServers
    from workflows.policies import RECORD, RESOLVE, SHORT, UNDO, within
    from workflows.progress import ProgressTracker
    from workflows.release import InputFor, ReleaseSteps

StepMessage = TypeVar("StepMessage", bound=m.StepInput)


@workflow.defn(name=names.DEPLOYMENT_WORKFLOW)
class DeploymentWorkflow:
    """Releases an application, or stops what runs of it.

    Steps: resolve source, build, send the image to the other servers, pre-deploy command, release
    command, start, health, switch, edge, post-deploy command, drain, stop old, clean up. Failure or
    cancellation of any step before "stop old" undoes all that was done, newest first, and the old
    version serves throughout; from there on the operation only goes forward. Where the plan requires fewer
    servers than all, what fails on one is undone there, and the release goes on without that server. Query:
    `progress`.
    """

    @workflow.init
    def __init__(self, command: m.Command) -> None:
        self._command = command
        self._tracker = ProgressTracker()
        self._compensations = Compensations()
        self._left_out = LeftOutServers(command.deployment_id, self._tracker, self._compensations)
        self._steps = self._steps_of(m.ReleasePlan(servers=()))
        self._slots = DeploymentSlots(command)

    def _steps_of(self, plan: m.ReleasePlan) -> ReleaseSteps:
        return ReleaseSteps(self._command.deployment_id, plan, self._tracker, self._left_out)

    @property
    def _plan(self) -> m.ReleasePlan:
        """As it is now: a server that was left out is not in it any more."""
        return self._steps.plan

    @workflow.signal(name=names.BUILD_SLOT_GRANTED_SIGNAL, description="The slot that was waited for")
    def build_slot_granted(self, grant: m.BuildSlotGrant) -> None:
        """The build begins."""
        self._slots.grant(grant.server_id)

    @workflow.query(name=names.PROGRESS_QUERY, description="Every step with its status")
    def progress(self) -> m.Progress:
        """Where this deployment stands."""
        return m.Progress(
            deployment_id=self._command.deployment_id,
            status=self._tracker.status,
            steps=self._tracker.steps,
            cancellable=self._tracker.cancellable,
        )

    @workflow.run
    async def run(self, command: m.Command) -> m.DeploymentResult:
        """Raises ApplicationError with the failure's code, or CancelledError, once all is undone."""
        try:
            await self._release()
        except (ActivityError, ApplicationError, asyncio.CancelledError) as error:
            cancelled = workflow.cancellation_reason() is not None and is_cancelled_exception(error)
            if isinstance(error, asyncio.CancelledError) and not cancelled:
                raise  # The worker evicts this workflow; it goes on from its history.
            await to_the_end(self._give_up(failure_of(error), cancelled=cancelled))
            if cancelled:
                raise
            failure = failure_of(error)
            raise ApplicationError(failure.message, type=failure.code, non_retryable=True) from error
        return m.DeploymentResult(deployment_id=command.deployment_id, status=self._tracker.status)

    async def _release(self) -> None:
        # By itself, a call that ends well in spite of a cancellation would hide that cancellation.
        begin = call(s.BEGIN_DEPLOYMENT, m.BeginDeployment(command=self._command), SHORT)
        [plan] = await all_or_nothing([begin])
        self._tracker.plan(plan.steps)
        self._steps = self._steps_of(plan)
        if self._plan.serve is not None:
            await self._prepare_image()
            await self._run_commands_before()
            if self._plan.stop_first and self._plan.served is not None:
                await self._pause_old(self._plan.served)
            await self._start_new(self._plan.serve)
        await self._switch()
        if self._plan.has(StepName.POST_DEPLOY):
            await self._run_post_deploy()
        if self._plan.has(StepName.DRAIN):
            await self._drain()
        await to_the_end(self._retire_and_finish())

    async def _prepare_image(self) -> None:
        if self._plan.build_on is not None:
            await self._prepare_image_once(self._plan.build_on)
            return
        everywhere = await self._steps.run(
            StepName.RESOLVE_SOURCE,
            s.RESOLVE_SOURCE,
            self._for(m.ResolveSource, command=self._command),
            RESOLVE,
        )
        resolved = everywhere[0]
        self._show_reference(resolved)
        if not all(answer.image_present for answer in everywhere):
            self._undo(StepName.BUILD, s.DISCARD_IMAGE, self._for(m.DiscardImage, image=resolved.image))
        build = self._for(
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

    async def _prepare_image_once(self, builder: m.PlannedServer) -> None:
        """One server builds, unless another one has the image; all others get it from there."""
        servers = self._plan.servers
        resolve = self._for(
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
            discard = self._for(m.DiscardImage, image=resolved.image)
            self._undo(StepName.DISTRIBUTE, s.DISCARD_IMAGE, discard, others)
        distribute = self._for(m.DistributeImage, source=sender, image=resolved.image, limit=limit)
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
            wish = self._slots.wish(self._steps, self._plan.builders, builder)
            builder = await self._slots.lease(wish)
        sender_id = sending_server(builder.id, self._has_image(resolved))
        sender = next((server for server in servers if server.id == sender_id), builder)
        if self._plan.builders and not builds:
            # Where nothing is built, a build server need not even answer.
            builder = builder.model_copy(update={"id": sender.id})
        discard = self._for(m.DiscardImage, image=resolved.image)
        limit = self._plan.build_limit
        if not resolved.image_present:
            self._undo(StepName.BUILD, s.DISCARD_IMAGE, discard, [builder])
        build = self._for(
            m.BuildImage,
            commit=resolved.commit,
            image=resolved.image,
            force=self._command.force,
            limit=limit,
            sent_by="" if sender == builder else sender.name,
        )
        if builds and not self._plan.builders:
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
        push = self._for(m.PushImage, source=source, image=image, limit=limit)
        self._undo(StepName.PUSH, s.WITHDRAW_IMAGE, push, servers, of_servers=False)
        await self._steps.run(StepName.PUSH, s.PUSH_IMAGE, push, within(limit), servers)

    def _show_reference(self, resolved: m.ResolvedSource) -> None:
        reference = resolved.reference[: names.LONGEST_KEYWORD]
        workflow.upsert_search_attributes([names.GIT_REFERENCE.value_set(reference)])

    async def _run_commands_before(self) -> None:
        limit = self._plan.command_limit
        command = self._for(m.RunCommand, served=self._plan.served, limit=limit)
        if servers := self._plan.on(StepName.PRE_DEPLOY):
            await self._steps.run(StepName.PRE_DEPLOY, s.RUN_PRE_DEPLOY, command, within(limit), servers)
        if servers := self._plan.on(StepName.RELEASE_COMMAND):
            self._undo(StepName.RELEASE_COMMAND, s.REMOVE_RELEASE_COMMAND, command, servers)
            await self._steps.run(
                StepName.RELEASE_COMMAND, s.RUN_RELEASE_COMMAND, command, within(limit), servers
            )

    async def _pause_old(self, served: m.Served) -> None:
        pause = self._for(m.PauseReplicas, served=served)
        self._undo(StepName.STOP_OLD, s.RESUME_REPLICAS, pause)
        await self._steps.run(StepName.STOP_OLD, s.PAUSE_REPLICAS, pause, within(self._plan.stop_grace))

    async def _start_new(self, serve: m.Served) -> None:
        limit = self._plan.health_limit
        start = self._start_from(self._for(m.StartReplicas, serve=serve, limit=limit))
        remove_new = self._for(m.RetireReplicas, keep=self._plan.served)
        self._undo(StepName.START, s.RETIRE_REPLICAS, remove_new)
        await self._steps.run(StepName.START, s.START_REPLICAS, start, SHORT)
        await self._steps.run(StepName.HEALTH, s.CHECK_HEALTH, start, within(limit))

    def _start_from(self, start: InputFor[m.StartReplicas]) -> InputFor[m.StartReplicas]:
        """More replicas of what serves; all of them where something else does."""
        served, first = self._plan.served, self._plan.start_from

        def make(step: m.StepReference, server_id: str) -> m.StartReplicas:
            has_some = served is None or served.is_on(server_id)
            return start(step, server_id).model_copy(update={"first": first if has_some else 1})

        return make

    async def _switch(self) -> None:
        concerned = self._plan.servers

        async def back_on(server_id: str) -> None:
            await self._switch_back([server for server in concerned if server.id == server_id])

        self._compensations.push(self._switch_back, back_on)
        switch = self._for(m.ApplyRoutes, serve=self._plan.serve, lets_edge_in=self._plan.lets_edge_in)
        await self._steps.run(StepName.SWITCH, s.APPLY_ROUTES, switch, SHORT)
        if self._plan.edge is not None:
            await self._spread_at(self._plan.edge)

    async def _switch_back(self, servers: Sequence[m.PlannedServer] | None = None) -> None:
        back = self._for(m.ApplyRoutes, serve=self._plan.served, lets_edge_in=self._plan.lets_edge_in)
        await self._steps.undo(StepName.SWITCH, s.APPLY_ROUTES, back, servers)
        if self._plan.serve is not None and self._plan.drain_undone:
            # Visitors may be in the midst of an answer from the new version, which is removed next.
            deadline = workflow.now() + self._plan.drain
            drain = self._for(m.DrainReplicas, keep=self._plan.served, deadline=deadline)
            await self._steps.undo(StepName.SWITCH, s.DRAIN_REPLICAS, drain, servers)

    async def _spread_at(self, edge: m.PlannedServer) -> None:
        """Visitors of the edge reach all servers, which have switched by now; undone before these are."""
        before = self._for(m.ApplyEdge, serve=self._plan.served)
        self._undo(StepName.EDGE, s.APPLY_EDGE, before, [edge], of_servers=False)
        spread = self._for(m.ApplyEdge, serve=self._plan.serve)
        await self._steps.run(StepName.EDGE, s.APPLY_EDGE, spread, SHORT, [edge])

    async def _run_post_deploy(self) -> None:
        limit = self._plan.command_limit
        command = self._for(m.RunCommand, served=self._plan.serve, limit=limit)
        servers = self._plan.on(StepName.POST_DEPLOY)
        await self._steps.run(StepName.POST_DEPLOY, s.RUN_POST_DEPLOY, command, within(limit), servers)

    async def _drain(self) -> None:
        deadline = workflow.now() + self._plan.drain
        drain = self._for(m.DrainReplicas, keep=self._plan.serve, deadline=deadline)
        await self._steps.run(StepName.DRAIN, s.DRAIN_REPLICAS, drain, within(self._plan.drain))

    async def _retire_and_finish(self) -> None:
        self._tracker.cancellable = False
        self._compensations.forget()
        recorded = m.RecordRelease(command=self._command, serve=self._plan.serve)
        await call(s.RECORD_RELEASE, recorded, RECORD)
        if self._plan.left_edge is not None:
            withdraw = self._for(m.ApplyEdge, serve=None)
            left_edge = [self._plan.left_edge]
            await self._steps.run_where_possible(StepName.EDGE, s.APPLY_EDGE, withdraw, UNDO, left_edge)
        retire = self._for(m.RetireReplicas, keep=self._plan.serve)
        # Where the old version had to stop first, its containers are left to be cleaned up.
        retiring = StepName.CLEAN_UP if self._plan.stop_first else StepName.STOP_OLD
        await self._steps.run_where_possible(retiring, s.RETIRE_REPLICAS, retire, UNDO)
        if self._plan.left:
            await self._leave(retiring, self._plan.left)
        if servers := self._plan.on(StepName.PUBLISH):
            publish = self._for(m.PublishImage)
            await self._steps.run_where_possible(StepName.PUBLISH, s.PUBLISH_IMAGE, publish, UNDO, servers)
        deletes = self._command.kind is OperationKind.DELETE
        clean_up = self._for(
            m.CleanUp,
            keep=self._plan.serve,
            everything=deletes,
            delete_volumes=self._command.delete_volumes,
        )
        await self._steps.run_where_possible(StepName.CLEAN_UP, s.CLEAN_UP, clean_up, UNDO)
        await self._left_out.settle()
        await self._finish(DeploymentStatus.FINISHED, Failure())
        if deletes:
            forget = m.ForgetApplication(application_id=self._command.application_id)
            await call(s.FORGET_APPLICATION, forget, RECORD)

    async def _leave(self, retiring: StepName, servers: tuple[m.PlannedServer, ...]) -> None:
        """The application goes from servers that it shall not be on any more, without cutting anybody off."""
        withdraw = self._for(m.ApplyRoutes, serve=None)
        await self._steps.run_where_possible(retiring, s.APPLY_ROUTES, withdraw, UNDO, servers)
        drain = self._for(m.DrainReplicas, keep=None, deadline=workflow.now() + self._plan.drain)
        await self._steps.run_where_possible(retiring, s.DRAIN_REPLICAS, drain, UNDO, servers)
        retire = self._for(m.RetireReplicas, keep=None)
        await self._steps.run_where_possible(retiring, s.RETIRE_REPLICAS, retire, UNDO, servers)

    def _for(self, kind: type[StepMessage], **fields: object) -> InputFor[StepMessage]:
        """Builds a step's input for any server: the ids that all of them need, and these fields."""

        def make(step: m.StepReference, server_id: str) -> StepMessage:
            return kind.model_validate(
                {
                    "step": step,
                    "application_id": self._command.application_id,
                    "server_id": server_id,
                    **fields,
                }
            )

        return make

    def _undo(
        self,
        name: StepName,
        signature: s.Signature[s.Input, s.Output],
        make: InputFor[s.Input],
        servers: Sequence[m.PlannedServer] | None = None,
        *,
        of_servers: bool = True,
    ) -> None:
        """Pushes an undo on these servers or all; without `of_servers` it is of the release as a whole."""
        concerned = self._plan.servers if servers is None else servers

        async def undo() -> None:
            staying = [one for one in concerned if not (of_servers and self._left_out.has(one.id))]
            await self._steps.undo(name, signature, make, staying)

        async def undo_on(server_id: str) -> None:
            await self._steps.undo(name, signature, make, [one for one in concerned if one.id == server_id])

        self._compensations.push(undo, undo_on if of_servers else None)

    async def _give_up(self, failure: Failure, *, cancelled: bool) -> None:
        self._tracker.cancellable = False
        self._slots.release()
        await self._left_out.settle()
        await self._compensations.unwind()
        status = DeploymentStatus.CANCELLED if cancelled else DeploymentStatus.FAILED
        await self._finish(status, failure)

    async def _finish(self, status: DeploymentStatus, failure: Failure) -> None:
        self._tracker.status = status
        workflow.upsert_search_attributes([names.OUTCOME.value_set(status.value)])
        workflow.set_current_details(self._tracker.markdown())
        await call(
            s.FINISH_DEPLOYMENT,
            m.FinishDeployment(
                command=self._command,
                status=status,
                steps=self._tracker.steps,
                error_code=failure.code,
                error_message=failure.message,
                error_detail=failure.detail,
                note=self._left_out.note if status is DeploymentStatus.FINISHED else "",
            ),
            RECORD,
        )
        await self._slots.settle()
