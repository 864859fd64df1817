"""What is planned and found for an application that is on several servers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.builds import BuildActivities
from activities.planning import PlanningActivities
from activities.servers import Servers, Surroundings
from activities.sources import SourceActivities
from domain.configuration import ApplicationConfiguration, ImageSource, PortMapping, RuntimeOptions
from domain.deployments import OperationKind, StepName
from store.store import Store
from store.tables import Application, Deployment

IMAGE = "seaway/application:earlier"
SERVERS = ("local", "far")
SURROUNDINGS = Surroundings(work_folder=Path("/nowhere"))
UNUSED = cast(Any, None)


class Engines:
    """Servers of which some have the image."""

    def __init__(self, *having: str) -> None:
        self._having = having

    async def parts(self, server_id: str) -> SimpleNamespace:
        async def image_id(_reference: str) -> str | None:
            return "sha256:image" if server_id in self._having else None

        return SimpleNamespace(engine=SimpleNamespace(image_id=image_id))


async def application_on(store: Store, *servers: str, host_ports: bool = False) -> Application:
    project = await store.projects.create(team_id="team", name="Project")
    environment = (await store.projects.environments(project.id))[0]
    row = Application(team_id="team", environment_id=environment.id, name="shop", configuration_sealed="")
    mappings = (PortMapping(host_port=8080, container_port=80),) if host_ports else ()
    configuration = ApplicationConfiguration(
        application_id=row.id,
        name="shop",
        team_id="team",
        project_id=project.id,
        server_ids=servers,
        source=ImageSource(reference="shop:1"),
        runtime=RuntimeOptions(port_mappings=mappings),
    )
    return await store.applications.create(row, configuration)


async def plan_of(
    store: Store, application: Application, kind: OperationKind, without_server_id: str = ""
) -> m.ReleasePlan:
    command = m.Command(
        deployment_id="new",
        application_id=application.id,
        kind=kind,
        without_server_id=without_server_id,
    )
    return await ActivityEnvironment().run(
        PlanningActivities(store).begin, m.BeginDeployment(command=command)
    )


async def test_the_first_of_several_servers_builds(servers_store: Store) -> None:
    application = await application_on(servers_store, *SERVERS)
    plan = await plan_of(servers_store, application, OperationKind.DEPLOY)
    assert plan.build_on is not None
    assert (plan.build_on.id, plan.drain_undone) == ("local", True)
    places = {name: [step.server for step in plan.steps if step.name is name] for name in StepName}
    assert places[StepName.RESOLVE_SOURCE] == places[StepName.BUILD] == ["local"]
    assert places[StepName.DISTRIBUTE] == places[StepName.HEALTH] == list(SERVERS)


async def test_servers_of_different_architectures_build_for_themselves(servers_store: Store) -> None:
    await servers_store.servers.set("local", architecture="amd64")
    await servers_store.servers.set("far", architecture="arm64")
    application = await application_on(servers_store, *SERVERS)
    plan = await plan_of(servers_store, application, OperationKind.DEPLOY)
    assert plan.build_on is None
    assert not plan.has(StepName.DISTRIBUTE)
    assert [step.server for step in plan.steps if step.name is StepName.BUILD] == list(SERVERS)


@pytest.mark.parametrize(
    ("servers", "kind"), [(SERVERS[:1], OperationKind.DEPLOY), (SERVERS, OperationKind.STOP)]
)
async def test_nothing_is_sent_to_one_server_or_to_stop(
    servers_store: Store, servers: tuple[str, ...], kind: OperationKind
) -> None:
    plan = await plan_of(servers_store, await application_on(servers_store, *servers), kind)
    assert plan.build_on is None
    assert not plan.has(StepName.DISTRIBUTE)


async def test_a_release_whose_old_version_is_down_is_not_drained_when_it_is_undone(
    servers_store: Store,
) -> None:
    application = await application_on(servers_store, *SERVERS, host_ports=True)
    plan = await plan_of(servers_store, application, OperationKind.DEPLOY)
    assert (plan.stop_first, plan.drain_undone) == (True, False)


@pytest.mark.parametrize("having", [(), ("far",), SERVERS])
async def test_all_servers_are_asked_for_the_image_of_a_rollback(
    servers_store: Store, having: tuple[str, ...]
) -> None:
    store = servers_store
    application = await application_on(store, *SERVERS)
    earlier = await store.deployments.record(Deployment(application_id=application.id, image=IMAGE))
    await plan_of(store, application, OperationKind.DEPLOY)
    command = m.Command(
        deployment_id="new",
        application_id=application.id,
        kind=OperationKind.ROLLBACK,
        target_deployment_id=earlier.id,
    )
    step = m.StepReference(deployment_id="new", name=StepName.RESOLVE_SOURCE, server="local")
    resolve = m.ResolveSource(
        step=step, application_id=application.id, server_id="local", command=command, look_on=SERVERS
    )
    sources = SourceActivities(store, cast(Servers, Engines(*having)), UNUSED, SURROUNDINGS)
    resolved = await ActivityEnvironment().run(sources.resolve, resolve)
    assert (resolved.image, resolved.present_on) == (IMAGE, having)
    assert resolved.image_present == (having == SERVERS)

    alone = await ActivityEnvironment().run(sources.resolve, resolve.model_copy(update={"look_on": ()}))
    assert alone.image_present == ("local" in having)


async def test_what_another_server_sends_is_not_built(servers_store: Store, tmp_path: Path) -> None:
    application = await application_on(servers_store, *SERVERS)
    await plan_of(servers_store, application, OperationKind.DEPLOY)
    step = m.StepReference(deployment_id="new", name=StepName.BUILD, server="local")
    build = m.BuildImage(
        step=step,
        application_id=application.id,
        server_id="local",
        commit="c0ffee",
        image=IMAGE,
        sent_by="far",
    )
    builds = BuildActivities(
        servers_store,
        cast(Servers, Engines("far")),
        UNUSED,
        UNUSED,
        Surroundings(work_folder=tmp_path),
        UNUSED,
    )
    outcome = await ActivityEnvironment().run(builds.build, build)
    assert (outcome.skipped, outcome.message) == (True, "far has the image, and sends it.")
