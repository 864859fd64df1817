"""Follows a deployment to its end: by its live stream, and by polling wherever the stream breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from domain.deployments import Step
from domain.errors import Forbidden, NotFound, TransientError
from seaway.cli.answers import Deployment, LogLine
from seaway.cli.client import LOG_PAGE, SeawayClient
from seaway.cli.event_stream import ServerEvent
from seaway.cli.progress import AttemptReset, Change, LineWritten, Progress, StepChanged

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
PATIENCE_SECONDS = 300.0


class DeploymentWatch:
    """Tells a view every change once, whatever breaks in between."""

    def __init__(
        self,
        client: SeawayClient,
        deployment_uuid: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._uuid = deployment_uuid
        self._sleep = sleep
        self._clock = clock
        self._last_event_id = ""
        self._streams = True
        self.progress = Progress()

    def follow(self, tell: Callable[[list[Change]], None]) -> Deployment:
        """Returns the deployment in its final state.

        Raises TransientError after five minutes without any answer, NotFound when it is gone (its
        application was deleted).
        """
        pause, heard = FIRST_PAUSE_SECONDS, self._clock()
        while True:
            try:
                for change in self._stream():
                    heard, pause = self._clock(), FIRST_PAUSE_SECONDS
                    self._pass_on([change], tell)
                deployment = self._client.deployment(self._uuid)
                heard = self._clock()
                self._pass_on(self._differences(deployment), tell)
            except TransientError:
                if self._clock() - heard > PATIENCE_SECONDS:
                    raise
            else:
                if deployment.state.is_final:
                    return deployment
            self._sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _stream(self) -> Iterator[Change]:
        """Changes until the stream ends or breaks; nothing where there is no stream."""
        if not self._streams:
            return
        try:
            with self._client.deployment_events(self._uuid, self._last_event_id) as events:
                for event in events:
                    self._last_event_id = event.id
                    if event.name == "end":
                        return
                    change = change_of(event)
                    if change is not None:
                        yield change
        except NotFound:
            self._streams = False
        except TransientError:
            return

    def _differences(self, deployment: Deployment) -> Iterator[Change]:
        """Everything that polling knows; what was told before is dropped later."""
        yield from (StepChanged(step) for step in deployment.steps or ())
        while True:
            try:
                page = self._client.deployment_log(self._uuid, after=self.progress.newest_line)
            except Forbidden:
                return  # logs may hold secrets, which this token may not see
            yield from (LineWritten(line) for line in page)
            if len(page) < LOG_PAGE:
                return

    def _pass_on(
        self, changes: Iterator[Change] | list[Change], tell: Callable[[list[Change]], None]
    ) -> None:
        for change in changes:
            news = self.progress.take([change])
            if news:
                tell(news)


def change_of(event: ServerEvent) -> Change | None:
    """The change that an event tells; None for an event that this version does not know."""
    document = event.json()
    try:
        match event.name:
            case "step":
                return StepChanged(Step.model_validate(document))
            case "log":
                return LineWritten(LogLine.model_validate({"id": event.id, **document}))
            case "reset":
                attempt = int(str(document.get("attempt", 1)))
                return AttemptReset(str(document["step"]), str(document.get("server", "")), attempt)
    except (ValidationError, KeyError, ValueError):
        return None
    return None
