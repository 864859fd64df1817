"""What is built on a server, for those whose server it is."""

from __future__ import annotations

import httpx
import pytest

from domain.configuration import ApplicationConfiguration, GitSource
from domain.deployments import Step, StepName
from store.tables import Application, Deployment, Server
from tests.integration.api.conftest import Seaway


@pytest.fixture
async def anvil(seaway: Seaway) -> Server:
    """A build server of mine, where one build runs and another one waits."""
    store, team_id = seaway.store, seaway.mine.team.id
    server = await store.servers.create(
        Server(team_id=team_id, name="anvil", address="anvil", is_usable=True)
    )
    project = await store.projects.create(team_id=team_id, name="Harbour")
    environment = (await store.projects.environments(project.id))[0]
    for name in ("shop", "blog"):
        row = Application(team_id=team_id, environment_id=environment.id, name=name, configuration_sealed="")
        configuration = ApplicationConfiguration(
            application_id=row.id,
            name=name,
            team_id=team_id,
            project_id=project.id,
            server_ids=(seaway.mine.server.id,),
            source=GitSource(repository="https://git.example.com/shop.git"),
        )
        application = await store.applications.create(row, configuration)
        await store.deployments.record(Deployment(id=f"build-{name}", application_id=application.id))
        steps = [Step(name=StepName.BUILD, server="anvil")]
        await store.deployments.begin(f"build-{name}", configuration, steps)
    await store.builds.begin("build-shop", server.id, "key")
    await store.builds.wait(
        "build-blog", server.id, shown_on="anvil", server="anvil", message="Queued: 1st of 1 on anvil."
    )
    return server


async def test_the_builds_of_a_server_are_told_with_their_reasons(
    client: httpx.AsyncClient, anvil: Server
) -> None:
    answer = await client.get(f"/servers/{anvil.id}/builds")

    assert answer.status_code == 200
    told = [(one["application_name"], one["state"], one["message"]) for one in answer.json()]
    assert told == [("shop", "building", ""), ("blog", "waiting", "Queued: 1st of 1 on anvil.")]
    assert [one["deployment_uuid"] for one in answer.json()] == ["build-shop", "build-blog"]


async def test_builds_that_are_over_are_not_told(
    seaway: Seaway, client: httpx.AsyncClient, anvil: Server
) -> None:
    await seaway.store.deployments.update("build-shop", status="failed")
    await seaway.store.builds.end(["build-blog"])

    assert (await client.get(f"/servers/{anvil.id}/builds")).json() == []


async def test_another_team_learns_nothing_of_them(seaway: Seaway, anvil: Server) -> None:
    async with seaway.client(seaway.theirs.token) as client:
        assert (await client.get(f"/servers/{anvil.id}/builds")).status_code == 404


async def test_a_server_with_applications_becomes_no_build_server_and_a_build_server_gets_none(
    seaway: Seaway, client: httpx.AsyncClient, anvil: Server
) -> None:
    refused = await client.patch(f"/servers/{seaway.mine.server.id}", json={"is_build_server": True})
    assert (refused.status_code, "a build server runs none" in refused.text) == (400, True)

    changed = await client.patch(f"/servers/{anvil.id}", json={"is_build_server": True})
    assert changed.json()["is_build_server"] is True
    answer = await client.post(
        "/applications/public",
        json={
            "project_uuid": seaway.mine.project.id,
            "server_uuid": anvil.id,
            "git_repository": "https://git.example.com/team/shop.git",
        },
    )
    assert (answer.status_code, "runs no applications" in answer.text) == (400, True), answer.text
