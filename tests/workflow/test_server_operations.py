"""What the API asks of servers' workflows, and what is started again when they were lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from activities.messages import ServerRequest
from api.server_operations import ServerOperations
from domain.configuration import ApplicationConfiguration, ImageSource, RoutingOptions
from domain.deployments import DeploymentStatus, OperationKind
from domain.errors import NotPossibleNow, TransientError
from domain.servers import ServerStatus
from seaway.server_workflows import correct_states, ensure_server_workflows
from store.releases import HeldRelease
from store.store import Store
from store.tables import Application, Deployment, Server
from tests.harness.waiting import eventually
from tests.workflow.bench import Bench, ending
from tests.workflow.fake_activities import LIMIT_SECONDS
from workflows.names import server_workflow_id

pytestmark = pytest.mark.thorough


@pytest.fixture
async def team_id(store: Store) -> str:
    _, team = await store.access.create_user(
        email="owner@example.test", password=SecretStr("a long enough password"), team_name="Team"
    )
    return team.id


@pytest.fixture
def operations(bench: Bench, store: Store) -> ServerOperations:
    return ServerOperations(bench.client, store, bench.task_queue)


async def add_server(store: Store, team_id: str, name: str = "east", **fields: Any) -> Server:
    known = {"address": f"{name}.example.test", "host_key": "ssh-ed25519 AAAA"}
    return await store.servers.create(Server(team_id=team_id, name=name, **{**known, **fields}))


async def add_application(
    store: Store, team_id: str, *server_ids: str, edge_id: str | None = None
) -> Application:
    project = await store.projects.create(team_id=team_id, name="Project")
    environment = await store.projects.environment(project.id, "production")
    application = Application(
        team_id=team_id, environment_id=environment.id, name="shop", configuration_sealed=""
    )
    configuration = ApplicationConfiguration(
        application_id=application.id,
        name="shop",
        team_id=team_id,
        project_id=project.id,
        server_ids=server_ids,
        source=ImageSource(reference="image"),
        routing=RoutingOptions(edge_server_id=edge_id),
    )
    return await store.applications.create(application, configuration)


async def until_called(bench: Bench, activity: str, times: int = 1) -> None:
    await eventually(
        lambda: bench.fakes.labels().count(activity) >= times, LIMIT_SECONDS, interval_seconds=0.01
    )


async def test_provisioning_shows_at_once_and_a_request_counts_once(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    held = bench.fakes.hold("reach-server")
    server = await add_server(store, team_id)
    await operations.provision(server, requested_by="someone", request_id="one")
    assert (await store.servers.get(server.id)).status == ServerStatus.PROVISIONING
    await held.has_begun()
    assert (await operations.progress(server.id)).status is ServerStatus.PROVISIONING
    await operations.provision(server, requested_by="someone", request_id="one")
    assert not (await operations.progress(server.id)).provisioning_waits
    held.release()
    await until_called(bench, "finish-provisioning")
    await operations.remove(server, requested_by="someone", with_resources=False)
    await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))
    assert bench.fakes.labels().count("begin-provisioning") == 1


async def test_without_a_workflow_engine_the_server_stands_as_before(
    store: Store, team_id: str, operations: ServerOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(*_: object) -> None:
        raise TransientError("Temporal does not answer.")

    monkeypatch.setattr(operations, "_send", send)
    server = await add_server(store, team_id)
    with pytest.raises(TransientError):
        await operations.provision(server, requested_by="someone")
    assert (await store.servers.get(server.id)).status == ServerStatus.NEW
    with pytest.raises(TransientError):
        await operations.remove(server, requested_by="someone", with_resources=False)
    assert (await store.servers.get(server.id)).status == ServerStatus.NEW


async def test_a_removal_shows_at_once_although_the_workflow_is_at_something_else(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    held = bench.fakes.hold("finish-provisioning")
    server = await add_server(store, team_id)
    await operations.provision(server, requested_by="someone")
    await held.has_begun()
    await operations.remove(server, requested_by="someone", with_resources=False)
    assert (await store.servers.get(server.id)).status == ServerStatus.REMOVING
    held.release()
    await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))


async def test_a_server_with_applications_is_kept_unless_they_go_with_it(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    server = await add_server(store, team_id, is_reachable=True)
    application = await add_application(store, team_id, server.id)
    with pytest.raises(NotPossibleNow, match="Applications live on the server 'east': 'shop'"):
        await operations.remove(server, requested_by="someone", with_resources=False)
    assert bench.fakes.labels() == []

    await operations.remove(server, requested_by="someone", with_resources=True)
    await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))
    await until_called(bench, "forget-application")
    (begin,) = bench.fakes.messages("begin-deployment")
    assert begin.command.kind is OperationKind.DELETE
    assert begin.command.application_id == application.id
    assert begin.command.delete_volumes
    (removal,) = bench.fakes.messages("remove-server")
    assert removal.resources_leave


async def test_a_server_that_does_not_answer_goes_with_its_applications_only_if_it_shall_be_forgotten(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    server = await add_server(store, team_id)
    await add_application(store, team_id, server.id)
    with pytest.raises(NotPossibleNow, match="does not answer, so 'shop' cannot be deleted"):
        await operations.remove(server, requested_by="someone", with_resources=True)
    assert bench.fakes.labels() == []
    await operations.remove(server, requested_by="someone", with_resources=True, forget=True)
    await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))
    await until_called(bench, "begin-deployment")
    (begin,) = bench.fakes.messages("begin-deployment")
    assert begin.command.without_server_id == server.id
    assert all(removal.forget for removal in bench.fakes.messages("remove-server"))

    answering = await add_server(store, team_id, "west", is_reachable=True, status=ServerStatus.USABLE)
    with pytest.raises(NotPossibleNow, match="'west' is usable"):
        await operations.remove(answering, requested_by="someone", with_resources=True, forget=True)


async def test_an_application_that_lives_elsewhere_too_is_never_deleted(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    east, west = await add_server(store, team_id), await add_server(store, team_id, "west")
    await add_application(store, team_id, east.id, west.id)
    with pytest.raises(NotPossibleNow, match="live on 'east' and on other servers: 'shop'"):
        await operations.remove(east, requested_by="someone", with_resources=True)
    assert bench.fakes.labels() == []


async def test_an_application_that_serves_there_until_its_next_release_keeps_the_server(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    server, other = await add_server(store, team_id), await add_server(store, team_id, "west", address="west")
    shop = await add_application(store, team_id, server.id)
    row = await store.deployments.record(Deployment(application_id=shop.id))
    released = await store.applications.configuration(shop.id)
    moved = released.model_copy(update={"server_ids": (other.id,)})
    await store.deployments.begin(row.id, released, ())
    await store.applications.update(shop, moved)
    with pytest.raises(NotPossibleNow, match="moves with its next deployment"):
        await operations.remove(server, requested_by="someone", with_resources=False)
    await store.releases.record(shop.id, row.id, {server.id: HeldRelease(row.id, row.id)})
    await store.deployments.update(row.id, status=DeploymentStatus.FINISHED)
    for with_resources, words in (
        (False, "moves with its next deployment"),
        (True, "on other servers: 'shop'"),
    ):
        with pytest.raises(NotPossibleNow, match=words):
            await operations.remove(server, requested_by="someone", with_resources=with_resources)
    assert "remove-server" not in bench.fakes.labels()
    # Gone for good, it serves nothing any more.
    await operations.remove(server, requested_by="someone", with_resources=False, forget=True)
    await until_called(bench, "remove-server")


async def test_the_local_server_and_a_jump_host_are_not_removed(
    store: Store, team_id: str, operations: ServerOperations
) -> None:
    local = await store.servers.ensure_local(team_id=team_id, wildcard_domain="")
    gate = await add_server(store, team_id)
    await add_server(store, team_id, "behind", jump_server_id=gate.id)
    for server, words in ((local, "Seaway itself runs on"), (gate, "the jump host of behind")):
        with pytest.raises(NotPossibleNow, match=words):
            await operations.remove(server, requested_by="someone", with_resources=True)


async def test_an_edge_of_what_lives_elsewhere_is_not_removed(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    edge, other = await add_server(store, team_id), await add_server(store, team_id, "west", address="west")
    shop = await add_application(store, team_id, other.id, edge_id=edge.id)
    for with_resources in (False, True):
        with pytest.raises(NotPossibleNow, match="is the edge of 'shop'"):
            await operations.remove(edge, requested_by="someone", with_resources=with_resources)
    # It is configured to have none, and is served through it until it has been deployed.
    released = (await store.applications.configuration(shop.id)).model_copy()
    row = await store.deployments.record(Deployment(application_id=shop.id))
    await store.deployments.begin(row.id, released, ())
    await store.applications.set_state(shop.id, desired_state="running", current_deployment_id=row.id)
    await store.applications.update(shop, released.model_copy(update={"routing": RoutingOptions()}))
    with pytest.raises(NotPossibleNow, match="deploy them first"):
        await operations.remove(edge, requested_by="someone", with_resources=False)
    assert "remove-server" not in bench.fakes.labels()
    await store.applications.set_state(shop.id, desired_state="stopped")
    await operations.remove(edge, requested_by="someone", with_resources=False)
    await until_called(bench, "remove-server")


async def test_lost_workflows_go_on_with_what_was_under_way(bench: Bench, store: Store, team_id: str) -> None:
    bench.fakes.look_again_after = timedelta(milliseconds=20)
    await store.servers.ensure_local(team_id=team_id, wildcard_domain="")
    usable = {"status": ServerStatus.USABLE, "data_folder": "/var/lib/seaway/seaway"}
    asked = await add_server(store, team_id, "asked", status=ServerStatus.PROVISIONING)
    removed = await add_server(store, team_id, "removed", status=ServerStatus.REMOVING)
    new = await add_server(store, team_id, "new")
    watched = await add_server(store, team_id, "watched", **usable)

    await ensure_server_workflows(store, bench.client, bench.task_queue)
    await ensure_server_workflows(store, bench.client, bench.task_queue)
    await ending(bench.client.get_workflow_handle(server_workflow_id(removed.id)))
    await until_called(bench, "finish-provisioning")
    # The first look is due after a minute; a restart of Seaway is no reason to ask all servers at once.
    by_server = {label: [one.server_id for one in bench.fakes.messages(label)] for label in LABELS}
    assert by_server["begin-provisioning"] == [asked.id]
    assert set(by_server["remove-server"]) == {removed.id}
    operations = ServerOperations(bench.client, store, bench.task_queue)
    assert (await operations.progress(new.id)).status is ServerStatus.NEW
    assert (await operations.progress(watched.id)).status is ServerStatus.USABLE
    for server in (asked, new, watched):
        await operations.remove(server, requested_by="someone", with_resources=False)
        await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))


LABELS = ("begin-provisioning", "remove-server")


@pytest.mark.parametrize("status", [ServerStatus.PROVISIONING, ServerStatus.REMOVING])
async def test_what_was_written_down_and_never_said_to_the_workflow_is_not_shown_for_ever(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations, status: ServerStatus
) -> None:
    server = await add_server(store, team_id)
    await operations.provision(server, requested_by="someone")
    await until_called(bench, "finish-provisioning")
    await store.servers.set(server.id, status=status)  # and whoever did so died
    progress = await operations.progress(server.id)

    under_way = await ensure_server_workflows(store, bench.client, bench.task_queue)
    assert [one.id for one in under_way] == [server.id]
    await correct_states(store, bench.client, under_way, bench.task_queue)

    assert (await store.servers.get(server.id)).status == progress.status == ServerStatus.USABLE
    await operations.remove(server, requested_by="someone", with_resources=False)
    await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))


async def test_what_is_under_way_stays_shown_so(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    server = await add_server(store, team_id)
    reach = bench.fakes.hold("reach-server")
    await operations.provision(server, requested_by="someone")
    await reach.has_begun()
    under_way = await ensure_server_workflows(store, bench.client, bench.task_queue)
    await correct_states(store, bench.client, under_way, bench.task_queue)
    assert (await store.servers.get(server.id)).status == ServerStatus.PROVISIONING
    reach.release()
    await operations.remove(server, requested_by="someone", with_resources=False)
    await ending(bench.client.get_workflow_handle(server_workflow_id(server.id)))


async def test_requests_have_ids_of_their_own(
    bench: Bench, store: Store, team_id: str, operations: ServerOperations
) -> None:
    server = await add_server(store, team_id)
    await operations.provision(server, requested_by="someone")
    await operations.provision(server, requested_by="someone")
    await until_called(bench, "finish-provisioning", 2)
    await operations.remove(server, requested_by="someone", with_resources=False)
    (removal,) = await removals(bench)
    assert removal.server_id == server.id


async def removals(bench: Bench) -> list[ServerRequest]:
    await until_called(bench, "remove-server")
    return bench.fakes.messages("remove-server")
