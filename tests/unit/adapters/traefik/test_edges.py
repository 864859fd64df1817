"""What an edge is told, and the servers behind it; and who is let in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from adapters.proxy import ApplicationRoutes, Entrance, Route, Spread
from adapters.traefik.routes import parse, render, serialise, validate
from domain.errors import RouteRefused

TOKEN = "a1" * 32
REPLICAS = ("http://shop-r1-1:3000", "http://shop-r1-2:3000")
SERVERS = ("http://127.0.0.1:8081", "http://192.0.2.7:9480", "http://[2001:db8::7]:9480")
PATH_RULE = "Host(`shop.example`) && (Path(`/api`) || PathPrefix(`/api/`))"


def behind(*routes: Route, checked: tuple[str, ...] = (), check_path: str = "") -> ApplicationRoutes:
    return ApplicationRoutes("shop", "r1", routes, entrance=Entrance(TOKEN, checked, check_path))


def edge(*routes: Route, **check: Any) -> ApplicationRoutes:
    return ApplicationRoutes("shopedge", "edge", routes, spread=Spread(TOKEN, **check))


def test_an_edge_takes_only_healthy_servers_and_tries_others_before_it_gives_up():
    route = Route("shop.example", SERVERS, strip_prefix=False, compress=False)
    rendered = render(edge(route, path="/health", host="localhost", status=204, timeout_seconds=2.5))
    assert rendered == {
        "http": {
            "routers": {
                "shopedge-0": {
                    "rule": "Host(`shop.example`)",
                    "service": "shopedge-edge-8081",
                    "middlewares": ["shopedge-token", "shopedge-retry"],
                    "entryPoints": ["http"],
                    "priority": len("Host(`shop.example`)") + 1,
                }
            },
            "services": {
                "shopedge-edge-8081": {
                    "loadBalancer": {
                        "servers": [{"url": server} for server in SERVERS],
                        "passHostHeader": True,
                        "serversTransport": "shopedge",
                        "healthCheck": {
                            "path": "/health",
                            "method": "GET",
                            "hostname": "localhost",
                            "status": 204,
                            "interval": "1s",
                            "timeout": "2500ms",
                            "followRedirects": False,
                            "headers": {"X-Seaway-Edge-Check": TOKEN},
                        },
                    }
                }
            },
            "middlewares": {
                "shopedge-token": {"headers": {"customRequestHeaders": {"X-Seaway-Edge": TOKEN}}},
                "shopedge-retry": {"retry": {"attempts": 20, "initialInterval": "50ms"}},
            },
            "serversTransports": {
                "shopedge": {
                    "forwardingTimeouts": {"dialTimeout": "500ms", "idleConnTimeout": "1s"},
                    "maxIdleConnsPerHost": -1,
                }
            },
        }
    }
    validate(rendered)


def test_a_server_lets_its_edge_in_by_the_token_and_serves_others_as_before():
    route = Route("shop.example", REPLICAS, path="/api", scheme="https", compress=True)
    alone = render(ApplicationRoutes("shop", "r1", (route,)))["http"]
    http = render(behind(route))["http"]
    validate({"http": http})
    assert {name: http["routers"][name] for name in alone["routers"]} == alone["routers"]
    assert http["services"] == alone["services"]
    # Plain HTTP and no redirect: TLS, and compression, are between the visitor and the edge.
    assert http["routers"]["shop-0-edge"] == {
        "rule": f"{PATH_RULE} && Header(`X-Seaway-Edge`, `{TOKEN}`)",
        "service": "shop-r1-3000",
        "middlewares": ["shop-strip-0", "shop-no-token", "shop-retry"],
        "entryPoints": ["edge"],
    }
    assert http["middlewares"]["shop-no-token"] == {
        "headers": {"customRequestHeaders": {"X-Seaway-Edge": "", "X-Seaway-Edge-Check": ""}}
    }


@pytest.mark.parametrize(
    ("checked", "service"),
    [
        ((), "ping@internal"),
        (REPLICAS, "shop-r1-3000"),
        (("http://shop-r1-1:9000", "http://shop-r1-2:9000"), "shop-r1-9000"),
    ],
)
def test_checks_of_the_edge_ask_the_replicas_where_they_can_be_asked(checked: tuple[str, ...], service: str):
    rendered = render(behind(Route("shop.example", REPLICAS), checked=checked))
    validate(rendered)
    router = rendered["http"]["routers"]["shop-check"]
    assert (router["rule"], router["service"]) == (f"Header(`X-Seaway-Edge-Check`, `{TOKEN}`)", service)
    servers = rendered["http"]["services"].get(service, {"loadBalancer": {"servers": []}})["loadBalancer"]
    assert tuple(one["url"] for one in servers["servers"]) == checked


def test_a_release_is_asked_by_its_own_path_also_by_an_edge_that_still_asks_for_that_of_another_one():
    routes = behind(Route("shop.example", REPLICAS), checked=REPLICAS, check_path="/healthz")
    rendered = render(routes)
    validate(rendered)
    assert rendered["http"]["routers"]["shop-check"]["middlewares"] == ["shop-no-token", "shop-check-path"]
    assert rendered["http"]["middlewares"]["shop-check-path"] == {"replacePath": {"path": "/healthz"}}
    assert parse(serialise(routes, rendered)) == routes
    older = serialise(routes, rendered).replace('"check_path": "/healthz", ', "", 1)
    assert parse(older) == behind(Route("shop.example", REPLICAS), checked=REPLICAS)


@pytest.mark.parametrize("path", ["/", "/a", "/a/b"])
def test_an_edge_wins_over_the_same_route_to_its_own_replicas_and_over_no_longer_one(path: str):
    own = Route("shop.example", REPLICAS, path=path)
    longer = Route("shop.example", REPLICAS, path=f"{path.rstrip('/')}/x")
    [front] = render(edge(own))["http"]["routers"].values()
    lengths = [len(render(behind(one))["http"]["routers"]["shop-0"]["rule"]) for one in (own, longer)]
    assert lengths[0] < front["priority"] < lengths[1]


def test_an_edge_redirects_to_https_before_the_servers_are_asked():
    routers = render(edge(Route("shop.example", SERVERS, scheme="https", strip_prefix=False)))["http"][
        "routers"
    ]
    assert routers["shopedge-0-http"]["service"] == "noop@internal"
    assert {router["priority"] for router in routers.values()} == {len("Host(`shop.example`)") + 1}


@pytest.mark.parametrize("token", ["", "short", "a1" * 16 + "`", "a1" * 16 + "{{"])
def test_what_no_token_can_be_is_refused(token: str):
    route = Route("shop.example", REPLICAS)
    for routes in (
        ApplicationRoutes("shop", "r1", (route,), entrance=Entrance(token)),
        ApplicationRoutes("shop", "r1", (route,), spread=Spread(token)),
    ):
        with pytest.raises(RouteRefused):
            render(routes)


@pytest.mark.parametrize("name", ["shop-0-edge", "shop-check"])
def test_nobody_gets_in_where_edges_do_without_a_token(name: str):
    changed = copy.deepcopy(render(behind(Route("shop.example", REPLICAS))))
    changed["http"]["routers"][name]["rule"] = "Host(`shop.example`)"
    with pytest.raises(RouteRefused):
        validate(changed)


@pytest.mark.parametrize(
    "routes",
    [
        behind(Route("shop.example", REPLICAS), checked=REPLICAS),
        edge(Route("shop.example", SERVERS), path="/health?x=1", status=200),
        ApplicationRoutes("shop", "r1", (Route("shop.example", REPLICAS),)),
    ],
)
def test_a_file_gives_back_what_it_was_made_of(routes: ApplicationRoutes):
    assert parse(serialise(routes, render(routes))) == routes


def test_a_token_is_in_the_file_and_in_nothing_that_is_printed():
    routes = behind(Route("shop.example", REPLICAS))
    assert TOKEN in serialise(routes, render(routes))
    assert TOKEN not in repr(routes)
    assert TOKEN not in repr(edge(Route("shop.example", SERVERS)))
