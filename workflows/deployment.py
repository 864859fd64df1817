"""One operation on an application, from the request to its one final state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities import signatures as s
    from domain.deployments import DeploymentStatus, OperationKind, StepName
    from workflows import names
    from workflows.build_slots import DeploymentSlots
    from workflows.calls import call
    from workflows.compensation import Compensations, all_or_nothing, to_the_end
    from workflows.failures import Failure, failure_of, told_at_the_end
    from workflows.left_out import LeftOutServers
    from workflows.policies import RECORD, SHORT, UNDO, within
    from workflows.progress import ProgressTracker
    from workflows.release import InputFor, ReleaseSteps
    from workflows.release_image import ReleaseImage


UNDO_BY_SERVER = "undo-by-server"
"""Workflows from before go on as they began (Temporal's patching)."""


@workflow.defn(name=names.DEPLOYMENT_WORKFLOW)
class DeploymentWorkflow:
    """Releases an application, or stops what runs of it.

    Steps: resolve source, build, push, send the image to the other servers, pre-deploy command, release
    command, start, health, switch, edge, post-deploy command, drain, stop old, publish, clean up. Failure or
    cancellation of any step before "stop old" undoes all that was done, newest first, and the old
    version serves throughout; from there on the operation only goes forward. Where the plan requires fewer
    servers than all, what fails on one is undone there, and the release goes on without that server. Query:
    `progress`. Signal: `build-slot-granted`, when the slot that the build waits for is free.
    """

    @workflow.init
    def __init__(self, command: m.Command) -> None:
        self._command = command
        self._tracker = ProgressTracker()
        self._compensations = Compensations()
        self._left_out = LeftOutServers(command.deployment_id, self._tracker, self._compensations)
        self._steps = ReleaseSteps(command, self._tracker, self._left_out, self._compensations)
        self._slots = DeploymentSlots(command)

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
        self._steps.plan = plan
        if self._plan.serve is not None:
            await ReleaseImage(self._command, self._steps, self._slots, self._left_out).prepare()
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

    async def _run_commands_before(self) -> None:
        limit = self._plan.command_limit
        command = self._steps.input_of(m.RunCommand, served=self._plan.served, limit=limit)
        if servers := self._plan.on(StepName.PRE_DEPLOY):
            await self._steps.run(StepName.PRE_DEPLOY, s.RUN_PRE_DEPLOY, command, within(limit), servers)
        if servers := self._plan.on(StepName.RELEASE_COMMAND):
            self._steps.push_undo(StepName.RELEASE_COMMAND, s.REMOVE_RELEASE_COMMAND, command, servers)
            await self._steps.run(
                StepName.RELEASE_COMMAND, s.RUN_RELEASE_COMMAND, command, within(limit), servers
            )

    async def _pause_old(self, served: m.Served) -> None:
        pause = self._steps.input_of(m.PauseReplicas, served=served)
        self._steps.push_undo(StepName.STOP_OLD, s.RESUME_REPLICAS, pause)
        await self._steps.run(StepName.STOP_OLD, s.PAUSE_REPLICAS, pause, within(self._plan.stop_grace))

    async def _start_new(self, serve: m.Served) -> None:
        limit = self._plan.health_limit
        start = self._start_from(self._steps.input_of(m.StartReplicas, serve=serve, limit=limit))
        remove_new = self._steps.input_of(m.RetireReplicas, keep=self._plan.served)
        self._steps.push_undo(StepName.START, s.RETIRE_REPLICAS, remove_new)
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

        self._compensations.push(self._switch_back, back_on, [one.id for one in concerned])
        switch = self._steps.input_of(
            m.ApplyRoutes, serve=self._plan.serve, lets_edge_in=self._plan.lets_edge_in
        )
        await self._steps.run(StepName.SWITCH, s.APPLY_ROUTES, switch, SHORT)
        if self._plan.edge is not None:
            await self._spread_at(self._plan.edge)

    async def _switch_back(self, servers: Sequence[m.PlannedServer] | None = None) -> None:
        back = self._steps.input_of(
            m.ApplyRoutes, serve=self._plan.served, lets_edge_in=self._plan.let_edge_in_before
        )
        await self._steps.undo(StepName.SWITCH, s.APPLY_ROUTES, back, servers)
        if self._plan.serve is not None and self._plan.drain_undone:
            # Visitors may be in the midst of an answer from the new version, which is removed next.
            deadline = workflow.now() + self._plan.drain
            drain = self._steps.input_of(m.DrainReplicas, keep=self._plan.served, deadline=deadline)
            await self._steps.undo(StepName.SWITCH, s.DRAIN_REPLICAS, drain, servers)

    async def _spread_at(self, edge: m.PlannedServer) -> None:
        """Visitors of the edge reach all servers, which have switched by now; undone before these are."""
        before = self._steps.input_of(m.ApplyEdge, serve=self._plan.served)
        self._steps.push_undo(StepName.EDGE, s.APPLY_EDGE, before, [edge], of_servers=False)
        spread = self._steps.input_of(m.ApplyEdge, serve=self._plan.serve)
        await self._steps.run(StepName.EDGE, s.APPLY_EDGE, spread, SHORT, [edge])

    async def _run_post_deploy(self) -> None:
        limit = self._plan.command_limit
        command = self._steps.input_of(m.RunCommand, served=self._plan.serve, limit=limit)
        servers = self._plan.on(StepName.POST_DEPLOY)
        await self._steps.run(StepName.POST_DEPLOY, s.RUN_POST_DEPLOY, command, within(limit), servers)

    async def _drain(self) -> None:
        deadline = workflow.now() + self._plan.drain
        drain = self._steps.input_of(m.DrainReplicas, keep=self._plan.serve, deadline=deadline)
        await self._steps.run(StepName.DRAIN, s.DRAIN_REPLICAS, drain, within(self._plan.drain))

    async def _retire_and_finish(self) -> None:
        self._tracker.cancellable = False
        self._compensations.forget()
        recorded = m.RecordRelease(command=self._command, serve=self._plan.serve)
        await call(s.RECORD_RELEASE, recorded, RECORD)
        if self._plan.left_edge is not None:
            withdraw = self._steps.input_of(m.ApplyEdge, serve=None)
            left_edge = [self._plan.left_edge]
            self._give_up_away(left_edge)
            await self._steps.run_where_possible(StepName.EDGE, s.APPLY_EDGE, withdraw, UNDO, left_edge)
        retire = self._steps.input_of(m.RetireReplicas, keep=self._plan.serve)
        # Where the old version had to stop first, its containers are left to be cleaned up.
        retiring = StepName.CLEAN_UP if self._plan.stop_first else StepName.STOP_OLD
        await self._steps.run_where_possible(retiring, s.RETIRE_REPLICAS, retire, UNDO)
        if self._plan.left:
            await self._leave(retiring, self._plan.left)
        if servers := self._plan.on(StepName.PUBLISH):
            publish = self._steps.input_of(m.PublishImage)
            await self._steps.run_where_possible(StepName.PUBLISH, s.PUBLISH_IMAGE, publish, UNDO, servers)
        deletes = self._command.kind is OperationKind.DELETE
        clean_up = self._steps.input_of(
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
        self._give_up_away(servers)
        withdraw = self._steps.input_of(m.ApplyRoutes, serve=None)
        await self._steps.run_where_possible(retiring, s.APPLY_ROUTES, withdraw, UNDO, servers)
        drain = self._steps.input_of(m.DrainReplicas, keep=None, deadline=workflow.now() + self._plan.drain)
        await self._steps.run_where_possible(retiring, s.DRAIN_REPLICAS, drain, UNDO, servers)
        retire = self._steps.input_of(m.RetireReplicas, keep=None)
        await self._steps.run_where_possible(retiring, s.RETIRE_REPLICAS, retire, UNDO, servers)

    def _give_up_away(self, servers: Sequence[m.PlannedServer]) -> None:
        """Of what was out of reach before, each step is tried once."""
        for server in servers:
            if server.id in self._plan.away:
                self._steps.give_up(server)

    async def _give_up(self, failure: Failure, *, cancelled: bool) -> None:
        self._tracker.cancellable = False
        self._slots.release()
        if workflow.patched(UNDO_BY_SERVER):
            await self._compensations.unwind(self._left_out.has, self._is_new)
            await self._left_out.settle()
        else:
            await self._left_out.settle()
            await self._compensations.unwind_together()
        status = DeploymentStatus.CANCELLED if cancelled else DeploymentStatus.FAILED
        end = told_at_the_end(
            failure,
            has_served=self._plan.served is not None,
            had_to_stop=self._plan.stop_first,
            lost=self._steps.lost,
        )
        await self._finish(status, end)

    def _is_new(self, server_id: str) -> bool:
        """Whether nothing serves there once all is undone, so that no edge may lead there any more."""
        return self._plan.served is None or self._plan.served.on(server_id) is None

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
