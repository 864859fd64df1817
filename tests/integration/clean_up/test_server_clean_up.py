"""A server is cleaned of what nobody needs, and of nothing else; a full disk is told before a build."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import docker
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities import messages as m
from activities import server_clean_up
from activities import signatures as s
from activities.builds import BuildActivities
from activities.clean_up import CleanUpActivities
from activities.disk_guard import require_free_disk
from activities.pulled_names import pull_image
from activities.server_clean_up import CleanedUp, ServerCleanUpActivities, clean_server
from activities.servers import Surroundings, SwarmParts
from adapters.docker import DockerEngine
from adapters.traefik.folder import LocalRouteFolder
from adapters.traefik.tunnels import ProxyTunnels, tunnel_name
from api.server_clean_up import ServerCleanUps
from domain import clean_up
from domain.configuration import ApplicationConfiguration, GitSource, ImageSource
from domain.deployments import DeploymentStatus, StepName
from domain.errors import DiskFull, EngineUnavailable
from domain.identifiers import new_identifier
from domain.registries import RegistryLogin
from domain.replicas import application_labels
from seaway.schedules import ensure_schedules
from seaway.servers import SeawayServers
from seaway.settings import Settings
from store.columns import now
from store.database import Database
from store.encryption import KeyRing
from store.store import Store
from store.tables import Application, Deployment, PulledName
from store.tables.applications import DesiredState
from tests.harness.images import BaseImages
from tests.harness.private_registry import PrivateRegistry
from tests.harness.waiting import eventually
from workflows import names
from workflows.server_clean_up import CleanUpWorkflow

# The engine is shared with every other test.
ALL = 10**18
SHOP = ImageSource(reference="shop:1")
UNUSED = cast(Any, None)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite:///{tmp_path / 'seaway.db'}")
    await database.migrate()
    yield Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    await database.close()


@pytest.fixture
async def servers(store: Store, tmp_path: Path) -> AsyncIterator[SeawayServers]:
    made = SeawayServers(store, Settings(data_dir=tmp_path))
    yield made
    await made.close()


async def application_with_releases(
    store: Store, images: list[str], source: GitSource | ImageSource = SHOP
) -> tuple[str, list[str]]:
    """An application that keeps one image, and has released these in turn; its id and theirs."""
    _, team = await store.access.create_user(
        email=f"{uuid4().hex}@example.com", password=SecretStr("correct horse"), team_name="team"
    )
    server = await store.servers.ensure_local(team_id=team.id, wildcard_domain="")
    project = await store.projects.create(team_id=team.id, name="p")
    environment = (await store.projects.environments(project.id))[0]
    application = Application(
        team_id=team.id, environment_id=environment.id, name="shop", configuration_sealed=""
    )
    configuration = ApplicationConfiguration(
        application_id=application.id,
        name="shop",
        team_id=team.id,
        project_id=project.id,
        source=source,
        server_ids=(server.id,),
        images_to_keep=1,
    )
    await store.applications.create(application, configuration)
    releases: list[str] = []
    for age, image in enumerate(reversed(images)):
        deployment = await store.deployments.record(Deployment(application_id=application.id))
        await store.deployments.begin(deployment.id, configuration, [])
        await store.deployments.update(
            deployment.id,
            image=f"seaway/{application.id}:{image}",
            status=DeploymentStatus.FINISHED,
            finished_at=now() - timedelta(hours=age),
            release_id=deployment.id,
        )
        releases.insert(0, deployment.id)
    await store.applications.set_state(
        application.id, desired_state=DesiredState.RUNNING, current_deployment_id=releases[-1]
    )
    return application.id, releases


@pytest.fixture
def base(engine: docker.DockerClient, base_images: BaseImages) -> str:
    return base_images.python


async def test_only_what_seaway_made_and_nobody_needs_is_removed(store, servers, engine, base, monkeypatch):
    monkeypatch.setattr(clean_up, "STOPPED_FOR", timedelta(0))
    application, (former, current) = await application_with_releases(store, ["old", "new"])
    foreign = f"stranger{uuid4().hex[:8]}"
    image = engine.images.get(base)
    ours = [f"seaway/{application}:{tag}" for tag in ("old", "new")]
    others = [f"seaway/{foreign}:old", f"{foreign}:old", f"{application}:old"]
    for name in (*ours, *others):
        image.tag(*name.split(":"))

    def ended(name: str, application_id: str, role: str, release: str) -> str:
        labels = application_labels(application_id) | {"seaway.role": role, "seaway.release": release}
        container = engine.containers.run(base, ["true"], name=name, labels=labels, detach=True)
        container.wait()
        return name

    going = {
        ended(f"{application}-{former}-1", application, "replica", former),
        ended(f"{application}-{former}-release", application, "release-command", ""),
    }
    staying = {
        ended(f"{application}-{current}-1", application, "replica", current),
        ended(f"{foreign}-{former}-1", foreign, "replica", former),
        ended(f"copied-labels-{foreign}", application, "replica", former),
        ended(f"{application}-mine", application, "", ""),
    }
    volume = engine.volumes.create(f"{foreign}-volume", labels=application_labels(application))
    network = engine.networks.create(f"{foreign}-network", labels=application_labels(application))
    try:
        local = (await store.servers.deployable())[0].id
        parts = await servers.parts(local)

        async def clean() -> CleanedUp:
            return await clean_server(parts, store, local, keep_cache_bytes=ALL)

        busy = await store.deployments.record(Deployment(application_id=application))
        assert not str(await clean())
        await store.deployments.update(busy.id, status=DeploymentStatus.FAILED)
        cleaned = await clean()
        assert (set(cleaned.containers), cleaned.images, cleaned.cache_bytes) == (going, (ours[0],), 0)
        assert str(cleaned) == "Removed 2 containers, 1 image."
        assert not str(await clean())
        left = {one.name for one in engine.containers.list(all=True, ignore_removed=True)}
        assert staying <= left
        assert not going & left
        tags = {tag for one in engine.images.list() for tag in one.tags}
        assert {ours[1], *others} <= tags
        volume.reload()
        network.reload()
    finally:
        for name in going | staying:
            for container in engine.containers.list(all=True, filters={"name": f"^/{name}$"}):
                container.remove(force=True)
        for name in (*ours, *others):
            if engine.images.list(name):
                engine.images.remove(name)
        volume.remove()
        network.remove()


async def test_a_rollback_that_begins_while_others_images_go_keeps_its_own(
    store, servers, engine, base, monkeypatch
):
    """What was found to be surplus before may be needed when its turn comes."""
    first, _ = await application_with_releases(store, ["old", "new"])
    second, _ = await application_with_releases(store, ["old", "new"])
    images = sorted(f"seaway/{one}:old" for one in (first, second))
    for name in images:
        engine.images.get(base).tag(*name.split(":"))
    local = (await store.servers.deployable())[0].id
    parts = await servers.parts(local)
    remove = parts.engine.remove_image

    async def removing(name: str) -> bool:
        for other in images:
            if name != other:
                later = other.removeprefix("seaway/").partition(":")[0]
                await store.deployments.record(Deployment(application_id=later))
        return await remove(name)

    monkeypatch.setattr(parts.engine, "remove_image", removing)
    try:
        cleaned = await clean_server(parts, store, local, keep_cache_bytes=ALL)
        assert len(cleaned.images) == 1
        (kept,) = set(images) - set(cleaned.images)
        assert engine.images.list(kept)
    finally:
        for name in images:
            if engine.images.list(name):
                engine.images.remove(name)


async def test_a_volume_that_somebody_else_uses_holds_up_neither_its_deletion_nor_the_clean_up(
    store, servers, engine, base
):
    application, _ = await application_with_releases(store, ["only"])
    surviving, _ = await application_with_releases(store, ["old", "new"])
    local = (await store.servers.deployable())[0].id
    image = f"seaway/{surviving}:old"
    engine.images.get(base).tag(*image.split(":"))
    volume = engine.volumes.create(f"{application}-data", labels=application_labels(application))
    user = engine.containers.create(
        base, ["true"], name=f"backup-{application}", volumes={volume.name: {"bind": "/data"}}
    )
    stays = f"The volume {volume.name} stays, because {user.name} uses it"
    step = m.StepReference(deployment_id="deletion", name=StepName.CLEAN_UP, server="local")
    deletion = m.CleanUp(
        step=step, application_id=application, server_id=local, everything=True, delete_volumes=True
    )
    clean_ups = ServerCleanUpActivities(store, servers, build_cache_bytes=ALL)
    task = m.ServerTask(server_id=local)
    try:
        await store.deletions.expect(application, [local], delete_volumes=True)
        outcome = await ActivityEnvironment().run(CleanUpActivities(store, servers).clean_up, deletion)
        assert stays in outcome.message
        await store.applications.forget(application)

        outcome = await ActivityEnvironment().run(clean_ups.clean_up_server, task)
        assert outcome.message.startswith(f"Removed 1 image. {stays}")
        [left] = await store.deletions.left_on(local)
        assert left.since > now(), "looks at the server, one each minute, need not try it"

        user.remove()
        outcome = await ActivityEnvironment().run(clean_ups.clean_up_server, task)
        assert stays not in outcome.message
        assert await store.deletions.left_on(local) == []
        assert not engine.volumes.list(filters={"name": volume.name})
    finally:
        for container in engine.containers.list(all=True, filters={"name": f"^/backup-{application}$"}):
            container.remove(force=True)
        for one in engine.volumes.list(filters={"name": volume.name}):
            one.remove()
        if engine.images.list(image):
            engine.images.remove(image)


async def test_ways_to_tasks_that_a_killed_worker_left_go_while_no_release_may_need_them(
    store, servers, tmp_path
):
    application, _ = await application_with_releases(store, ["new"])
    local = (await store.servers.deployable())[0].id
    folder = LocalRouteFolder(tmp_path / "routes")
    await folder.prepare()
    for name in (tunnel_name("10.0.0.7", 3000), application):
        await folder.write(name, "{}")
    tunnels = ProxyTunnels(folder, UNUSED, 0, UNUSED)
    parts = replace(await servers.parts(local), swarm=SwarmParts(tunnels, "proxy"))
    busy = await store.deployments.record(Deployment(application_id=application))
    await clean_server(parts, store, local, keep_cache_bytes=ALL)
    assert len(await folder.names()) == 2
    await store.deployments.update(busy.id, status=DeploymentStatus.FAILED)
    await clean_server(parts, store, local, keep_cache_bytes=ALL)
    assert await folder.names() == {application}


async def test_a_release_that_begins_during_a_clean_up_keeps_its_way_to_its_tasks(
    store, servers, engine, base, tmp_path, monkeypatch
):
    """Its way may have the name of one that was left, and it writes the file of it only once."""
    application, _ = await application_with_releases(store, ["old", "new"])
    local = (await store.servers.deployable())[0].id
    folder = LocalRouteFolder(tmp_path / "routes")
    await folder.prepare()
    tunnels = ProxyTunnels(folder, UNUSED, 0, UNUSED)
    parts = replace(await servers.parts(local), swarm=SwarmParts(tunnels, "proxy"))
    left = [tunnel_name(host, 3000) for host in ("10.0.0.7", "10.0.0.8")]
    image = f"seaway/{application}:old"
    engine.images.get(base).tag(*image.split(":"))
    remove_image, remove_tunnel = parts.engine.remove_image, tunnels.remove
    begun: list[str] = []

    async def begin() -> None:
        begun.append((await store.deployments.record(Deployment(application_id=application))).id)
        for name in left:
            await folder.write(name, "{}")

    async def removing_image(name: str) -> bool:
        await begin()
        return await remove_image(name)

    async def removing_tunnel(name: str) -> None:
        await remove_tunnel(name)
        await begin()

    for name in left:
        await folder.write(name, "{}")
    try:
        monkeypatch.setattr(parts.engine, "remove_image", removing_image)
        await clean_server(parts, store, local, keep_cache_bytes=ALL)
        assert len(begun) == 1
        assert await folder.names() == set(left)

        await store.deployments.update(begun[0], status=DeploymentStatus.FAILED)
        monkeypatch.setattr(tunnels, "remove", removing_tunnel)
        await clean_server(parts, store, local, keep_cache_bytes=ALL)
        assert len(begun) == 2
        assert await folder.names() == set(left)
    finally:
        if engine.images.list(image):
            engine.images.remove(image)


async def test_what_cannot_be_taken_of_a_deleted_application_leaves_nothing_else_uncleaned(
    store, servers, engine, base, monkeypatch
):
    async def fails(*_: object) -> None:
        raise EngineUnavailable("its driver refuses")

    monkeypatch.setattr(server_clean_up, "take_deleted_away", fails)
    application, _ = await application_with_releases(store, ["old", "new"])
    task = m.ServerTask(server_id=(await store.servers.deployable())[0].id)
    image = f"seaway/{application}:old"
    engine.images.get(base).tag(*image.split(":"))
    clean_ups = ServerCleanUpActivities(store, servers, build_cache_bytes=ALL)
    with pytest.raises(EngineUnavailable, match="its driver refuses"):
        await ActivityEnvironment().run(clean_ups.clean_up_server, task)
    assert not engine.images.list(image)


@pytest.fixture
async def registry(tmp_path: Path, engine: docker.DockerClient, base: str) -> AsyncIterator[PrivateRegistry]:
    """One that has two versions of an image, which the engine has not."""
    async with PrivateRegistry(tmp_path / "registry", "robot", "battery staple") as made:
        for version in ("1", "2"):
            dockerfile = BytesIO(f"FROM {base}\nLABEL version={uuid4().hex}\n".encode())
            image, _ = await asyncio.to_thread(engine.images.build, fileobj=dockerfile, rm=True)
            await asyncio.to_thread(made.push, engine, image.id, f"team/shop:{version}")
        yield made


async def dies(*_: object) -> None:
    """What a worker's death is to a call of the engine that it is about to make."""
    raise asyncio.CancelledError


