"""All that a server's workflow carries from one of its histories to the next."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import messages as m
    from domain.build_slots import BuildSlots
    from domain.deployments import StepStatus
    from domain.servers import SERVER_STEP_TITLES, ServerStatus, ServerStepName
    from workflows.progress import MARKS


class ServerState(BaseModel):
    """`is_watched`: it has been usable once, so it is looked at again and again.

    `was_away`: since it was settled last, so deployments may have left something there, as they have where an
    application that is deleted was once.
    """

    server_id: str
    status: ServerStatus = ServerStatus.NEW
    message: str = ""
    is_watched: bool = False
    was_away: bool = False
    again_after: timedelta = timedelta(minutes=1)
    provision: bool = False
    removal: m.ServerRequest | None = None
    removal_until: datetime | None = None
    remembered: list[str] = []
    slots: BuildSlots = BuildSlots()
    granted: list[str] = []
    """The deployments that have got a slot and are to be told."""
    steps: list[m.ServerStepState] = []

    def begin(self) -> None:
        """All steps are pending."""
        self.status, self.message = ServerStatus.PROVISIONING, ""
        self.steps = [m.ServerStepState(name=name) for name in ServerStepName]

    def move(self, name: ServerStepName, status: StepStatus, message: str = "") -> None:
        """Sets one step's status."""
        self.steps = [
            m.ServerStepState(name=name, status=status, message=message) if step.name is name else step
            for step in self.steps
        ]

    def settle(self, condition: m.ServerCondition) -> None:
        """How it stands, as an activity found it."""
        self.status, self.message = condition.status, condition.message
        is_away = self.is_watched and condition.status is not ServerStatus.USABLE
        self.was_away = self.was_away or is_away or condition.has_remains
        self.again_after = condition.again_after

    def markdown(self) -> str:
        """The state for Temporal's own web UI."""
        lines = [f"**{self.status}** {self.message}", ""]
        for step in self.steps:
            message = f": {step.message}" if step.message else ""
            lines.append(f"- {MARKS[step.status]} {SERVER_STEP_TITLES[step.name]}{message}")
        if self.slots.holders:
            lines += ["", f"Builds: {len(self.slots.running)} of {self.slots.limit}"]
            lines += [f"- {MARKS[StepStatus.RUNNING]} {one.holder}" for one in self.slots.running]
            lines += [f"- {MARKS[StepStatus.PENDING]} {one.holder}" for one in self.slots.waiting]
        return "\n".join(lines)
