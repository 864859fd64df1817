"""Which applications a server is needed by: what is configured takes effect with a release only."""

from __future__ import annotations

import threading

import pytest

from domain.configuration import ApplicationConfiguration, ImageSource
from domain.deployments import DeploymentStatus, Step, StepName, StepStatus
from store.releases import HeldRelease
from store.store import Store
from store.tables import Application, Deployment, Server, Team

HERE, THERE = "far", "local"


@pytest.fixture
async def store(servers_store: Store) -> Store:
    return servers_store


async def add(store: Store, *server_ids: str) -> Application:
    team_id = (await store.servers.get(server_ids[0])).team_id
    project = await store.projects.create(team_id=team_id, name="Project")
    environment = await store.projects.environment(project.id, "production")
    row = Application(team_id=team_id, environment_id=environment.id, name="shop", configuration_sealed="")
    configuration = ApplicationConfiguration(
        application_id=row.id,
        name="shop",
        team_id=team_id,
        project_id=project.id,
        server_ids=server_ids,
        source=ImageSource(reference="image"),
    )
    return await store.applications.create(row, configuration)


async def begin(store: Store, shop: Application, *steps: Step) -> Deployment:
    row = await store.deployments.record(Deployment(application_id=shop.id))
    return await store.deployments.begin(row.id, await store.applications.configuration(shop.id), steps)


async def move(store: Store, shop: Application, *server_ids: str) -> None:
    configuration = await store.applications.configuration(shop.id)
    await store.applications.update(shop, configuration.model_copy(update={"server_ids": server_ids}))


async def is_on(store: Store, server_id: str) -> bool:
    return bool(await store.locations.applications_on({server_id}))


async def test_it_lives_where_it_is_configured_before_anything_is_released(store: Store) -> None:
    shop = await add(store, HERE)
    assert await store.locations.applications_on({HERE, THERE}) == [shop.id]
    assert not await is_on(store, THERE)
    assert await store.locations.servers_of(shop) == (HERE,)


async def test_it_lives_where_it_is_being_released_and_then_where_it_serves(store: Store) -> None:
    shop = await add(store, HERE)
    release = await begin(store, shop)
    await move(store, shop, THERE)
    assert await is_on(store, HERE)
    await store.releases.record(shop.id, release.id, {HERE: HeldRelease(release.id, release.id)})
    await store.deployments.update(release.id, status=DeploymentStatus.FINISHED)
    assert await is_on(store, HERE)
    assert await is_on(store, THERE)
    moved = await store.applications.get(shop.id)
    assert await store.locations.servers_of(moved) == (THERE, HERE)
    assert await store.locations.applications_on({HERE}, configured_only=True) == []
    await store.releases.record(shop.id, release.id, {THERE: HeldRelease(release.id, release.id)})
    assert not await is_on(store, HERE)


@pytest.mark.parametrize("name", [StepName.STOP_OLD, StepName.CLEAN_UP, StepName.EDGE])
async def test_it_lives_where_it_was_until_it_is_taken_away(store: Store, name: StepName) -> None:
    """Once a server was given up while an old version was draining there, which cut its visitors off."""
    shop = await add(store, HERE)
    await move(store, shop, THERE)
    steps = [Step(name=one, server=(await store.servers.get(HERE)).name) for one in (StepName.BUILD, name)]
    release = await begin(store, shop, *steps)
    await store.releases.record(shop.id, release.id, {THERE: HeldRelease(release.id, release.id)})
    for status in (StepStatus.PENDING, StepStatus.RUNNING):
        await store.deployments.set_step(release.id, name, steps[1].server, status)
        assert await store.locations.applications_on({HERE}) == [shop.id]
        assert await store.locations.applications_on({HERE}, configured_only=True) == []
        assert await store.locations.applications_on({HERE}, leaving=False) == []
    await store.deployments.set_step(release.id, name, steps[1].server, StepStatus.SUCCEEDED)
    assert not await is_on(store, HERE)


async def test_what_a_deployment_left_undone_keeps_no_server(store: Store) -> None:
    shop = await add(store, HERE)
    await move(store, shop, THERE)
    there = (await store.servers.get(HERE)).name
    release = await begin(store, shop, Step(name=StepName.STOP_OLD, server=there))
    await store.deployments.update(release.id, status=DeploymentStatus.FAILED)
    assert not await is_on(store, HERE)


async def test_a_server_that_was_removed_is_none_of_its_servers(store: Store) -> None:
    """Once the removal of the last server was refused because of one that was gone."""
    shop = await add(store, THERE)
    release = await begin(store, shop)
    held = HeldRelease(release.id, release.id)
    await store.releases.record(shop.id, release.id, {HERE: held, THERE: held})
    assert set(await store.locations.servers_of(shop)) == {HERE, THERE}
    await store.servers.forget(HERE)
    assert await store.locations.servers_of(shop) == (THERE,)


async def test_what_failed_or_stands_still_keeps_no_server(store: Store) -> None:
    shop = await add(store, HERE)
    release = await begin(store, shop)
    await move(store, shop, THERE)
    await store.deployments.update(release.id, status=DeploymentStatus.FAILED)
    assert not await is_on(store, HERE)
    await store.applications.set_state(shop.id, desired_state="stopped", current_deployment_id=release.id)
    assert not await is_on(store, HERE)


async def test_what_runs_since_before_it_was_written_down_is_where_its_release_was_for(store: Store) -> None:
    shop = await add(store, HERE)
    release = await begin(store, shop)
    await move(store, shop, THERE)
    await store.deployments.update(release.id, status=DeploymentStatus.FINISHED)
    await store.applications.set_state(shop.id, desired_state="running", current_deployment_id=release.id)
    assert await is_on(store, HERE)


@pytest.fixture
def opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, threading.Thread]]:
    """What was opened of what is sealed, and in which thread."""
    opened: list[tuple[str, threading.Thread]] = []
    decrypt = store.encryption.decrypt

    def watched(sealed: str) -> str:
        opened.append((sealed, threading.current_thread()))
        return decrypt(sealed)

    monkeypatch.setattr(store.encryption, "decrypt", watched)
    return opened


async def test_what_other_teams_have_is_not_opened(
    store: Store, opened: list[tuple[str, threading.Thread]]
) -> None:
    async with store.database.writing() as session:
        session.add(Team(id="others", name="Dunes"))
        await session.flush()
        session.add(Server(id="theirs", team_id="others", name="theirs"))
    shop = await add(store, HERE)
    await begin(store, await add(store, "theirs"))
    opened.clear()
    assert await store.locations.applications_on({THERE}) == []
    assert await store.locations.applications_with_edge(THERE) == []
    assert not await store.locations.has_mounted_folders(THERE)
    assert {sealed for sealed, _ in opened} == {shop.configuration_sealed, shop.written_sealed}


async def test_what_is_opened_leaves_the_event_loop_alone(
    store: Store, opened: list[tuple[str, threading.Thread]]
) -> None:
    shop = await add(store, HERE)
    release = await begin(store, shop)
    await store.applications.set_state(shop.id, desired_state="running", current_deployment_id=release.id)
    opened.clear()
    assert await store.locations.applications_on({HERE}) == [shop.id]
    assert await store.locations.applications_with_edge(HERE) == []
    assert not await store.locations.has_mounted_folders(HERE)
    assert opened
    assert threading.main_thread() not in {thread for _, thread in opened}
