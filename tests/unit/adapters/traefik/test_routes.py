"""What Traefik is told, whole; and what it is never told."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapters.traefik.routes import ApplicationRoutes, Route, parse, release_of, render, serialise, validate
from domain.domains import parse_domains
from domain.errors import InvalidInput, RouteRefused

UPSTREAMS = ("http://shop-d1-1:3000", "http://shop-d1-2:3000")


def routes(*items: Route) -> ApplicationRoutes:
    return ApplicationRoutes("app1", "rel1", items)


def test_a_plain_host_is_one_router_one_service_and_a_retry():
    rendered = render(routes(Route("shop.example", UPSTREAMS)))
    assert rendered == {
        "http": {
            "routers": {
                "app1-0": {
                    "rule": "Host(`shop.example`)",
                    "entryPoints": ["http"],
                    "service": "app1-rel1-3000",
                    "middlewares": ["app1-compress", "app1-retry"],
                }
            },
            "services": {
                "app1-rel1-3000": {
                    "loadBalancer": {
                        "servers": [{"url": "http://shop-d1-1:3000"}, {"url": "http://shop-d1-2:3000"}],
                        "passHostHeader": True,
                        "serversTransport": "app1",
                    }
                }
            },
            "middlewares": {
                "app1-compress": {"compress": {"excludedContentTypes": ["text/event-stream"]}},
                "app1-retry": {"retry": {"attempts": 3, "initialInterval": "50ms"}},
            },
            "serversTransports": {
                "app1": {"forwardingTimeouts": {"idleConnTimeout": "1s", "dialTimeout": "5s"}}
            },
        }
    }
    validate(rendered)


def test_a_forced_https_address_redirects_http_and_strips_its_path():
    rendered = render(routes(Route("shop.example", UPSTREAMS, path="/api/", scheme="https", compress=False)))
    http = rendered["http"]
    rule = "Host(`shop.example`) && (Path(`/api`) || PathPrefix(`/api/`))"
    assert http["routers"] == {
        "app1-0": {
            "rule": rule,
            "entryPoints": ["https"],
            "tls": {},
            "service": "app1-rel1-3000",
            "middlewares": ["app1-strip-0", "app1-retry"],
        },
        "app1-0-http": {
            "rule": rule,
            "entryPoints": ["http"],
            "service": "noop@internal",
            "middlewares": ["app1-https"],
        },
    }
    assert http["middlewares"] == {
        "app1-retry": {"retry": {"attempts": 3, "initialInterval": "50ms"}},
        "app1-strip-0": {"stripPrefix": {"prefixes": ["/api"]}},
        "app1-https": {"redirectScheme": {"scheme": "https", "permanent": False}},
    }
    validate(rendered)


def test_an_https_address_that_is_not_forced_is_served_over_both():
    routers = render(routes(Route("a.example", UPSTREAMS, scheme="https", force_https=False)))["http"][
        "routers"
    ]
    assert routers["app1-0-http"]["service"] == routers["app1-0"]["service"] == "app1-rel1-3000"
    assert "tls" not in routers["app1-0-http"]


def test_each_set_of_servers_is_one_service_named_by_its_port():
    services = render(
        routes(
            Route("a.example", UPSTREAMS),
            Route("b.example", UPSTREAMS),
            Route("c.example", ("http://shop-d1-1:9000",)),
            Route("d.example", ("http://other:3000",)),
        )
    )["http"]["services"]
    assert list(services) == ["app1-rel1-3000", "app1-rel1-9000", "app1-rel1-3000-2"]
    assert {release_of(f"{name}@file") for name in services} == {"rel1"}


@pytest.mark.parametrize(
    "route",
    [
        Route("a`) || Host(`b", UPSTREAMS),
        Route("a b.example", UPSTREAMS),
        Route("a.example\n", UPSTREAMS),
        Route("{{ env }}", UPSTREAMS),
        Route("", UPSTREAMS),
        Route("a.example", UPSTREAMS, path="/x`y"),
        Route("a.example", UPSTREAMS, path="/{{x}}"),
        Route("a.example", UPSTREAMS, path="x"),
        Route("a.example", ()),
        Route("a.example", ("http://a:3000/path",)),
        Route("a.example", ("ftp://a:3000",)),
        Route("a.example", ("http://a`:3000",)),
    ],
)
def test_what_could_break_a_rule_or_the_file_is_refused(route: Route):
    with pytest.raises(RouteRefused):
        render(routes(route))


@pytest.mark.parametrize("identifier", ["", "../x", "a-b", "A", "a\n", "_seaway"])
def test_an_identifier_cannot_leave_its_file_or_pass_for_another(identifier: str):
    with pytest.raises(RouteRefused):
        render(ApplicationRoutes(identifier, "rel1", (Route("a.example", UPSTREAMS),)))
    with pytest.raises(RouteRefused):
        render(ApplicationRoutes("app1", identifier, (Route("a.example", UPSTREAMS),)))


def test_no_routes_at_all_are_refused_because_withdrawing_is_the_way():
    with pytest.raises(RouteRefused):
        render(routes())


def damaged(change: str) -> dict[str, Any]:
    rendered = copy.deepcopy(render(routes(Route("a.example", UPSTREAMS))))
    http = rendered["http"]
    match change:
        case "service":
            http["routers"]["app1-0"]["service"] = "absent"
        case "middleware":
            http["middlewares"].pop("app1-retry")
        case "transport":
            http["serversTransports"].clear()
        case "servers":
            http["services"]["app1-rel1-3000"]["loadBalancer"]["servers"].clear()
        case "rule":
            http["routers"]["app1-0"]["rule"] = "Host(`a`) || PathPrefix(`/`)"
        case "control":
            http["middlewares"]["app1-x\n"] = {}
        case "template":
            http["middlewares"]["app1-x"] = {"headers": {"{{": "x"}}
    return rendered


@pytest.mark.parametrize(
    "change", ["service", "middleware", "transport", "servers", "rule", "control", "template"]
)
def test_a_configuration_with_a_loose_end_is_not_written(change: str):
    with pytest.raises(RouteRefused):
        validate(damaged(change))


def test_a_file_is_yaml_that_holds_the_routes_and_gives_them_back():
    given_routes = routes(
        Route("a.example", UPSTREAMS, path="/x", scheme="https"), Route("b.example", UPSTREAMS)
    )
    content = serialise(given_routes, render(given_routes))
    assert yaml.safe_load(content) == render(given_routes)
    assert parse(content) == given_routes
    assert parse("http: {}\n") is None


@given(host=st.text(max_size=30), path=st.text(max_size=30))
def test_whatever_a_user_writes_is_refused_or_stays_inside_its_quotes(host: str, path: str):
    given_routes = routes(Route(host, UPSTREAMS, path=f"/{path}"))
    try:
        rendered = render(given_routes)
    except RouteRefused:
        return
    validate(rendered)
    content = serialise(given_routes, rendered)
    assert yaml.safe_load(content) == rendered
    assert "{{" not in content
    assert content.count("\n#") == 0


@given(
    text=st.from_regex(r"https?://[a-z0-9.]{1,12}(/[a-zA-Z0-9._~!$&'()*+,;=:@%-]{0,6}){0,2}", fullmatch=True)
)
def test_every_address_that_a_user_may_enter_can_be_rendered(text: str):
    try:
        domains = parse_domains(text)
    except InvalidInput:
        return
    for domain in domains:
        rendered = render(routes(Route(domain.host, UPSTREAMS, path=domain.path, scheme=domain.scheme)))
        validate(rendered)
        assert domain.host in str(rendered["http"]["routers"])
