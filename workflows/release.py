"""The steps of one release as calls of activities, each recorded in the progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from workflows.calls import call
from workflows.compensation import Compensations, all_or_nothing, as_many_as_possible
from workflows.left_out import LeftOutServers
from workflows.policies import UNDO, Policy

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from activities.signatures import Input, Output, Signature
    from domain.deployments import StepName, StepStatus
    from domain.release_policies import CANNOT_WRITE, MAY_BE_LEFT_OUT, goes_on
    from domain.server_systems import lets_us_in
    from workflows.failures import Failure, failure_of
    from workflows.progress import ProgressTracker

CANCELLED = "Cancelled."
Result = TypeVar("Result")
StepMessage = TypeVar("StepMessage", bound=m.StepInput)
InputFor = Callable[[m.StepReference, str], Input]
"""Builds an activity's input for a step on the server with this id."""


class ReleaseSteps:
    """Runs a step on every server of the plan: all of them succeed, or the step has failed.

    Where the plan requires fewer than all, it goes on without those that fail, and `plan` has them no more.
    """

    def __init__(
        self,
        command: m.Command,
        tracker: ProgressTracker,
        left_out: LeftOutServers,
        compensations: Compensations,
    ) -> None:
        """Without servers, until `plan` is set."""
        self.plan = m.ReleasePlan(servers=())
        self._command = command
        self._tracker = tracker
        self._left_out = left_out
        self._compensations = compensations
        self._given_up: set[str] = set()
        self._kept: set[str] = set()
        """Servers whose visitors stay with the new version, because nothing else can be written there."""

    def input_of(self, kind: type[StepMessage], **fields: object) -> InputFor[StepMessage]:
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

    async def run(
        self,
        name: StepName,
        signature: Signature[Input, Output],
        make: InputFor[Input],
        policy: Policy,
        servers: Sequence[m.PlannedServer] | None = None,
    ) -> list[Output]:
        """One step, forward. Raises what the activity raised, and CancelledError once cancelled.

        `servers` are those that it runs on, where these are not all of the plan's; none of them may fail.
        """
        if servers is None:
            works = [self._forward(name, one, signature, make, policy) for one in self.plan.servers]
            return await self.together(name, works)
        return await all_or_nothing(
            [self._forward(name, server, signature, make, policy) for server in servers]
        )

    async def together(self, name: StepName, works: list[Coroutine[Any, Any, Result]]) -> list[Result]:
        """One piece of work for each of the plan's servers; the results of those that go on."""
        servers = self.plan.servers
        if not self.plan.required:
            return await all_or_nothing(works)
        results = await as_many_as_possible(works, lambda failures: self._goes_on(name, failures))
        succeeded = []
        for server, result in zip(servers, results, strict=True):
            if not isinstance(result, BaseException):
                succeeded.append(result)
            elif name in MAY_BE_LEFT_OUT:  # one that is lost later has switched, and keeps what it has
                await self.leave_out(name, server, failure_of(result))
        return succeeded

    def may_leave_out(self, name: StepName, error: BaseException) -> bool:
        """Whether the release may go on without a server on which this step failed so."""
        return bool(self.plan.required) and self._goes_on(name, [error])

    def _goes_on(self, name: StepName, failures: Sequence[BaseException]) -> bool:
        if any(is_cancelled_exception(one) for one in failures):
            return False
        if not all(isinstance(one, ActivityError | ApplicationError) for one in failures):
            return False
        codes = [failure_of(one).code for one in failures]
        return goes_on(name, codes, len(self.plan.servers), self.plan.required)

    async def leave_out(self, name: StepName, server: m.PlannedServer, failure: Failure) -> None:
        """Goes on without this server, which failed in this step and keeps what it had."""
        self.plan = self._left_out.out_of(self.plan, server, name, failure)
        self._show_all()
        await self._left_out.record(server, self.plan, name)

    async def run_where_possible(
        self,
        name: StepName,
        signature: Signature[Input, Output],
        make: InputFor[Input],
        policy: Policy,
        servers: Sequence[m.PlannedServer] | None = None,
    ) -> None:
        """One step, past the point of no return: a lost server is passed over."""
        chosen = self.plan.servers if servers is None else servers
        await all_or_nothing(
            [self._forward_if_possible(name, one, signature, make, policy) for one in chosen]
        )

    async def undo(
        self,
        name: StepName,
        signature: Signature[Input, Output],
        make: InputFor[Input],
        servers: Sequence[m.PlannedServer] | None = None,
    ) -> None:
        """Takes one step back on the servers that it ran on, trying until it works or the server is lost."""
        chosen = self.plan.servers if servers is None else servers
        works: list[Coroutine[Any, Any, None]] = [
            self._back(name, server, signature, make) for server in chosen
        ]
        await all_or_nothing(works)

    def push_undo(
        self,
        name: StepName,
        signature: Signature[Input, Output],
        make: InputFor[Input],
        servers: Sequence[m.PlannedServer] | None = None,
        *,
        of_servers: bool = True,
    ) -> None:
        """Pushes an undo on these servers or all; without `of_servers` it is of the release as a whole."""
        concerned = self.plan.servers if servers is None else servers

        async def undo() -> None:
            staying = [one for one in concerned if not (of_servers and self._left_out.has(one.id))]
            await self.undo(name, signature, make, staying)

        async def undo_on(server_id: str) -> None:
            await self.undo(name, signature, make, [one for one in concerned if one.id == server_id])

        self._compensations.push(undo, undo_on if of_servers else None, [one.id for one in concerned])

    @property
    def lost(self) -> tuple[str, ...]:
        """The names of the servers that were given up; an undo may be missing there."""
        return tuple(one.name for one in self.plan.servers if one.id in self._given_up)

    def give_up(self, server: m.PlannedServer) -> None:
        """The server was waited for long enough; what is undone there is tried once."""
        self._given_up.add(server.id)

    def expect(self, server: m.PlannedServer) -> None:
        """The opposite of `give_up`: the server is used again."""
        self._given_up.discard(server.id)

    def show(self, name: StepName, server: m.PlannedServer, status: StepStatus, message: str = "") -> None:
        """Sets a step's status where something else than an activity of the step decides it."""
        self._move(name, server, status, message)

    def place(self, name: StepName, planned: m.PlannedServer, server: m.PlannedServer) -> None:
        """The step runs on another server than was planned."""
        self._tracker.place(name, planned.name, server.name)

    async def _forward(
        self,
        name: StepName,
        server: m.PlannedServer,
        signature: Signature[Input, Output],
        make: InputFor[Input],
        policy: Policy,
        *,
        is_lost: bool = False,
    ) -> Output:
        self._move(name, server, StepStatus.RUNNING)
        reference = m.StepReference(
            deployment_id=self._command.deployment_id, name=name, server=server.name, is_lost=is_lost
        )
        try:
            answer = await call(
                signature, make(reference, server.id), policy, f"{name.replace('_', ' ')} on {server.name}"
            )
        except ActivityError as error:
            message = CANCELLED if is_cancelled_exception(error) else failure_of(error).message
            self._move(name, server, StepStatus.FAILED, message)
            raise
        except asyncio.CancelledError:
            self._move(name, server, StepStatus.FAILED, CANCELLED)
            raise
        skipped = isinstance(answer, m.StepOutcome) and answer.skipped
        message = answer.message if isinstance(answer, m.StepOutcome) else ""
        waits = isinstance(answer, m.StepOutcome) and answer.waits
        ended = StepStatus.SKIPPED if skipped else StepStatus.SUCCEEDED
        self._move(name, server, StepStatus.RUNNING if waits else ended, message)
        return answer

    async def _back(
        self,
        name: StepName,
        server: m.PlannedServer,
        signature: Signature[Input, Output],
        make: InputFor[Input],
    ) -> None:
        if server.id in self._kept:
            return
        reference = m.StepReference(
            deployment_id=self._command.deployment_id,
            name=name,
            server=server.name,
            undo=True,
            is_lost=server.id in self._given_up or self._left_out.is_lost(server.id),
        )
        summary = f"undo {name.replace('_', ' ')} on {server.name}"
        try:
            await call(signature, make(reference, server.id), UNDO, summary)
        except ActivityError as error:
            self._pass_over(name, server, error)
            return
        if self._tracker.has(name, server.name):  # another server may have taken the step over
            self._move(name, server, StepStatus.COMPENSATED)

    async def _forward_if_possible(
        self,
        name: StepName,
        server: m.PlannedServer,
        signature: Signature[Input, Output],
        make: InputFor[Input],
        policy: Policy,
    ) -> None:
        try:
            await self._forward(name, server, signature, make, policy, is_lost=server.id in self._given_up)
        except ActivityError as error:
            self._pass_over(name, server, error)

    def _pass_over(self, name: StepName, server: m.PlannedServer, error: ActivityError) -> None:
        """A server that lets nobody in must not hold up the others for ever. Raises what is no such thing."""
        failure = failure_of(error)
        if lets_us_in(failure.code) and failure.code not in CANNOT_WRITE:
            raise error
        if failure.code in CANNOT_WRITE and name is StepName.SWITCH:
            self._kept.add(server.id)
        self._given_up.add(server.id)  # it was waited for; what follows there need not do so, each anew
        if self._tracker.has(name, server.name):
            self._move(name, server, StepStatus.FAILED, failure.message)

    def _move(self, name: StepName, server: m.PlannedServer, status: StepStatus, message: str = "") -> None:
        self._tracker.move(name, server.name, status, workflow.now(), message)
        self._show_all()

    def _show_all(self) -> None:
        workflow.set_current_details(self._tracker.markdown())
