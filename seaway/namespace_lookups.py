"""What Temporal's server answers while it has lost sight of its own namespace: asked again."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio.client import (
    CancelWorkflowInput,
    DescribeWorkflowInput,
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowExecutionDescription,
    WorkflowHandle,
    WorkflowUpdateHandle,
)
from temporalio.service import RPCError, RPCStatusCode

PATIENCE_SECONDS = 5.0
"""The server reads its list of namespaces again every second or so where one is asked for and missing."""
PAUSE_SECONDS = 0.1
LOST_NAMESPACE = re.compile(r"^Namespace \S+ is not found")
Answer = TypeVar("Answer")
logger = logging.getLogger("seaway.temporal")


class NamespaceLookups(Interceptor):
    """Repeats calls that were refused because the namespace is unknown, for a few seconds.

    A namespace that exists is forgotten for a moment when the server refreshes its list on a busy
    machine (seen with the development server on SQLite). The answer has the same status as that for
    a workflow that does not exist, so whoever takes it at its word closes what is running.
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        """See the base class."""
        return _Patient(next, self._patience_seconds)


class _Patient(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, patience_seconds: float) -> None:
        super().__init__(following)
        self._patience_seconds = patience_seconds

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        return await self._again(lambda: self.next.start_workflow(input))

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        await self._again(lambda: self.next.cancel_workflow(input))

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        return await self._again(lambda: self.next.describe_workflow(input))

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        return await self._again(lambda: self.next.query_workflow(input))

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        await self._again(lambda: self.next.signal_workflow(input))

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        return await self._again(lambda: self.next.start_workflow_update(input))

    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,
    ) -> WorkflowUpdateHandle[Any]:
        # The operation's own handle takes one result only, and nobody in Seaway waits for it.
        tried = dataclasses.replace(input, _on_start=_ignore, _on_start_error=_ignore)
        return await self._again(lambda: self.next.start_update_with_start_workflow(tried))

    async def _again(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                return await call()
            except RPCError as error:
                if not is_lost_namespace(error) or time.monotonic() > deadline:
                    raise
                logger.warning("Temporal does not know its namespace at the moment; it is asked again")
            await asyncio.sleep(PAUSE_SECONDS)


def is_lost_namespace(error: RPCError) -> bool:
    """Whether the server says that it has no such namespace, rather than no such workflow."""
    return error.status is RPCStatusCode.NOT_FOUND and LOST_NAMESPACE.match(error.message) is not None


def _ignore(_: object) -> None:
    return
