"""Deployments as they are shown, cancelled and followed live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping

import httpx
import pytest

from api.streams import DeploymentFollower, allow_streams, answer_with, end_streams
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName, StepStatus
from domain.errors import NotPossibleNow
from store.columns import now
from store.tables import Deployment
from tests.integration.api.conftest import Seaway

SERVER = "localhost"
BUILD, START = StepName.BUILD, StepName.START


@pytest.fixture
async def deployment(seaway: Seaway, application: dict[str, object]) -> Deployment:
    """A running deployment with two steps and three lines."""
    store, application_id = seaway.store, str(application["uuid"])
    row = await store.deployments.record(
        Deployment(application_id=application_id, branch="main", requested_by="mine@example.com")
    )
    configuration = await store.applications.configuration(application_id)
    steps = [Step(name=BUILD, server=SERVER), Step(name=START, server=SERVER)]
    await store.deployments.begin(row.id, configuration, steps)
    await store.deployments.set_step(row.id, BUILD, SERVER, StepStatus.RUNNING, attempt=1)
    await write(seaway, row.id, 1, "one", "two", "three")
    return await store.deployments.get(row.id)


async def write(seaway: Seaway, deployment_id: str, attempt: int, *texts: str) -> None:
    await seaway.store.logs.append(deployment_id, BUILD, SERVER, attempt, [(now(), text) for text in texts])


async def finish(seaway: Seaway, deployment_id: str, status: DeploymentStatus, **values: object) -> None:
    await seaway.store.deployments.update(deployment_id, status=status, finished_at=now(), **values)


async def events_of(answer: httpx.Response) -> list[tuple[str, str | None, dict[str, object]]]:
    """The name, id and data of each event."""
    found = []
    for block in answer.text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


async def test_a_deployment_is_shown_with_its_steps_and_its_log(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment, application: dict[str, object]
) -> None:
    shown = (await client.get(f"/deployments/{deployment.id}")).json()
    assert shown["deployment_uuid"] == shown["uuid"] == deployment.id
    assert (shown["status"], shown["outcome"], shown["kind"]) == ("in_progress", None, "deploy")
    assert (shown["commit"], shown["branch"], shown["is_api"]) == ("HEAD", "main", True)
    assert (shown["application_name"], shown["server_name"]) == ("shop", "server of mine")
    assert shown["deployment_url"] == f"http://seaway.test/deployments/{deployment.id}"
    workflow = f"deployment%2F{deployment.id}"
    assert shown["workflow_url"] == f"http://temporal.test/namespaces/default/workflows/{workflow}"
    assert [(one["name"], one["status"]) for one in shown["steps"]] == [
        ("build", "running"),
        ("start", "pending"),
    ]
    assert [entry["output"] for entry in json.loads(shown["logs"])] == ["one", "two", "three"]
    assert (await client.get(f"/deployments/{deployment.id}/steps")).json() == shown["steps"]
    (brief,) = (await client.get("/deployments")).json()
    assert {**brief, "steps": shown["steps"], "logs": shown["logs"]} == shown


async def test_the_log_is_hidden_from_those_who_may_not_see_secrets(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    await finish(seaway, deployment.id, DeploymentStatus.FINISHED)
    async with seaway.client(await seaway.token_with("read")) as limited:
        assert (await limited.get(f"/deployments/{deployment.id}")).json()["logs"] is None
        assert (await limited.get(f"/deployments/{deployment.id}/log")).status_code == 403
        events = await events_of(await limited.get(f"/deployments/{deployment.id}/stream"))
        assert [name for name, _, _ in events] == ["step", "step", "end"]


async def test_a_superseded_deployment_is_a_cancelled_one_for_clients_of_coolify(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    await finish(seaway, deployment.id, DeploymentStatus.SUPERSEDED, superseded_by="d" * 24)
    shown = (await client.get(f"/deployments/{deployment.id}")).json()
    assert (shown["status"], shown["outcome"]) == ("cancelled-by-user", "superseded")
    assert shown["superseded_by"] == "d" * 24
    assert (await client.get("/deployments")).json() == []


async def test_a_failure_tells_what_and_why(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    error = {"error_code": "build_failed", "error_message": "It failed.", "error_detail": "line 3"}
    await finish(seaway, deployment.id, DeploymentStatus.FAILED, **error)
    shown = (await client.get(f"/deployments/{deployment.id}")).json()
    assert shown["error"] == {"code": "build_failed", "message": "It failed.", "detail": "line 3"}


async def test_deployments_of_an_application_come_page_by_page(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    kinds = [OperationKind.DEPLOY, OperationKind.STOP, OperationKind.RESTART, OperationKind.ROLLBACK]
    rows = [
        await seaway.store.deployments.record(Deployment(application_id=uuid, kind=kind)) for kind in kinds
    ]
    page = (await client.get(f"/deployments/applications/{uuid}", params={"take": 2})).json()
    assert page["count"] == 3
    assert [one["uuid"] for one in page["deployments"]] == [rows[3].id, rows[2].id]
    rest = (await client.get(f"/deployments/applications/{uuid}", params={"skip": 2})).json()
    assert [one["uuid"] for one in rest["deployments"]] == [rows[0].id]
    everything = (await client.get(f"/applications/{uuid}/operations")).json()
    assert everything["count"] == 4
    assert [one["kind"] for one in everything["operations"]] == ["rollback", "restart", "stop", "deploy"]


async def test_the_log_is_read_on_after_the_last_line(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    path = f"/deployments/{deployment.id}/log"
    first = (await client.get(path, params={"limit": 2})).json()
    assert [one["text"] for one in first["lines"]] == ["one", "two"]
    assert first["is_open"] is True
    second = (await client.get(path, params={"after": first["next_after"]})).json()
    assert [one["text"] for one in second["lines"]] == ["three"]
    await finish(seaway, deployment.id, DeploymentStatus.FINISHED)
    third = (await client.get(path, params={"after": second["next_after"]})).json()
    assert third == {"lines": [], "next_after": second["next_after"], "is_open": False}


async def test_cancelling_asks_the_workflow_and_tells_the_status(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    answer = await client.post(f"/deployments/{deployment.id}/cancel")
    assert seaway.operations.cancelled == [deployment.id]
    assert answer.json() == {
        "message": "Deployment cancelled successfully.",
        "deployment_uuid": deployment.id,
        "status": "cancelled-by-user",
    }
    seaway.operations.refusal = NotPossibleNow("Deployment cannot be cancelled. Current status: finished")
    refused = await client.post(f"/deployments/{deployment.id}/cancel")
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        "Deployment cannot be cancelled. Current status: finished",
    )


async def test_the_stream_of_a_finished_deployment_tells_everything_and_ends(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    await finish(seaway, deployment.id, DeploymentStatus.FINISHED)
    answer = await client.get(f"/deployments/{deployment.id}/stream")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    events = await events_of(answer)
    assert [name for name, _, _ in events] == ["step", "step", "log", "log", "log", "end"]
    assert [data["text"] for name, _, data in events if name == "log"] == ["one", "two", "three"]
    assert all(event_id == str(data["id"]) for name, event_id, data in events if name == "log")
    assert events[-1][2] == {"status": "finished", "outcome": "finished", "error": None}


async def test_a_reader_who_comes_back_gets_only_the_lines_that_are_new(
    seaway: Seaway, client: httpx.AsyncClient, deployment: Deployment
) -> None:
    await finish(seaway, deployment.id, DeploymentStatus.FAILED)
    path = f"/deployments/{deployment.id}/stream"
    logs = [one for one in await events_of(await client.get(path)) if one[0] == "log"]
    again = await client.get(path, headers={"Last-Event-ID": str(logs[1][1])})
    assert [one for one in await events_of(again) if one[0] == "log"] == logs[2:]
    by_query = await client.get(path, params={"after": str(logs[1][1])})
    assert await events_of(by_query) == await events_of(again)
    for odd in ("x", "-1", "9" * 40):
        assert (await client.get(path, headers={"Last-Event-ID": odd})).status_code == 200


async def follow(seaway: Seaway, deployment: Deployment, **options: float) -> AsyncIterator[tuple[str, dict]]:
    context = seaway.app.state.context
    follower = DeploymentFollower(context, deployment, after=0, with_log=True, **options)
    async for event in follower.events():
        yield str(event.event), json.loads(str(event.data))


async def until(stream: AsyncIterator[tuple[str, dict]], name: str) -> dict:
    async for found, data in stream:
        if found == name:
            return data
    raise AssertionError(f"the stream ended without {name}")


async def test_a_live_stream_tells_each_change_as_it_happens(seaway: Seaway, deployment: Deployment) -> None:
    stream = follow(seaway, deployment)
    async with asyncio.timeout(20):
        for text in ("one", "two", "three"):
            assert (await until(stream, "log"))["text"] == text
        await write(seaway, deployment.id, 1, "four")
        assert (await until(stream, "log"))["text"] == "four"
        await seaway.store.deployments.set_step(deployment.id, BUILD, SERVER, StepStatus.SUCCEEDED)
        step = await until(stream, "step")
        assert (step["name"], step["title"], step["status"]) == ("build", "Build image", "succeeded")
        await finish(seaway, deployment.id, DeploymentStatus.FINISHED)
        assert (await until(stream, "end"))["status"] == "finished"


async def test_a_new_attempt_of_a_step_tells_readers_to_forget_the_old_lines(
    seaway: Seaway, deployment: Deployment
) -> None:
    stream = follow(seaway, deployment)
    async with asyncio.timeout(20):
        assert (await until(stream, "log"))["text"] == "one"
        await seaway.store.logs.open(deployment.id, BUILD, SERVER, 2)
        await write(seaway, deployment.id, 2, "again")
        reset = await until(stream, "reset")
        assert reset == {"step": "build", "server": SERVER, "attempt": 2}
        assert (await until(stream, "log"))["text"] == "again"
        await finish(seaway, deployment.id, DeploymentStatus.FINISHED)
        rest = [name async for name, _ in stream]
        assert "reset" not in rest
        assert rest[-1] == "end"


async def test_a_stream_of_a_deployment_that_never_ends_is_bounded(
    seaway: Seaway, deployment: Deployment
) -> None:
    async with asyncio.timeout(20):
        names = [name async for name, _ in follow(seaway, deployment, maximum_seconds=0)]
    assert names == ["step", "step", "log", "log", "log"]


async def test_a_deletion_that_took_its_own_record_with_it_has_finished(
    seaway: Seaway, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    row = await seaway.store.deployments.record(Deployment(application_id=uuid, kind=OperationKind.DELETE))
    stream = follow(seaway, row)
    await seaway.store.applications.forget(uuid)
    async with asyncio.timeout(20):
        assert (await until(stream, "end"))["status"] == "finished"


async def test_runtime_lines_are_streamed_as_they_come(
    seaway: Seaway, client: httpx.AsyncClient, application: dict[str, object]
) -> None:
    uuid = str(application["uuid"])
    path = f"/applications/{uuid}/logs/stream"
    answer = await client.get(path, params={"lines": 5})
    assert await events_of(answer) == [
        ("log", "after first", {"text": "first"}),
        ("log", "after second", {"text": "second"}),
        ("log", None, {"text": "Some are missing."}),
    ]
    with_times = await events_of(await client.get(path, params={"show_timestamps": True}))
    texts = [data["text"] for _, _, data in with_times]
    assert texts == [
        "2026-05-04T03:02:01.000123Z first",
        "2026-05-04T03:02:01.000123Z second",
        "Some are missing.",
    ]
    for last in ("after second", ""):
        await client.get(path, headers={"Last-Event-ID": last})
    assert seaway.runtime.asked == [
        (uuid, 5, ""),
        (uuid, 100, ""),
        (uuid, 100, "after second"),
        (uuid, 100, ""),
    ]


async def test_a_server_that_stops_is_not_held_up_by_streams(seaway: Seaway, deployment: Deployment) -> None:
    follower = DeploymentFollower(seaway.app.state.context, deployment, after=0, with_log=True)
    sent: asyncio.Queue[MutableMapping[str, object]] = asyncio.Queue()
    response = answer_with(follower.events(), for_team=seaway.mine.team.id)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    async with asyncio.timeout(30):
        streaming = asyncio.create_task(response(scope, asyncio.Event().wait, sent.put))  # type: ignore[arg-type]
        assert (await sent.get())["type"] == "http.response.start"
        try:
            end_streams()
            await streaming
        finally:
            allow_streams()