async def test_a_pulled_image_has_our_name_only_whatever_died_on_the_way(store, servers, engine, registry):
    await application_with_releases(store, ["new"])
    local = (await store.servers.deployable())[0].id
    parts = await servers.parts(local)
    login = RegistryLogin(registry.host, registry.username, SecretStr(registry.password))
    application = new_identifier()
    ours = f"seaway/{application}:new"

    def tags() -> set[str]:
        listed = engine.api.images()
        return {tag for one in listed for tag in one["RepoTags"] or () if registry.host in tag}

    async def pull(reference: str, method: str = "") -> str:
        dying = replace(parts, engine=DockerEngine(parts.engine.socket))
        if method:
            setattr(dying.engine, method, dies)
        name = PulledName(server_id=local, reference=reference, application_id=application)
        try:
            return await pull_image(dying, store, name, ours, print, [login])
        finally:
            await dying.engine.close()

    first, second = (f"{registry.host}/team/shop:{version}" for version in ("1", "2"))
    try:
        for method in ("tag", "remove_image"):
            with pytest.raises(asyncio.CancelledError):
                await pull(first, method)
            assert tags() == {first}
            pulled = await pull(first)
            assert tags() == set()
            assert engine.images.get(ours).id == pulled
        assert await store.pulled_names.on_server(local) == []

        # Nobody tries again: the next clean-up takes the name off.
        with pytest.raises(asyncio.CancelledError):
            await pull(first, "tag")
        cleaned = await clean_server(parts, store, local, keep_cache_bytes=ALL)
        assert (cleaned.images, tags()) == ((first,), set())
        assert await store.pulled_names.on_server(local) == []
        engine.images.remove(ours)

        # What somebody else has pulled under that name is theirs, also after a death.
        engine.images.pull(second, auth_config={"username": "robot", "password": registry.password})
        assert second not in await parts.engine.strangers()
        with pytest.raises(asyncio.CancelledError):
            await pull(second, "tag")
        await pull(second)
        # It has been given a name here now, as an image has that somebody built here and pushed.
        assert second in await parts.engine.strangers()
        assert not str(await clean_server(parts, store, local, keep_cache_bytes=ALL))
        assert tags() == {second}
        engine.images.remove(ours)
        assert engine.images.get(second)
    finally:
        for name in (first, second, ours):
            if engine.images.list(name):
                engine.images.remove(name)


