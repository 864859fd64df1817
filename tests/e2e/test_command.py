"""The `seaway` command against a real Seaway."""

from __future__ import annotations

import asyncio
import json

from tests.e2e.applications import SOON_UNHEALTHY
from tests.e2e.installation import Installation
from tests.harness.waiting import eventually

SLOW = {"Dockerfile": "FROM seaway-test/python:1\nWORKDIR /app\nCOPY . .\nRUN sleep 20\nCMD python3 app.py\n"}


async def test_an_application_lives_its_whole_life_by_the_command(
    seaway: Installation, git_repository, secret_value
):
    run = seaway.command
    secret = secret_value()
    created = await run(
        "app", "create", "shop", "--repo", git_repository.url, "--branch", "main", "--port", "3000",
        "--domain", "http://shop.localhost", "--health-path", "/health", "--env", "COLOUR=blue", "--json",
    )  # fmt: skip
    assert created.exit_code == 0, created
    uuid = created.document["uuid"]
    assert (await run("status", "shop", "--json")).document["deployment"] is None

    deployed = await run("deploy", "shop", "--wait", "--json")
    assert (deployed.exit_code, deployed.document["outcome"]) == (0, "finished"), deployed
    assert (await seaway.proxy.get("/", headers={"Host": "shop.localhost"})).text == "v1"
    shown, listed, build_log, log = await asyncio.gather(
        run("status", "shop", "--json"),
        run("app", "list"),
        run("logs", "--build", deployed.document["uuid"]),
        run("logs", "shop", "--lines", "5"),
    )
    assert shown.document["application"]["status"].startswith("running")
    assert "shop" in listed.output
    assert f"http://shop.localhost:{seaway.ports.http}" in listed.output
    assert "COPY" in build_log.output
    assert "version v1 listens on 0.0.0.0:3000" in log.output

    # The value comes from the command's own environment, where no list of processes shows it.
    assert (await run("env", "set", "shop", "API_KEY", environment={"API_KEY": secret})).exit_code == 0
    assert (await run("env", "set", "shop", "COLOUR=red")).exit_code == 0
    variables = await run("env", "list", "shop")
    assert "API_KEY" in variables.output
    assert secret not in variables.output
    shown_variables = (await run("env", "list", "shop", "--show", "--json")).document
    assert {one["key"]: one["value"] for one in shown_variables} == {"COLOUR": "red", "API_KEY": secret}
    assert (await run("env", "unset", "shop", "API_KEY")).exit_code == 0
    git_repository.release("v2")
    plain = await run("deploy", "shop")
    assert plain.exit_code == 0
    assert "shop is deployed" in plain.output
    assert f"http://shop.localhost:{seaway.ports.http}" in plain.output

    rolled_back = await run("rollback", "shop", "--json")
    assert (rolled_back.exit_code, rolled_back.document["kind"]) == (0, "rollback")
    environment = await seaway.proxy.get("/env", headers={"Host": "shop.localhost"})
    assert environment.json()["COLOUR"] == "blue"
    scaled = await run("scale", "shop", "2", "--json")
    assert (scaled.exit_code, scaled.document["replicas"]) == (0, 2)
    kinds = [one["kind"] for one in (await run("deployments", "shop", "--all", "--json")).document]
    assert kinds == ["scale", "rollback", "deploy", "deploy"]

    assert (await run("rm", "shop")).exit_code == 2
    removed = await run("rm", "shop", "--yes", "--volumes", "--json")
    assert (removed.exit_code, removed.document["status"]) == (0, "finished"), removed
    assert (await seaway.api.get(f"/applications/{uuid}")).status_code == 404


async def test_exit_codes_tell_failure_cancellation_wrong_input_and_absence(
    seaway: Installation, new_application, git_repository
):
    application = await new_application(**SOON_UNHEALTHY)
    git_repository.branch("slow")
    git_repository.commit(SLOW)
    run = seaway.command

    async def cancelled_deployment() -> tuple[int, str]:
        deploying = asyncio.create_task(run("deploy", application.name, "--branch", "slow", "--json"))

        async def running() -> str:
            (listed,) = (await run("deployments", application.name, "--json")).document
            return listed["uuid"] if listed["status"] == "in_progress" else ""

        uuid = await eventually(running, 30, ignored=(ValueError, AssertionError))
        assert (await run("cancel", uuid)).exit_code == 0
        result = await deploying
        return result.exit_code, result.document["outcome"]

    assert await cancelled_deployment() == (3, "cancelled-by-user")
    wrong_branch, unknown, wrong_field, wrong_token, not_there = await asyncio.gather(
        run("deploy", application.name, "--branch", "no-such-branch"),
        run("deploy", "no-such-application", "--json"),
        run("app", "set", application.name, "port=70000", "--json"),
        run("app", "list", environment={"SEAWAY_TOKEN": "1|wrong"}),
        run("app", "list", environment={"SEAWAY_URL": "http://127.0.0.1:9"}),
    )
    assert wrong_branch.exit_code == 1
    assert "no-such-branch" in wrong_branch.output + wrong_branch.errors
    assert (unknown.exit_code, unknown.document["code"]) == (5, "not_found")
    assert (wrong_field.exit_code, list(wrong_field.document["errors"])) == (2, ["ports_exposes"])
    assert wrong_token.exit_code == 4
    assert not_there.exit_code == 4
    assert "seaway up" in not_there.errors
    await application.set_variables(HEALTH_STATUS="500")
    unhealthy = await run("deploy", application.name, "--branch", "main", "--json")
    assert unhealthy.exit_code == 1
    assert json.loads(unhealthy.output)["error"]["code"] == "release_unhealthy"
