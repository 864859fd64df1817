"""Stand-ins for all activities: the same names and messages, but they only do what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import messages as m
from activities import signatures as s
from domain.deployments import DeploymentStatus, OperationKind
from domain.server_systems import status_after
from domain.servers import ServerStatus
from tests.workflow.plans import plan_of

LIMIT_SECONDS = 20.0
RETRY_DELAY = timedelta(milliseconds=10)
BEAT_SECONDS = 0.01
STOPPING_SECONDS = 0.1
"""What an activity needs to end its work after a cancellation: longer than a hasty undo would wait."""

SIGNATURES: tuple[s.Signature[Any, Any], ...] = tuple(
    value for value in vars(s).values() if isinstance(value, s.Signature)
)
Planner = Callable[[m.Command], m.ReleasePlan]


@dataclass(frozen=True)
class Call:
    """One attempt of one activity."""

    activity: str
    message: m.Message

    @property
    def label(self) -> str:
        """The activity's name, with "undo" before it when it takes a step back."""
        step = getattr(self.message, "step", None)
        return f"undo {self.activity}" if step is not None and step.undo else self.activity

    @property
    def deployment_id(self) -> str:
        """The deployment that it works for."""
        if isinstance(self.message, m.StepInput):
            return self.message.step.deployment_id
        command = getattr(self.message, "command", None)
        return command.deployment_id if command is not None else ""

    @property
    def server(self) -> str:
        """The server that it works on, if it works on one."""
        return self.message.step.server if isinstance(self.message, m.StepInput) else ""


@dataclass
class Failing:
    """A call that raises, `times` times; None means always."""

    code: str
    message: str
    final: bool
    times: int | None

    async def act(self, timeline: Timeline, call: Call) -> None:
        """Raises while there are failures left."""
        if self.times == 0:
            return
        if self.times is not None:
            self.times -= 1
        raise ApplicationError(
            self.message, type=self.code, non_retryable=self.final, next_retry_delay=RETRY_DELAY
        )


@dataclass
class Held:
    """A call that hangs until it is released or cancelled; it takes a moment to stop.

    With `stubborn` it ends well although it was cancelled.
    """

    stubborn: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def act(self, timeline: Timeline, call: Call) -> None:
        """Hangs, with heartbeats, as a long activity does."""
        self.begun.set()
        try:
            while not self.released.is_set():
                activity.heartbeat()
                await asyncio.sleep(BEAT_SECONDS)
        except asyncio.CancelledError:
            timeline.add("cancelled", call)
            if self.stubborn:
                return
            await asyncio.sleep(STOPPING_SECONDS)
            timeline.add("stopped", call)
            raise

    async def has_begun(self) -> None:
        """Returns once the call hangs."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self.begun.wait()

    def release(self) -> None:
        """Lets the call, and those after it, end well."""
        self.released.set()


class Timeline:
    """What happened to which call, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.by_deployment: list[tuple[str, str]] = []

    def add(self, what: str, call: Call) -> None:
        """Notes one happening as "call what"."""
        entry = f"{call.label} {what}"
        self.entries.append(entry)
        self.by_deployment.append((call.deployment_id, entry))


@dataclass
class _Rule:
    label: str
    server: str | None
    deployment_id: str | None
    behaviour: Failing | Held

    def covers(self, call: Call) -> bool:
        return (
            self.label == call.label
            and self.server in (None, call.server)
            and self.deployment_id in (None, call.deployment_id)
        )


