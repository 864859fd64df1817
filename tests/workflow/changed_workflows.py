"""Workflows changed in ways that histories of the real ones cannot follow."""

from __future__ import annotations

from temporalio import workflow

from workflows import names
from workflows.application import ApplicationWorkflow, QueueState
from workflows.deployment import DeploymentWorkflow

with workflow.unsafe.imports_passed_through():
    from activities import messages as m


@workflow.defn(name=names.DEPLOYMENT_WORKFLOW)
class DeploymentWithoutHealthCheck(DeploymentWorkflow):
    """Starts replicas and believes in them."""

    @workflow.init
    def __init__(self, command: m.Command) -> None:
        super().__init__(command)

    @workflow.run
    async def run(self, command: m.Command) -> m.DeploymentResult:
        """The same but for one step."""
        return await super().run(command)

    async def _start_new(self, serve: m.Served) -> None:
        """Leaves the check out."""


@workflow.defn(name=names.APPLICATION_WORKFLOW)
class QueueThatTellsNobody(ApplicationWorkflow):
    """Forgets to close those that were superseded."""

    @workflow.init
    def __init__(self, state: QueueState | None = None) -> None:
        super().__init__(state)

    @workflow.run
    async def run(self, state: QueueState | None = None) -> None:
        """The same but for the records."""
        await super().run(state)

    async def _close(self, command: m.Command, status: object, superseded_by: str | None = None) -> None:
        """Records nothing."""
