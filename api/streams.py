"""Live streams as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol, cast

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus

from api.context import ApiContext, RuntimeLine
from api.shapes.deployments import LogLineAnswer, StepAnswer, coolify_status
from api.stream_places import counted
from domain.deployments import DeploymentStatus, OperationKind, Step
from store.tables import Deployment, LogLine

POLL_SECONDS = 0.15
PING_SECONDS = 15
MAXIMUM_SECONDS = 3600
"""After this a stream closes; readers come back with Last-Event-ID by themselves."""

LINES_AT_ONCE = 500


def allow_streams() -> None:
    """Streams may run; said when a server starts."""
    AppStatus.should_exit = False


def end_streams() -> None:
    """Ends every stream of this process within half a second; said before a server stops.

    Streams would otherwise hold it up, and a server that handles no signals itself cannot tell them.
    """
    AppStatus.should_exit = True


class Closable(Protocol):
    """An iterator that can be ended early."""

    async def aclose(self) -> None:
        """Ends it."""
        ...


def answer_with(events: AsyncIterator[ServerSentEvent], *, for_team: str) -> EventSourceResponse:
    """The events as an answer; proxies in between are asked not to keep them back. Raises TooManyRequests."""
    return EventSourceResponse(
        counted(for_team, events),
        ping=PING_SECONDS,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def describe_events(*names: str) -> dict[int | str, dict[str, Any]]:
    """How a stream of these events is described; the schema is that of one event."""
    text = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {"event": {**text, "enum": list(names)}, "data": text, "id": text},
        "required": ["event", "data"],
    }
    return {200: {"description": "Events", "content": {"text/event-stream": {"schema": schema}}}}


class DeploymentFollower:
    """Follows one deployment in the store and says what is new.

    Events: `step` (a step that changed), `log` (a line; its id is the event's), `reset` (what lower
    attempts of this step wrote is gone: forget it), `end` (the final status). Without `with_log`,
    lines are left out.
    """

    def __init__(
        self,
        context: ApiContext,
        deployment: Deployment,
        *,
        after: int,
        with_log: bool,
        maximum_seconds: float = MAXIMUM_SECONDS,
    ) -> None:
        self._store = context.store
        self._id = deployment.id
        self._kind = deployment.kind
        self._after = after
        self._with_log = with_log
        self._until = time.monotonic() + maximum_seconds
        self._steps: dict[tuple[str, str], Step] = {}
        self._attempts: dict[tuple[str, str], int] = {}

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """Until the deployment is over, or the stream has been open for long enough."""
        while True:
            # The status first: what was written before it became final is then read below.
            deployment = await self._store.deployments.find(self._id)
            for event in await self._changed_steps():
                yield event
            # One page at a time: a whole log at once would be held in memory for every slow reader.
            async for event in self._new_lines():
                yield event
            if deployment is None or DeploymentStatus(deployment.status).is_final:
                yield _event("end", self._end(deployment))
                return
            if time.monotonic() >= self._until:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _changed_steps(self) -> list[ServerSentEvent]:
        events = []
        for step in await self._store.deployments.steps(self._id):
            place = (step.name.value, step.server)
            if self._steps.get(place) != step:
                self._steps[place] = step
                events += self._resets(place, step.attempt)
                events.append(_event("step", StepAnswer.of(step).model_dump(mode="json")))
        return events

    async def _new_lines(self) -> AsyncIterator[ServerSentEvent]:
        while self._with_log:
            lines = await self._store.logs.read(self._id, after=self._after, limit=LINES_AT_ONCE)
            for line in lines:
                for event in self._resets((line.step, line.server), line.attempt):
                    yield event
                yield self._line(line)
            if len(lines) < LINES_AT_ONCE:
                break

    def _line(self, line: LogLine) -> ServerSentEvent:
        shown = LogLineAnswer.of(line)
        self._after = shown.id
        return _event("log", shown.model_dump(mode="json"), event_id=str(shown.id))

    def _resets(self, place: tuple[str, str], attempt: int) -> list[ServerSentEvent]:
        """A reader who comes back may hear it twice, which does no harm."""
        if attempt <= self._attempts.get(place, 1):
            return []
        self._attempts[place] = attempt
        return [_event("reset", {"step": place[0], "server": place[1], "attempt": attempt})]

    def _end(self, deployment: Deployment | None) -> dict[str, Any]:
        if deployment is None:
            # A deletion that succeeded takes its own record with it.
            was_deleted = self._kind == OperationKind.DELETE
            status = DeploymentStatus.FINISHED if was_deleted else DeploymentStatus.CANCELLED
            return {"status": status, "outcome": status, "error": None}
        error = None
        if deployment.error_code:
            error = {"code": deployment.error_code, "message": deployment.error_message}
        return {
            "status": coolify_status(deployment.status),
            "outcome": deployment.status,
            "error": error,
        }


async def follow_runtime_log(
    source: AsyncIterator[RuntimeLine], *, timestamps: bool = False, maximum_seconds: float = MAXIMUM_SECONDS
) -> AsyncIterator[ServerSentEvent]:
    """The event `log` for each line of the source, with its id, to go on after."""
    async with asyncio.timeout(None) as limit, aclosing(cast(Closable, source)):
        limit.reschedule(asyncio.get_running_loop().time() + maximum_seconds)
        async for line in source:
            yield _event("log", {"text": line.shown(timestamps=timestamps)}, event_id=line.id or None)


def _event(name: str, data: dict[str, Any], *, event_id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data=json.dumps(data), event=name, id=event_id)
