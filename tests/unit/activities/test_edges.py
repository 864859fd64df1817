"""What an edge is planned to do, and what it and the servers behind it are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities.edges import (
    Behind,
    EdgeActivities,
    edge_name,
    edge_routes,
    edge_token,
    entrance_of,
    settle_edges,
    spreading,
    upstreams,
)
from activities.routes import routes_of
from adapters.proxy import ApplicationRoutes, Route, Spread
from adapters.traefik.routes import render, validate
from domain.configuration import (
    ApplicationConfiguration,
    Domain,
    HealthCheck,
    HealthCheckKind,
    ImageSource,
    RoutingOptions,
    RuntimeOptions,
)
from domain.deployments import DeploymentStatus, OperationKind, StepName
from domain.errors import RouteRefused
from store.store import Store
from store.tables import Application, Deployment
from tests.unit.activities.test_images_of_several_servers import SURROUNDINGS, application_on, plan_of

APPLICATION = "a" * 24
TOKEN = "a1" * 32
SERVED = m.Served(configuration_of="d", release_id="r1", replicas=2)
HEALTH = {"path": "/health?full", "method": "HEAD", "expected_status": 204, "timeout_seconds": 2.0}
ASKED = ("/health?full", "localhost", "HEAD", 204, 2.0)
PROXY_ALONE = ("/", "", "GET", None, 2.0)


def configured(**health: object) -> ApplicationConfiguration:
    return ApplicationConfiguration(
        application_id=APPLICATION,
        name="shop",
        team_id="team",
        project_id="project",
        server_ids=("east",),
        source=ImageSource(reference="shop:1"),
        runtime=RuntimeOptions(replicas=2, port=3000),
        routing=RoutingOptions(
            domains=(Domain(host="shop.example"), Domain(scheme="https", host="shop.example", path="/api"))
        ),
        health=HealthCheck.model_validate({**HEALTH, **health}),
    )


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ([Behind("east", "192.0.2.7")], ("http://192.0.2.7:9480",)),
        ([Behind("east", "2001:db8::7")], ("http://[2001:db8::7]:9480",)),
        ([Behind("east", "east.example")], ("http://east.example:9480",)),
        # Its own replicas are reached as those of others are, so a server switches its own wherever they are.
        (
            [Behind("front", "192.0.2.1"), Behind("east", "192.0.2.7")],
            ("http://127.0.0.1:8081", "http://192.0.2.7:9480"),
        ),
    ],
)
def test_an_edge_leads_to_the_proxy_of_each_server(behind: list[Behind], expected: tuple[str, ...]) -> None:
    assert upstreams(behind, "front", 9480) == expected


@pytest.mark.parametrize(
    ("health", "check", "port"),
    [
        ({}, ASKED, 3000),
        ({"port": 9000}, ASKED, 9000),
        ({"kind": HealthCheckKind.TCP}, PROXY_ALONE, None),
        ({"kind": HealthCheckKind.NONE}, PROXY_ALONE, None),
        ({"kind": HealthCheckKind.COMMAND, "command": "true"}, PROXY_ALONE, None),
        ({"scheme": "https"}, PROXY_ALONE, None),
    ],
)
def test_servers_are_asked_what_new_replicas_are_asked(
    health: dict[str, object], check: tuple[object, ...], port: int | None
) -> None:
    configuration = configured(**health)
    routes = spreading(configuration, ("http://192.0.2.7:9480",), TOKEN)
    spread = routes.spread
    assert spread is not None
    assert (spread.path, spread.host, spread.method, spread.status, spread.timeout_seconds) == check
    own = routes_of(configuration, SERVED)
    entrance = entrance_of(configuration, own, TOKEN)
    replicas = (f"http://{APPLICATION}-r1-{number}:{port}" for number in (1, 2))
    assert entrance.checked == (tuple(replicas) if port else ())
    assert entrance.check_path == ("/health" if port else "")  # the edge asks for the rest of it
    validate(render(routes))


def test_every_domain_comes_to_the_edge_which_leaves_paths_to_the_servers() -> None:
    routes = spreading(configured(), ("http://192.0.2.7:9480",), TOKEN)
    shown = [(one.scheme, one.host, one.path, one.strip_prefix) for one in routes.routes]
    assert shown == [("http", "shop.example", "/", False), ("https", "shop.example", "/api", False)]
    assert routes.application_id == edge_name(APPLICATION)


async def released(store: Store, *servers: str, edge: str | None) -> tuple[Application, m.Served]:
    """An application that serves, whose edge is that server."""
    application = await application_on(store, *servers)
    configuration = await store.applications.configuration(application.id)
    routing = RoutingOptions(domains=(Domain(host="shop.example"),), edge_server_id=edge)
    configuration = configuration.model_copy(update={"routing": routing})
    await store.applications.update(application, configuration)
    row = await store.deployments.record(Deployment(application_id=application.id))
    await store.deployments.begin(row.id, configuration, ())
    await store.applications.set_state(application.id, desired_state="running", current_deployment_id=row.id)
    return application, m.Served(configuration_of=row.id, release_id=row.id, replicas=1, servers=servers)


async def test_only_the_edge_of_the_version_leads_to_its_servers(servers_store: Store) -> None:
    application, served = await released(servers_store, "local", "far", edge="local")
    await servers_store.servers.set("far", address="192.0.2.7")
    routes = await edge_routes(servers_store, application.id, "local", served, 9480)
    assert routes is not None
    assert routes.routes[0].upstreams == ("http://127.0.0.1:8081", "http://192.0.2.7:9480")
    assert routes.spread is not None
    assert routes.spread.token == edge_token(servers_store.encryption, application.id)
    assert await edge_routes(servers_store, application.id, "far", served, 9480) is None
    assert await edge_routes(servers_store, application.id, "local", None, 9480) is None


async def test_visitors_go_to_servers_that_are_behind_only_where_there_is_no_other(
    servers_store: Store,
) -> None:
    application, served = await released(servers_store, "far", edge="local")
    await servers_store.servers.set("new", address="192.0.2.8")
    await servers_store.servers.set("far", address="192.0.2.7")
    older = served.model_copy(update={"servers": ("new",)})
    served = served.model_copy(update={"elsewhere": (older,)})
    routes = await edge_routes(servers_store, application.id, "local", served, 9480)
    assert routes is not None
    assert routes.routes[0].upstreams == ("http://192.0.2.7:9480",)
    await servers_store.servers.forget("far")
    routes = await edge_routes(servers_store, application.id, "local", served, 9480)
    assert routes is not None
    assert routes.routes[0].upstreams == ("http://192.0.2.8:9480",)


async def test_a_server_that_was_removed_is_no_place_to_send_visitors_to(servers_store: Store) -> None:
    application, served = await released(servers_store, "far", "new", edge="far")
    await servers_store.servers.forget("new")
    routes = await edge_routes(servers_store, application.id, "far", served, 9480)
    assert routes is not None
    assert routes.routes[0].upstreams == ("http://127.0.0.1:8081",)


@pytest.mark.parametrize(
    ("before", "after", "kind", "edge", "left"),
    [
        (None, None, OperationKind.DEPLOY, None, None),
        (None, "far", OperationKind.DEPLOY, "far", None),
        ("far", "far", OperationKind.DEPLOY, "far", None),
        ("far", "local", OperationKind.DEPLOY, "local", "far"),
        ("far", None, OperationKind.DEPLOY, None, "far"),
        ("far", "local", OperationKind.SCALE, "far", None),
        ("far", "local", OperationKind.STOP, None, "far"),
        ("far", "far", OperationKind.DELETE, None, "far"),
    ],
)
async def test_a_plan_names_the_edge_and_the_one_that_is_left(
    servers_store: Store,
    before: str | None,
    after: str | None,
    kind: OperationKind,
    edge: str | None,
    left: str | None,
) -> None:
    application, _ = await released(servers_store, "local", "far", edge=before)
    configuration = await servers_store.applications.configuration(application.id)
    routing = configuration.routing.model_copy(update={"edge_server_id": after})
    await servers_store.applications.update(
        application, configuration.model_copy(update={"routing": routing})
    )
    plan = await plan_of(servers_store, application, kind)
    named = tuple(one.id if one else None for one in (plan.edge, plan.left_edge))
    assert named == (edge, left)
    assert plan.lets_edge_in == (edge is not None or left is not None)
    assert plan.let_edge_in_before == (plan.lets_edge_in and before is not None)
    places = [step.server for step in plan.steps if step.name is StepName.EDGE]
    assert places == [one for one in (edge, left) if one is not None]


async def test_a_delete_without_the_edge_asks_nothing_of_it(servers_store: Store) -> None:
    application, _ = await released(servers_store, "far", edge="far")
    plan = await plan_of(servers_store, application, OperationKind.DELETE, without_server_id="far")
    assert (plan.servers, plan.edge, plan.left_edge) == ((), None, None)
    assert StepName.EDGE not in {step.name for step in plan.steps}


@dataclass
class FoundProxy:
    """The proxy of a server that was away, with routes as the edge of these applications."""

    edges: tuple[str, ...] = ()
    token: str = "secret"
    applied: list[ApplicationRoutes] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    unreached: frozenset[str] = frozenset()

    async def names(self) -> frozenset[str]:
        return frozenset({*self.edges, *(edge_name(one) for one in self.edges)})

    async def current(self, name: str) -> ApplicationRoutes:
        routes = (Route("shop.example", ("http://192.0.2.9:9480",)),)
        return ApplicationRoutes(name, "edge", routes, spread=Spread(self.token))

    async def apply(self, routes: ApplicationRoutes) -> None:
        self.applied.append(routes)

    async def withdraw(self, name: str) -> None:
        self.withdrawn.append(name)

    async def unhealthy(self, _name: str) -> frozenset[str]:
        return self.unreached


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("missed", [0, 1, 2])
async def test_an_edge_that_reaches_no_server_is_not_the_end_of_a_release(
    servers_store: Store, missed: int, undo: bool
) -> None:
    application, served = await released(servers_store, "far", "new", edge="local")
    await servers_store.servers.set("far", address="192.0.2.7")
    await servers_store.servers.set("new", address="192.0.2.8")
    unhealthy = [f"http://192.0.2.{7 + number}:9480" for number in range(missed)]
    proxy = FoundProxy(unreached=frozenset(unhealthy))

    async def parts(_server_id: str) -> Any:
        return SimpleNamespace(proxy=proxy)

    servers: Any = SimpleNamespace(parts=parts)
    activities = EdgeActivities(servers_store, servers, SURROUNDINGS)
    step = m.StepReference(deployment_id="new", name=StepName.EDGE, server="local", undo=undo)
    message = m.ApplyEdge(step=step, application_id=application.id, server_id="local", serve=served)
    if missed == 2 and not undo:
        with pytest.raises(RouteRefused, match="port 9480"):
            await ActivityEnvironment().run(activities.apply, message)
        return
    outcome = await ActivityEnvironment().run(activities.apply, message)
    assert all((one.removeprefix("http://") in outcome.message) is not undo for one in unhealthy)
    assert len(proxy.applied) == 1


@pytest.mark.parametrize("edge", ["far", None])
async def test_an_edge_that_was_away_leads_where_the_application_is_now(
    servers_store: Store, edge: str | None
) -> None:
    store = servers_store
    application, served = await released(store, "far", "new", edge=edge)
    proxy = FoundProxy((application.id,))
    parts: Any = SimpleNamespace(proxy=proxy)

    async def serving(_application_id: str) -> m.Served:
        return served

    server = await store.servers.get("far")
    await settle_edges(store, parts, server, 9480, serving)
    assert (proxy.applied, proxy.withdrawn) == ([], []), "a deployment is under way"
    await store.deployments.update(served.configuration_of, status=DeploymentStatus.FINISHED)
    await settle_edges(store, parts, server, 9480, serving)
    expected = await edge_routes(store, application.id, "far", served, 9480)
    assert proxy.applied == ([expected] if edge else [])
    assert proxy.withdrawn == ([] if edge else [edge_name(application.id)])


@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "another Seaway's"])
async def test_an_edge_that_was_away_leads_to_no_application_that_was_deleted_meanwhile(
    servers_store: Store, is_ours: bool
) -> None:
    gone = "g" * 24
    token = edge_token(servers_store.encryption, gone) if is_ours else "of another one"
    proxy = FoundProxy((gone,), token=token)
    parts: Any = SimpleNamespace(proxy=proxy)

    async def serving(_application_id: str) -> None:
        raise AssertionError("There is nothing to ask for.")

    await settle_edges(servers_store, parts, await servers_store.servers.get("far"), 9480, serving)
    assert (proxy.applied, proxy.withdrawn) == ([], [edge_name(gone)] if is_ours else [])