class FakeActivities:
    """Every activity by its real name. Records calls in order; tests script failures and hangs."""

    def __init__(self, planner: Planner | None = None) -> None:
        self.plan: Planner = planner or (lambda command: plan_of(command.kind, command.deployment_id))
        self.image_present = False
        self.present_on: tuple[str, ...] = ()
        self.unreached: tuple[m.Unreached, ...] = ()
        self.reference = "main"
        self.skipped: set[str] = set()
        self.calls: list[Call] = []
        self.timeline = Timeline()
        self.most_at_once = 0
        self.ended: set[str] = set()
        self.real: dict[str, Callable[[Any], Awaitable[m.Message]]] = {}
        """What answers in place of a stand-in, by the activity's name."""
        self.look_again_after = timedelta(minutes=1)
        self.looks: list[m.ServerCondition] = []
        self.removals: list[m.ServerRemoval] = []
        self._open: set[str] = set()
        self._rules: list[_Rule] = []

    def fail(
        self,
        label: str,
        code: str = "build_failed",
        message: str = "It broke.",
        *,
        final: bool = True,
        times: int | None = None,
        server: str | None = None,
        deployment_id: str | None = None,
    ) -> None:
        """Makes a call fail; one that is not `final` is tried again by Temporal."""
        self._rules.append(_Rule(label, server, deployment_id, Failing(code, message, final, times)))

    def hold(
        self,
        label: str,
        *,
        stubborn: bool = False,
        server: str | None = None,
        deployment_id: str | None = None,
    ) -> Held:
        """Makes a call hang until it is released or cancelled."""
        held = Held(stubborn)
        self._rules.append(_Rule(label, server, deployment_id, held))
        return held

    def labels(self, deployment_id: str | None = None) -> list[str]:
        """The calls so far, in order."""
        return [call.label for call in self.calls if deployment_id in (None, call.deployment_id)]

    def begun(self) -> list[str]:
        """The deployments that began, in order."""
        return [call.deployment_id for call in self.calls if call.activity == s.BEGIN_DEPLOYMENT.name]

    def undos(self) -> list[str]:
        """The calls that took a step back, in order."""
        return [label for label in self.labels() if label.startswith("undo ")]

    def messages(self, label: str) -> list[Any]:
        """What was said to these calls, in order."""
        return [call.message for call in self.calls if call.label == label]

    def finishes(self) -> dict[str, m.FinishDeployment]:
        """The final states that were recorded, by deployment; fails if one was recorded differently twice."""
        recorded: dict[str, m.FinishDeployment] = {}
        for finish in self.messages(s.FINISH_DEPLOYMENT.name):
            first = recorded.setdefault(finish.command.deployment_id, finish)
            assert first == finish, f"{first} and then {finish}"
        return recorded

    def outcomes(self) -> dict[str, DeploymentStatus]:
        """The final states by deployment."""
        return {deployment_id: finish.status for deployment_id, finish in self.finishes().items()}

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for a worker."""
        return [self._stand_in(signature) for signature in SIGNATURES]

    def _stand_in(self, signature: s.Signature[Any, Any]) -> Callable[..., Any]:
        async def stand_in(message: Any) -> Any:
            return await self._act(signature, Call(signature.name, message))

        # The worker decodes by these.
        stand_in.__annotations__ = {"message": signature.takes, "return": signature.answers}
        return activity.defn(name=signature.name)(stand_in)

    async def _act(self, signature: s.Signature[Any, Any], call: Call) -> m.Message:
        self.calls.append(call)
        self.timeline.add("began", call)
        if signature is s.BEGIN_DEPLOYMENT:
            self._open.add(call.deployment_id)
            self.most_at_once = max(self.most_at_once, len(self._open))
        if isinstance(call.message, m.BuildImage) and call.message.lease is not None:
            lease = await self._leased(call.message.lease)
            if not lease.is_granted:
                return m.BuildOutcome(waits=True, lease=lease, message=lease.message)
        for rule in self._rules:
            if rule.covers(call):
                await rule.behaviour.act(self.timeline, call)
        answer = await self.real[call.activity](call.message) if call.activity in self.real else None
        self.timeline.add("ended", call)
        if signature is s.FINISH_DEPLOYMENT:
            self._open.discard(call.deployment_id)
            self.ended.add(call.deployment_id)
        return answer or self._answer(signature, call)

    async def _leased(self, lease: m.LeaseBuildSlot) -> m.BuildSlotLease:
        real = self.real.get(s.LEASE_BUILD_SLOT.name)
        answer = await real(lease) if real else m.BuildSlotLease(server=lease.servers[0], is_granted=True)
        assert isinstance(answer, m.BuildSlotLease)
        return answer

    def _answer(self, signature: s.Signature[Any, Any], call: Call) -> m.Message:
        if isinstance(call.message, m.BeginDeployment):
            return self.plan(call.message.command)
        if isinstance(call.message, m.ResolveSource):
            asked = call.message.look_on or (call.message.server_id,)
            present = asked if self.image_present else self.present_on
            return m.ResolvedSource(
                commit="c0ffee",
                reference=self.reference,
                image=f"seaway/application:{call.deployment_id}",
                image_present=set(asked) <= set(present),
                present_on=present,
                unreached=self.unreached if call.message.passes_over else (),
            )
        if issubclass(signature.answers, m.StepOutcome):
            return signature.answers(message=f"{call.label} done", skipped=call.label in self.skipped)
        if isinstance(call.message, m.LeaseBuildSlot):
            return m.BuildSlotLease(server=call.message.servers[0], is_granted=True)
        if signature.answers is m.ServerCondition:
            return self._condition(call)
        if signature.answers is m.ServerRemoval:
            return self.removals.pop(0) if self.removals else m.ServerRemoval()
        return m.Nothing()

    def _condition(self, call: Call) -> m.ServerCondition:
        """A look finds what the test scripted, and else that the server is usable."""
        if isinstance(call.message, m.FinishProvisioning):
            ended = call.message
            status = status_after(ended.code) if ended.code else ServerStatus.USABLE
            found = m.ServerCondition(status=status, message=ended.message)
        else:
            found = self.looks.pop(0) if self.looks else m.ServerCondition(status=ServerStatus.USABLE)
        return found.model_copy(update={"again_after": self.look_again_after})


def command_of(
    kind: OperationKind, deployment_id: str, application_id: str = "application", **options: Any
) -> m.Command:
    """A command as the API sends it."""
    return m.Command(
        deployment_id=deployment_id,
        application_id=application_id,
        team_id="team",
        project_id="project",
        kind=kind,
        requested_by="someone@example.com",
        **options,
    )
