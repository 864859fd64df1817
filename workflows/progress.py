"""The steps of a deployment as its workflow knows them."""

from __future__ import annotations

from datetime import datetime

from domain.deployments import DeploymentStatus, Step, StepName, StepStatus

MARKS = {
    StepStatus.PENDING: "◦",
    StepStatus.RUNNING: "▸",
    StepStatus.SUCCEEDED: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.COMPENSATED: "↺",
    StepStatus.SKIPPED: "–",
}


class ProgressTracker:
    """Moves steps on; the same vocabulary as the database, the API and the pages."""

    def __init__(self) -> None:
        self.status = DeploymentStatus.IN_PROGRESS
        self.cancellable = True
        self._steps: dict[tuple[StepName, str], Step] = {}

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in their order."""
        return tuple(self._steps.values())

    def plan(self, steps: tuple[Step, ...]) -> None:
        """Takes over the planned steps, all pending."""
        self._steps = {(step.name, step.server): step for step in steps}

    def has(self, name: StepName, server: str) -> bool:
        """Whether the step is planned there."""
        return (name, server) in self._steps

    def place(self, name: StepName, planned: str, server: str) -> None:
        """The step runs on another server than was planned; it keeps its place."""
        if planned != server and (name, planned) in self._steps:
            placed = [
                step.model_copy(update={"server": server}) if key == (name, planned) else step
                for key, step in self._steps.items()
            ]
            self._steps = {(step.name, step.server): step for step in placed}

    def move(self, name: StepName, server: str, status: StepStatus, at: datetime, message: str = "") -> None:
        """Sets a step's status. A step that failed stays failed when it is compensated afterwards."""
        step = self._steps.get((name, server), Step(name=name, server=server))
        if step.status is StepStatus.FAILED and status is StepStatus.COMPENSATED:
            return
        running = status is StepStatus.RUNNING
        self._steps[(name, server)] = step.model_copy(
            update={
                "status": status,
                "started_at": at if running else step.started_at,
                "finished_at": None if running else at,
                "message": message or step.message,
            }
        )

    def markdown(self) -> str:
        """The progress for Temporal's own web UI."""
        lines = [f"**{self.status}**", ""]
        for step in self.steps:
            message = f": {step.message}" if step.message else ""
            lines.append(f"- {MARKS[step.status]} {step.title} on {step.server}{message}")
        return "\n".join(lines)
