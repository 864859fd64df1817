from __future__ import annotations

import json

import httpx
import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_seaway import (
    APPLICATION,
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
END_OF_STREAM = event("end", {"status": "finished"})


def test_a_deployment_that_serves_ends_with_0_and_says_where(seaway: StubSeaway, run: Run) -> None:
    seaway.on(
        "GET",
        STREAM,
        events(
            event("step", step("build", "running")),
            event("log", line(1, "compiling")),
            event("step", step("build", "succeeded")),
            END_OF_STREAM,
        ),
    )
    seaway.on("GET", ONE, deployment())
    result = run("deploy", "demo")
    assert result.exit_code == 0, result.output
    assert "Build image | compiling" in result.stdout
    assert "Build image: succeeded, 12.5 s" in result.stdout
    assert "✓ demo is deployed at 0123456789ab in 12.5 s" in result.stdout
    assert result.stdout.rstrip().endswith("http://demo.localhost:8080")


def test_a_failed_deployment_ends_with_1_and_shows_what_failed_and_where_to_look(
    seaway: StubSeaway, run: Run
) -> None:
    error = {
        "code": "build_failed",
        "message": "The build failed at line 3 of /Dockerfile. Mend that line.",
        "detail": ">>> RUN make\nmake: no rule",
    }
    seaway.on("GET", STREAM, events(event("end", {"status": "failed"})))
    seaway.on("GET", ONE, deployment("failed", error=error, workflow_url="http://temporal.test/w"))
    result = run("deploy", "demo")
    assert result.exit_code == 1
    for text in (error["message"], "| make: no rule", f"seaway logs --build {DEPLOYMENT}", "temporal.test/w"):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("status", "text"), [("cancelled-by-user", "Cancelled."), ("superseded", f"Superseded by {'n' * 24}")]
)
def test_a_cancelled_or_superseded_deployment_ends_with_3(
    status: str, text: str, seaway: StubSeaway, run: Run
) -> None:
    seaway.on("GET", STREAM, events(event("end", {"status": status})))
    seaway.on("GET", ONE, deployment(status, superseded_by="n" * 24))
    result = run("deploy", "demo")
    assert result.exit_code == 3
    assert text in result.stdout


def test_wrong_usage_ends_with_2(run: Run) -> None:
    assert run("deploy").exit_code == 2
    assert run("deploy", "demo", "--no-such-flag").exit_code == 2


def test_input_that_the_api_refuses_ends_with_2_and_names_the_field(seaway: StubSeaway, run: Run) -> None:
    refusal = problem(422, "Validation failed.", "invalid_input", errors={"branch": ["No '..' in a branch."]})
    seaway.on("POST", "/deploy", refusal)
    result = run("deploy", "demo", "--branch", "a..b")
    assert result.exit_code == 2
    assert "branch: No '..' in a branch." in result.stderr


def test_a_seaway_that_does_not_answer_ends_with_4(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", "/applications", unreachable)
    result = run("deploy", "demo")
    assert result.exit_code == 4
    assert "Cannot reach Seaway at http://seaway.test" in result.stderr


@pytest.mark.parametrize(
    ("status", "code"), [(401, "unauthenticated"), (403, "forbidden"), (503, "transient")]
)
def test_no_access_ends_with_4(status: int, code: str, seaway: StubSeaway, run: Run) -> None:
    seaway.on("POST", "/deploy", problem(status, "Not now.", code))
    result = run("deploy", "demo")
    assert result.exit_code == 4
    assert "Not now." in result.stderr


def test_an_unknown_application_ends_with_5_and_similar_names(seaway: StubSeaway, run: Run) -> None:
    result = run("deploy", "dmeo")
    assert result.exit_code == 5
    assert "Did you mean 'demo'?" in result.stderr


def test_a_refusal_in_the_present_state_ends_with_1(seaway: StubSeaway, run: Run) -> None:
    seaway.on("POST", "/deploy", problem(400, "It is being deleted.", "not_possible_now"))
    assert run("deploy", "demo").exit_code == 1


def test_ctrl_c_ends_with_130_and_leaves_the_deployment_running(seaway: StubSeaway, run: Run) -> None:
    def interrupt(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    seaway.on("GET", STREAM, interrupt)
    result = run("deploy", "demo")
    assert result.exit_code == 130
    assert f"seaway cancel {DEPLOYMENT}" in result.stderr
    assert not seaway.sent("POST", f"{ONE}/cancel")


def test_flags_and_idempotency_key_reach_the_api(seaway: StubSeaway, run: Run) -> None:
    result = run(
        "deploy", "demo", "--no-wait", "--branch", "next", "--commit", "abc1234", "--force",
        "--idempotency-key", "run-7",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    request = seaway.sent("POST", "/deploy")[0]
    assert dict(request.url.params) == {
        "uuid": APPLICATION,
        "force": "true",
        "branch": "next",
        "commit": "abc1234",
    }
    assert request.headers["Idempotency-Key"] == "run-7"
    assert request.headers["Authorization"] == "Bearer 1|secret-token"
    assert DEPLOYMENT in result.stdout


def test_a_lost_answer_is_asked_for_again_with_the_same_key(seaway: StubSeaway, run: Run) -> None:
    taken = seaway.answers["POST", "/deploy"][0]

    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    seaway.on("POST", "/deploy", lose, taken)
    assert run("deploy", "demo", "--no-wait").exit_code == 0
    keys = [request.headers["Idempotency-Key"] for request in seaway.sent("POST", "/deploy")]
    assert len(keys) == 2
    assert keys[0] == keys[1] != ""


def test_json_is_one_document_and_nothing_else(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", STREAM, events(event("step", step()), event("log", line(1, "compiling")), END_OF_STREAM))
    seaway.on("GET", ONE, deployment())
    result = run("deploy", "demo", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == deployment()
    assert result.stderr == ""


def test_json_of_a_failure_keeps_the_exit_code(seaway: StubSeaway, run: Run) -> None:
    seaway.on("GET", STREAM, events(event("end", {"status": "failed"})))
    seaway.on("GET", ONE, deployment("failed", error={"code": "x", "message": "m", "detail": None}))
    result = run("deploy", "demo", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["outcome"] == "failed"


def test_json_of_an_error_is_one_document_with_the_exit_code(seaway: StubSeaway, run: Run) -> None:
    result = run("deploy", "nothing-like-it", "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout) == {
        "message": "There is no application 'nothing-like-it'.",
        "code": "not_found",
        "exit_code": 5,
    }


def test_json_without_waiting_is_the_receipt(seaway: StubSeaway, run: Run) -> None:
    result = run("deploy", "demo", "--no-wait", "--json")
    assert json.loads(result.stdout)["deployment_uuid"] == DEPLOYMENT