async def test_a_build_on_a_nearly_full_disk_does_not_begin(store, servers, monkeypatch):
    await application_with_releases(store, ["new"])
    parts = await servers.parts((await store.servers.deployable())[0].id)
    await require_free_disk(parts, 1, "here")
    with pytest.raises(DiskFull, match=r"The disk of here has .* left; a build needs 1000000\.0 GB"):
        await require_free_disk(parts, 10**15, "here")


async def test_the_build_of_a_release_looks_for_room_before_it_asks_for_anything_else(
    store, servers, tmp_path
):
    source = GitSource(repository="https://git.example.com/shop.git", branch="main")
    application, (current,) = await application_with_releases(store, ["new"], source)
    local = (await store.servers.deployable())[0]
    step = m.StepReference(deployment_id=current, name=StepName.BUILD, server=local.name)
    build = m.BuildImage(
        step=step,
        application_id=application,
        server_id=local.id,
        commit="c0ffee",
        image=f"seaway/{application}:newer",
    )
    surroundings = Surroundings(work_folder=tmp_path, minimum_free_disk_bytes=10**15)
    # With neither Git nor BuildKit nor a slot to build in, nothing else could be asked.
    activities = BuildActivities(store, servers, UNUSED, UNUSED, surroundings, UNUSED)
    with pytest.raises(DiskFull, match=f"The disk of {local.name} has .* left; a build needs"):
        await ActivityEnvironment().run(activities.build, build)


