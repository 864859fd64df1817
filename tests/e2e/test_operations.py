"""The one queue of an application, and everything besides deploying that can be done to it."""

from __future__ import annotations

import asyncio

import httpx

from tests.e2e.applications import create, statuses
from tests.e2e.installation import containers_of, images_of, volumes_of
from tests.harness.waiting import eventually

SLOW_BUILD = {
    "Dockerfile": "FROM seaway-test/python:1\nWORKDIR /app\nCOPY . .\nRUN sleep 4\nCMD python3 app.py\n"
}


async def step_runs(application, deployment: str, step: str) -> None:
    """Returns when this step of the deployment runs."""

    async def look() -> bool:
        return statuses(await application.shown(deployment)).get(step) == "running"

    await eventually(look, 30, 0.05, f"step {step}", (httpx.HTTPError,))


async def test_deployments_wait_for_their_turn_and_a_newer_one_replaces_those_that_wait(
    seaway, deployed, git_repository
):
    git_repository.release("v2", SLOW_BUILD)
    running = await deployed.start_deploy()
    await step_runs(deployed, running, "build")
    waiting = await deployed.start_deploy()
    git_repository.release("v3")
    answer = (await seaway.ask("POST", "/deploy", params={"uuid": deployed.uuid}))["deployments"][0]
    assert waiting in answer["message"]
    assert running in answer["message"]
    first, second, third = [
        await deployed.ended(one) for one in (running, waiting, answer["deployment_uuid"])
    ]
    assert [one["outcome"] for one in (first, second, third)] == ["finished", "superseded", "finished"]
    assert second["superseded_by"] == third["uuid"]
    assert second["status"] == "cancelled-by-user"
    assert first["finished_at"] <= third["started_at"]
    assert await deployed.version() == "v3"


async def test_the_same_idempotency_key_is_one_deployment_however_often_and_at_once_it_is_sent(
    seaway, deployed
):
    async def ask() -> str:
        answer = await seaway.ask(
            "POST", "/deploy", params={"uuid": deployed.uuid}, headers={"Idempotency-Key": "run-17"}
        )
        return answer["deployments"][0]["deployment_uuid"]

    ids = set(await asyncio.gather(*[ask() for _ in range(5)]))
    assert len(ids) == 1
    await deployed.finished(ids.pop())
    assert len({await ask()}) == 1
    listed = await seaway.ask("GET", f"/deployments/applications/{deployed.uuid}")
    assert listed["count"] == 2
    status, problem = await seaway.refused(
        "POST", f"/applications/{deployed.uuid}/restart", headers={"Idempotency-Key": "run-17"}
    )
    assert (status, problem["code"]) == (409, "conflict")


async def test_two_people_at_once_are_served_one_after_the_other_and_told(seaway, deployed):
    answers = await asyncio.gather(
        *[seaway.ask("POST", f"/applications/{deployed.uuid}/restart") for _ in range(2)]
    )
    ids = [answer["deployment_uuid"] for answer in answers]
    told = [
        f"after {other}, which" in answer["message"] for answer, other in zip(answers, ids[::-1], strict=True)
    ]
    assert sorted(told) == [False, True], answers
    one, two = sorted(
        [await deployed.finished(answer["deployment_uuid"]) for answer in answers],
        key=lambda shown: shown["started_at"],
    )
    assert one["finished_at"] <= two["started_at"]
    assert len(await deployed.containers()) == 1


async def test_a_running_and_a_waiting_deployment_are_cancelled_and_leave_nothing(
    seaway, deployed, git_repository
):
    before = [one.id for one in await deployed.containers()]
    images = await deployed.images()
    git_repository.release("v2", SLOW_BUILD)
    running = await deployed.start_deploy()
    await step_runs(deployed, running, "build")
    waiting = await deployed.start_deploy()
    async with deployed.load() as load:
        for one in (waiting, running):
            await seaway.ask("POST", f"/deployments/{one}/cancel")
        ended = [await deployed.ended(one, 20) for one in (running, waiting)]
    load.report().assert_no_failures(1)
    assert [one["outcome"] for one in ended] == ["cancelled-by-user"] * 2
    assert [one.id for one in await deployed.containers()] == before
    assert await deployed.images() == images
    status, problem = await seaway.refused("POST", f"/deployments/{running}/cancel")
    assert (status, problem["code"]) == (400, "not_possible_now")


async def test_a_container_that_somebody_runs_from_the_image_is_left_alone(seaway, deployed):
    (replica,) = await deployed.containers()
    name = f"somebodys-{deployed.uuid}"
    theirs = await asyncio.to_thread(
        seaway.docker.containers.run, replica.image.id, ["sleep", "300"], name=name, detach=True
    )
    try:
        assert theirs.labels["seaway.application"] == deployed.uuid
        await deployed.operate("restart")
        await deployed.deploy()
        await deployed.operate("stop")
        await asyncio.to_thread(theirs.reload)
        assert theirs.status == "running"
    finally:
        await asyncio.to_thread(theirs.remove, force=True)


async def test_restart_stop_and_start_keep_the_release_and_take_the_present_variables(seaway, deployed):
    (old,) = await deployed.containers()
    await deployed.set_variables(COLOUR="green")
    async with deployed.load() as load:
        await deployed.operate("restart")
    load.report().assert_no_failures(5)
    (new,) = await deployed.containers()
    assert new.id != old.id
    assert (await deployed.environment())["COLOUR"] == "green"

    await deployed.operate("stop")
    assert await deployed.containers() == []
    assert (await deployed.get()).status_code in (404, 503)
    shown = await seaway.ask("GET", f"/applications/{deployed.uuid}")
    assert (shown["status"].split(":")[0], shown["desired_state"]) == ("exited", "stopped")
    await deployed.operate("stop")
    await deployed.operate("start")
    assert await deployed.version() == "v1"
    assert (await deployed.environment())["COLOUR"] == "green"


async def test_a_deleted_application_leaves_nothing_and_its_domain_is_free_again(
    seaway, new_application, git_repository
):
    application = await new_application()
    await application.mount(type="persistent", name="data", mount_path="/data")
    await application.mount(type="file", mount_path="/etc/app.ini", content="x")
    await application.deploy()
    deployment = (await seaway.ask("GET", f"/deployments/applications/{application.uuid}"))["deployments"][0]
    routes = seaway.data / "proxy"
    assert [one for one in routes.rglob("*") if application.uuid in one.name]
    await application.delete()
    assert (await application.get()).status_code == 404
    assert not [one for one in seaway.data.rglob("*") if application.uuid in one.name]
    assert containers_of(seaway.docker, application.uuid) == []
    assert images_of(seaway.docker, application.uuid) == []
    assert volumes_of(seaway.docker, application.uuid) == []
    assert (await seaway.api.get(f"/deployments/{deployment['uuid']}")).status_code == 404
    database = b"".join(path.read_bytes() for path in seaway.data.glob("seaway.db") if path.exists())
    assert database
    heir = await create(
        seaway,
        git_repository=git_repository.url,
        git_branch="main",
        domain=False,
        domains=f"http://{application.host}",
    )
    await heir.deploy()
    assert (await heir.get("/", application.host)).text == "v1"


async def test_an_application_that_never_ran_is_deleted_as_well(seaway, new_application):
    application = await new_application()
    for verb in ("restart", "scale"):
        status, problem = await seaway.refused(
            "POST",
            f"/applications/{application.uuid}/{verb}",
            json={"replicas": 2} if verb == "scale" else None,
        )
        assert (status, problem["code"]) == (400, "not_possible_now")
        assert "never deployed" in problem["message"]
    await application.delete()
