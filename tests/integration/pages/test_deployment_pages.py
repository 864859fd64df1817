from __future__ import annotations

from domain.deployments import DeploymentStatus, StepName, StepStatus
from tests.harness.pages_seeds import seed_harbour
from tests.harness.pages_world import World
from tests.integration.pages.conftest import Visit


async def test_steps_log_and_the_way_to_the_workflow_are_shown(visit: Visit, world: World) -> None:
    seeded = await seed_harbour(world)
    page = (await visit.get(seeded["running"])).text
    deployment_id = seeded["running"].rpartition("/")[2]
    for text in ("Resolve source", "Build image", "Switch traffic", "1 of 8", "Compiled 1,204 modules"):
        assert text in page
    assert f"http://127.0.0.1:8233/namespaces/default/workflows/deployment%2F{deployment_id}" in page
    assert f'data-stream="/api/v1/deployments/{deployment_id}/stream"' in page
    assert f"{seeded['running']}/cancel" in page


async def test_a_failure_says_where_why_and_what_to_do(visit: Visit, world: World) -> None:
    seeded = await seed_harbour(world)
    page = (await visit.get(seeded["failed"])).text
    assert "Failed at: Check health" in page
    assert "answered 500 in 60 tries" in page
    assert "KeyError: &#39;INVOICE_START&#39;" in page
    assert "What ran before is untouched" in page
    assert "data-stream" not in page


async def test_hostile_log_lines_are_text(visit: Visit, world: World) -> None:
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    await world.write(deployment, StepName.BUILD, "</div><script>alert(1)</script>")
    await world.step(deployment, StepName.BUILD, StepStatus.RUNNING, "<script>alert(2)</script>")
    page = (await visit.get(f"/deployments/{deployment.id}")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_a_superseded_deployment_leads_to_the_newer_one(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    newer = await world.deployment(application)
    older = await world.deployment(application, status=DeploymentStatus.SUPERSEDED, superseded_by=newer.id)
    assert f'href="/deployments/{newer.id}"' in (await visit.get(f"/deployments/{older.id}")).text


async def test_a_queued_deployment_waits_and_its_queue_is_linked(visit: Visit, world: World) -> None:
    application = await world.application("Shop")
    deployment = await world.deployment(application)
    page = (await visit.get(f"/deployments/{deployment.id}")).text
    assert "Its steps will be listed here" in page
    assert f"/workflows/application%2F{application.id}" in page


async def test_once_the_old_version_stops_cancel_is_not_offered(visit: Visit, world: World) -> None:
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    url = f"/deployments/{deployment.id}"
    assert f"{url}/cancel" in (await visit.get(url)).text
    await world.step(deployment, StepName.STOP_OLD, StepStatus.RUNNING)
    assert f"{url}/cancel" not in (await visit.get(url)).text


async def test_numbers_go_on_over_steps_and_a_newer_attempt_is_named(visit: Visit, world: World) -> None:
    deployment = await world.begin(await world.deployment(await world.application("Shop")))
    await world.write(deployment, StepName.RESOLVE_SOURCE, "a", "b")
    await world.write(deployment, StepName.BUILD, "c", attempt=2)
    page = (await visit.get(f"/deployments/{deployment.id}")).text
    assert 'data-number="3"><span>c</span>' in page
    assert "Build image, attempt 2" in page
