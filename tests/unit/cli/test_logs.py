from __future__ import annotations

import json

import pytest

from seaway.cli import log_reading
from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import (
    APPLICATION,
    DEPLOYMENT,
    StubSeaway,
    deployment,
    event,
    events,
    line,
    unreachable,
)

LOGS = f"/applications/{APPLICATION}/logs"
ONE = f"/deployments/{DEPLOYMENT}"


def said(text: str) -> bytes:
    return f"id: at {text}\nevent: log\ndata: {json.dumps({'text': text})}\n\n".encode()


def test_the_last_lines_are_printed_as_the_application_wrote_them(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", LOGS, {"logs": "one\n\x1b[31mtwo\x1b[0m\n"})
    assert run("logs", "demo", "-n", "2", "-t").stdout == "one\n\x1b[31mtwo\x1b[0m\n"
    assert dict(seaway.sent("GET", LOGS)[0].url.params) == {"lines": "2", "show_timestamps": "true"}
    assert json.loads(run("logs", "demo", "--json").stdout)["logs"].startswith("one")


def test_following_goes_on_behind_the_last_line_after_a_broken_connection(
    seaway: StubSeaway, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "RECONNECT_TRIES", 1)
    monkeypatch.setattr(log_reading, "RECONNECT_SECONDS", 0)
    seaway.on(
        "GET",
        f"{LOGS}/stream",
        events(said("one"), said("two"), breaks=True),
        events(said("three"), breaks=True),
        unreachable,
    )
    result = run("logs", "demo", "-f", "-t", "-n", "50")
    assert result.stdout == "one\ntwo\nthree\n"
    assert result.exit_code == 4
    sent = seaway.sent("GET", f"{LOGS}/stream")
    assert [request.url.params["lines"] for request in sent[:2]] == ["50", "1000"]
    assert [request.headers.get("Last-Event-ID") for request in sent[:3]] == [None, "at two", "at three"]
    assert {request.url.params["show_timestamps"] for request in sent} == {"true"}


def test_the_log_of_a_deployment_needs_no_application(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", ONE, deployment())
    lines = [line(1, "first try"), line(2, "second try", attempt=2)]
    seaway.on("GET", f"{ONE}/log", {"lines": lines})
    assert run("logs", "--build", DEPLOYMENT).stdout == "  Build image | second try\n"
    assert json.loads(run("logs", "--build", DEPLOYMENT, "--json").stdout) == [lines[1]]


def test_following_the_log_of_a_deployment_ends_with_its_exit_code(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", f"{ONE}/stream", events(event("log", line(1, "x")), event("end", {"status": "failed"})))
    seaway.on("GET", ONE, deployment("failed"))
    result = run("logs", "--build", DEPLOYMENT, "-f")
    assert result.exit_code == 1
    assert "Build image | x" in result.stdout


def test_logs_of_nothing_are_refused(run: Run) -> None:
    assert run("logs").exit_code == 2
    assert run("logs", "demo", "-f", "--json").exit_code == 2
