from __future__ import annotations

import httpx
import pytest

from domain.deployments import DeploymentStatus
from domain.errors import NotFound, TransientError
from seaway.cli.client import SeawayClient
from seaway.cli.context import Connection
from seaway.cli.progress import AttemptReset, Change, LineWritten, StepChanged
from seaway.cli.rest import RestClient
from seaway.cli.watch import PATIENCE_SECONDS, DeploymentWatch
from tests.unit.cli.stub_seaway import (
    DEPLOYMENT,
    StubSeaway,
    deployment,
    event,
    events,
    line,
    problem,
    step,
    unreachable,
)

STREAM = f"/deployments/{DEPLOYMENT}/stream"
ONE = f"/deployments/{DEPLOYMENT}"
LOG = f"/deployments/{DEPLOYMENT}/log"
END = event("end", {"status": "finished"})


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def watch(stub: StubSeaway) -> tuple[DeploymentWatch, list[Change], Clock]:
    client = SeawayClient(
        RestClient(Connection("http://seaway.test", "t", "test"), httpx.MockTransport(stub))
    )
    clock = Clock()
    return DeploymentWatch(client, DEPLOYMENT, sleep=clock.sleep, clock=lambda: clock.now), [], clock


def texts(changes: list[Change]) -> list[str]:
    return [change.line.text for change in changes if isinstance(change, LineWritten)]


def logged(*lines: dict[str, object]) -> dict[str, object]:
    return {"lines": list(lines), "next_after": 0, "is_open": False}


def test_a_broken_stream_is_resumed_after_the_last_event_without_a_line_twice() -> None:
    stub = StubSeaway()
    stub.on(
        "GET",
        STREAM,
        events(event("log", line(1, "one")), event("log", line(2, "two")), breaks=True),
        events(event("log", line(2, "two")), event("log", line(4, "four")), END),
    )
    stub.on("GET", LOG, logged(line(3, "three")), logged())
    stub.on("GET", ONE, deployment("in_progress"), deployment())
    watching, news, _ = watch(stub)
    assert watching.follow(news.extend).state is DeploymentStatus.FINISHED
    assert texts(news) == ["one", "two", "three", "four"]
    assert "Last-Event-ID" not in stub.sent("GET", STREAM)[0].headers
    assert stub.sent("GET", STREAM)[1].headers["Last-Event-ID"] == "2"


def test_a_newer_attempt_makes_the_lines_of_the_older_vanish() -> None:
    stub = StubSeaway()
    stub.on(
        "GET",
        STREAM,
        events(
            event("log", line(1, "fetched", name="resolve_source")),
            event("log", line(2, "first try")),
            event("reset", {"step": "build", "server": "local", "attempt": 2}),
            event("log", line(3, "second try", attempt=2)),
            event("reset", {"step": "build", "server": "local", "attempt": 2}),
            END,
        ),
    )
    stub.on("GET", ONE, deployment())
    stub.on("GET", LOG, logged())
    watching, news, _ = watch(stub)
    watching.follow(news.extend)
    assert [line.text for line in watching.progress.lines] == ["fetched", "second try"]
    assert [change for change in news if isinstance(change, AttemptReset)] == [
        AttemptReset("build", "local", 2)
    ]


def test_a_newer_attempt_that_only_polling_saw_makes_older_lines_vanish_too() -> None:
    stub = StubSeaway()
    stub.on("GET", STREAM, problem(404, "no stream here", "not_found"))
    stub.on("GET", LOG, logged(line(1, "first try")), logged(line(2, "second try", attempt=2)), logged())
    stub.on("GET", ONE, deployment("in_progress"), deployment())
    watching, news, _ = watch(stub)
    watching.follow(news.extend)
    assert [line.text for line in watching.progress.lines] == ["second try"]
    assert AttemptReset("build", "local", 2) in news
    assert len(stub.sent("GET", STREAM)) == 1


def test_a_step_is_told_once_however_often_it_is_sent() -> None:
    stub = StubSeaway()
    stub.on("GET", STREAM, events(event("step", step()), breaks=True), events(event("step", step()), END))
    stub.on("GET", ONE, deployment("in_progress"), deployment())
    stub.on("GET", LOG, logged())
    watching, news, _ = watch(stub)
    watching.follow(news.extend)
    assert len([change for change in news if isinstance(change, StepChanged)]) == 1


def test_a_seaway_that_restarts_meanwhile_is_waited_for() -> None:
    stub = StubSeaway()
    stub.on("GET", STREAM, unreachable, unreachable, unreachable, events(END))
    stub.on("GET", ONE, unreachable, unreachable, unreachable, deployment())
    stub.on("GET", LOG, logged())
    watching, news, clock = watch(stub)
    assert watching.follow(news.extend).state is DeploymentStatus.FINISHED
    assert 1 < clock.now < 10


def test_a_seaway_that_stays_away_is_given_up_after_five_minutes() -> None:
    stub = StubSeaway().on("GET", STREAM, unreachable).on("GET", ONE, unreachable)
    watching, news, clock = watch(stub)
    with pytest.raises(TransientError):
        watching.follow(news.extend)
    assert PATIENCE_SECONDS < clock.now < PATIENCE_SECONDS + 60


def test_a_token_that_may_not_see_the_log_still_sees_the_steps() -> None:
    stub = StubSeaway()
    stub.on("GET", STREAM, events(END))
    stub.on("GET", ONE, deployment())
    stub.on("GET", LOG, problem(403, "Missing required permissions: read:sensitive", "forbidden"))
    watching, news, _ = watch(stub)
    assert watching.follow(news.extend).state is DeploymentStatus.FINISHED
    assert [type(change) for change in news] == [StepChanged]


def test_a_deployment_that_is_gone_is_not_found() -> None:
    watching, news, _ = watch(StubSeaway())
    with pytest.raises(NotFound):
        watching.follow(news.extend)


def test_events_that_this_version_does_not_know_are_passed_over() -> None:
    stub = StubSeaway()
    stub.on(
        "GET",
        STREAM,
        events(
            b": ping\n\n",
            event("fanfare", {"loud": True}),
            event("step", {"name": "a step of tomorrow"}),
            b"event: log\ndata: not json\n\n",
            END,
        ),
    )
    stub.on("GET", ONE, deployment(steps=None))
    stub.on("GET", LOG, logged())
    watching, news, _ = watch(stub)
    watching.follow(news.extend)
    assert news == []