async def test_a_clean_up_is_told_once_and_the_same_failure_of_the_clocks_only_at_first(store, servers):
    activities = ServerCleanUpActivities(store, servers, build_cache_bytes=ALL)

    async def told(event_id: str, **how: Any) -> list[tuple[str, str]]:
        await activities.record(m.CleanUpReport(server_id="far", event_id=event_id, **how))
        return [(one.kind, one.message) for one in await store.watch.events("far")]

    first = await told("a", message="Removed 1 image.")
    assert first == [("cleaned_up", "Removed 1 image.")]
    assert await told("a", message="") == first
    failed = [("clean_up_failed", "No answer."), *first]
    assert await told("b", error="No answer.", was_asked_for=False) == failed
    assert await told("c", error="No answer.", was_asked_for=False) == failed
    assert await told("d", error="No answer.") == [failed[0], *failed]
    assert (await told("e"))[0] == ("cleaned_up", "There was nothing to remove.")
    assert (await told("f", error="No answer.", was_asked_for=False))[0] == failed[0]


async def test_the_clock_cleans_every_server_and_one_that_fails_keeps_none_waiting(
    temporal_client: Client, tmp_path
):
    cleaned: list[str] = []
    told: dict[str, m.CleanUpReport] = {}

    @activity.defn(name=s.SERVERS_TO_CLEAN.name)
    async def servers_to_clean(_: m.Nothing) -> m.ServersToClean:
        return m.ServersToClean(server_ids=("lost", "one", "two"))

    @activity.defn(name=s.CLEAN_UP_SERVER.name)
    async def clean_up_server(task: m.ServerTask) -> m.StepOutcome:
        if task.server_id == "lost":
            from temporalio.exceptions import ApplicationError

            raise ApplicationError("gone", non_retryable=True)
        cleaned.append(task.server_id)
        if task.server_id == "one":
            return m.StepOutcome(message="Removed 1 image.")
        return m.StepOutcome(message="The cache stays.", skipped=True)

    @activity.defn(name=s.RECORD_CLEAN_UP.name)
    async def record(report: m.CleanUpReport) -> m.Nothing:
        told[report.server_id] = report
        return m.Nothing()

    queue = f"clean-up-{uuid4().hex[:8]}"
    settings = Settings(data_dir=tmp_path, clean_up_minutes=30)
    await ensure_schedules(temporal_client, settings, task_queue="another")
    await ensure_schedules(temporal_client, settings, task_queue=queue)
    schedule = temporal_client.get_schedule_handle(names.CLEAN_UP_WORKFLOW)
    try:
        described = await schedule.describe()
        assert described.schedule.spec.intervals[0].every == timedelta(minutes=30)
        assert not described.schedule.state.paused
        async with Worker(
            temporal_client,
            task_queue=queue,
            workflows=[CleanUpWorkflow],
            activities=[servers_to_clean, clean_up_server, record],
        ):
            await schedule.trigger()
            await eventually(lambda: sorted(cleaned) == ["one", "two"], 20)

            async def is_over() -> bool:
                return not (await schedule.describe()).info.running_actions

            await eventually(is_over, 20)
            # Nothing was removed from the second one, which is worth telling only to whoever has asked.
            assert set(told) == {"lost", "one"}
            assert (told["lost"].error, told["one"].message) == ("gone", "Removed 1 image.")
            event_id = await ServerCleanUps(temporal_client, queue).start("two")
            await eventually(lambda: "two" in told, 20)
            assert (told["two"].event_id, told["two"].message) == (event_id, "The cache stays.")
            assert [one.was_asked_for for one in told.values()] == [False, False, True]
        never = settings.model_copy(update={"clean_up_minutes": 0})
        await ensure_schedules(temporal_client, never, task_queue=queue)
        assert (await schedule.describe()).schedule.state.paused
    finally:
        await schedule.delete()
