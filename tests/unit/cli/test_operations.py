from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import (
    APPLICATION,
    DEPLOYMENT,
    StubSeaway,
    application,
    deployment,
    event,
    events,
)

RECEIPT = {"message": "Queued.", "deployment_uuid": DEPLOYMENT}
STREAM = f"/deployments/{DEPLOYMENT}/stream"
ONE = f"/deployments/{DEPLOYMENT}"
OF_APPLICATION = f"/deployments/applications/{APPLICATION}"


@pytest.fixture
def operating(seaway: StubSeaway) -> StubSeaway:
    """A Seaway in which every operation succeeds."""
    for verb in ("start", "stop", "restart", "scale", "rollback"):
        seaway.on("POST", f"/applications/{APPLICATION}/{verb}", RECEIPT)
    seaway.on("DELETE", f"/applications/{APPLICATION}", RECEIPT)
    seaway.on("GET", STREAM, events(event("end", {"status": "finished"})))
    seaway.on("GET", ONE, deployment())
    return seaway


@pytest.mark.parametrize(
    ("arguments", "verb", "body", "text"),
    [
        (("start", "demo"), "start", None, "demo runs"),
        (("stop", "demo"), "stop", None, "demo is stopped"),
        (("restart", "demo"), "restart", None, "demo has restarted"),
        (("scale", "demo", "3"), "scale", {"replicas": 3}, "demo is scaled"),
    ],
)
def test_an_operation_is_followed_to_its_end(
    arguments: tuple[str, ...],
    verb: str,
    body: object,
    text: str,
    operating: StubSeaway,
    run: Run,
) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    request = operating.sent("POST", f"/applications/{APPLICATION}/{verb}")[0]
    assert (json.loads(request.content) if request.content else None) == body
    assert request.headers["Idempotency-Key"]
    assert text in result.stdout


def test_what_a_release_went_on_without_is_said(operating: StubSeaway, run: Run) -> None:
    operating.on("GET", ONE, deployment(note="Released without west (It is ill)."))
    result = run("restart", "demo")
    assert result.exit_code == 0, result.output
    assert "Released without west (It is ill)." in result.stdout


def test_rollback_goes_to_the_named_deployment_or_commit(operating: StubSeaway, run: Run) -> None:
    path = f"/applications/{APPLICATION}/rollback"
    assert run("rollback", "demo", "e" * 24).exit_code == 0
    assert run("rollback", "demo", "0123abc").exit_code == 0
    bodies = [json.loads(request.content) for request in operating.sent("POST", path)]
    assert bodies == [{"deployment_uuid": "e" * 24}, {"commit": "0123abc"}]


def test_rollback_without_a_target_goes_to_the_release_before_the_one_that_serves(
    operating: StubSeaway, run: Run
) -> None:
    history = [
        deployment("failed", deployment_uuid="1" * 24),
        deployment(deployment_uuid=DEPLOYMENT, kind="restart"),
        deployment(deployment_uuid="2" * 24),
        deployment("cancelled-by-user", deployment_uuid="3" * 24),
        deployment(deployment_uuid="4" * 24),
    ]
    operating.on("GET", OF_APPLICATION, {"count": 5, "deployments": history})
    assert run("rollback", "demo").exit_code == 0
    assert operating.body("POST", f"/applications/{APPLICATION}/rollback") == {"deployment_uuid": "4" * 24}


def test_rollback_without_an_earlier_release_is_refused(operating: StubSeaway, run: Run) -> None:
    operating.on("GET", OF_APPLICATION, {"count": 1, "deployments": [deployment()]})
    result = run("rollback", "demo")
    assert result.exit_code == 1
    assert "no earlier successful deployment" in result.stderr


def test_cancel_says_what_seaway_answered(seaway: StubSeaway, run: Run) -> None:
    answer = {"message": "Deployment is being cancelled.", "deployment_uuid": DEPLOYMENT, "status": "x"}
    seaway.on("POST", f"{ONE}/cancel", answer)
    assert run("cancel", DEPLOYMENT).stdout == "Deployment is being cancelled.\n"
    assert json.loads(run("cancel", DEPLOYMENT, "--json").stdout) == answer


def test_rm_keeps_volumes_unless_asked_and_is_done_when_the_record_is_gone(
    operating: StubSeaway, run: Run
) -> None:
    del operating.answers["GET", ONE]
    result = run("rm", "demo", "--yes")
    assert result.exit_code == 0, result.output
    assert "demo is deleted" in result.stdout
    assert run("app", "delete", "demo", "--yes", "--volumes", "--no-wait").exit_code == 0
    requests = operating.sent("DELETE", f"/applications/{APPLICATION}")
    assert [request.url.params["delete_volumes"] for request in requests] == ["false", "true"]


def test_rm_without_a_terminal_asks_for_yes(operating: StubSeaway, run: Run) -> None:
    result = run("rm", "demo")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert not operating.sent("DELETE", f"/applications/{APPLICATION}")


def test_deployments_are_listed_in_our_own_words(seaway: StubSeaway, run: Run) -> None:
    listed = [deployment("superseded", steps=None), deployment("failed", error={"message": "No Dockerfile."})]
    seaway.on("GET", OF_APPLICATION, {"count": 2, "deployments": listed})
    result = run("deployments", "demo", "-n", "2")
    assert "superseded" in result.stdout
    assert "No Dockerfile." in result.stdout
    assert seaway.sent("GET", OF_APPLICATION)[0].url.params["take"] == "2"
    assert json.loads(run("deployments", "demo", "--json").stdout) == listed


def test_status_shows_the_application_and_its_newest_deployment(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", OF_APPLICATION, {"count": 1, "deployments": [deployment(steps=None)]})
    seaway.on("GET", ONE, deployment(logs="[]"))
    text = run("status", "demo").stdout
    for part in (
        "demo  running:healthy",
        "http://demo.localhost:8080",
        "0123456789ab",
        "Build image: succeeded",
    ):
        assert part in text
    document = json.loads(run("status", "demo", "--json").stdout)
    assert document == {"application": application(), "deployment": deployment()}


def test_status_without_an_application_lists_them_all(seaway: StubSeaway, run: Run) -> None:
    assert json.loads(run("status", "--json").stdout) == [application()]
