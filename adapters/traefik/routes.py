"""Routes as Traefik's dynamic configuration (file provider, v3). No input or output here.

One invalid file makes Traefik ignore every later change of every application, so what is rendered is
also checked before it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from adapters.proxy import ApplicationRoutes, Entrance, Route, Spread
from adapters.traefik import edges
from adapters.traefik.settings import EDGE_ENTRY_POINT
from domain.errors import RouteRefused

__all__ = ["ApplicationRoutes", "Route", "parse", "release_of", "render", "serialise", "validate"]

HTTP, HTTPS = "http", "https"
IDENTIFIER = re.compile(r"[a-z0-9]+")
HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
UPSTREAM = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")
RULE = re.compile(r"Host\(`[^`\s]+`\)(?: && \(Path\(`[^`\s]+`\) \|\| PathPrefix\(`[^`\s]+`\)\))?")
EDGE_RULE = re.compile(rf"(?:{RULE.pattern} && )?Header\(`X-Seaway-[A-Za-z-]+`, `{TOKEN.pattern}`\)")
# Control characters; and Traefik runs each file through Go's templates before it reads it.
UNSAFE = re.compile(r"[\x00-\x1f\x7f]|\{\{")
HEADER = "# Written by Seaway; what is changed here is lost. "

# The drain counts established connections to the old version, so idle ones must go soon after the switch.
TRANSPORT = {"forwardingTimeouts": {"idleConnTimeout": "1s", "dialTimeout": "5s"}}
# Traefik repeats a request only where nothing of it was sent yet, so this is safe for POST as well.
RETRY = {"attempts": 3, "initialInterval": "50ms"}
# Events must not wait for a compressor's buffer.
COMPRESS = {"excludedContentTypes": ["text/event-stream"]}
# Built into Traefik: answers 418 when ever reached; behind a redirect it never is.
NO_SERVICE = "noop@internal"

Rendered = dict[str, Any]


def render(routes: ApplicationRoutes) -> Rendered:
    """The dynamic configuration of one application. Raises RouteRefused for what cannot be written safely.

    Router names stay the same from release to release; service names hold the release, so that Traefik's
    API shows which one is applied. Longer rules win, which is Traefik's own priority.
    """
    _check(routes)
    application, spread, entrance = routes.application_id, routes.spread, routes.entrance
    services: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    middlewares: dict[str, Any] = {f"{application}-retry": {"retry": edges.RETRY if spread else RETRY}}
    names: dict[tuple[str, ...], str] = {}
    for index, route in enumerate(routes.routes):
        service = names.setdefault(route.upstreams, _service_name(routes, route.upstreams, services))
        services[service] = _service(application, route.upstreams, spread)
        chain = _chain(application, index, route, middlewares, spread)
        router = {"rule": rule(route), "service": service, "middlewares": chain}
        name = f"{application}-{index}"
        if route.scheme == HTTPS:
            routers[name] = {**router, "entryPoints": [HTTPS], "tls": {}}
            routers[f"{name}-http"] = _plain_router(application, route, router, middlewares)
        else:
            routers[name] = {**router, "entryPoints": [HTTP]}
        if entrance:
            inner = _inner_chain(application, index, route, middlewares)
            routers[f"{name}-edge"] = edges.entrance_router(router, entrance.token, inner)
    if entrance:
        service = _checked_service(routes, entrance, services, names)
        inner = [_without_tokens(application, middlewares)]
        if entrance.check_path:
            middlewares[f"{application}-check-path"] = edges.own_check_path(entrance)
            inner.append(f"{application}-check-path")
        routers[f"{application}-check"] = edges.check_router(entrance, service, inner)
    if spread:
        # An edge may be one of the servers that it spreads over, which has the same routes to its replicas.
        for found in routers.values():
            found["priority"] = len(found["rule"]) + 1
    return {
        "http": {
            "routers": routers,
            "services": services,
            "middlewares": middlewares,
            "serversTransports": {application: edges.TRANSPORT if spread else TRANSPORT},
        }
    }


def rule(route: Route) -> str:
    """Host and path; a path matches at its own end or at a slash, so `/api` does not catch `/apis`."""
    host = f"Host(`{route.host}`)"
    path = route.path.rstrip("/")
    return f"{host} && (Path(`{path}`) || PathPrefix(`{path}/`))" if path else host


def validate(rendered: Mapping[str, Any]) -> None:
    """Raises RouteRefused unless everything that is named exists and every rule has the known form."""
    http = rendered["http"]
    for name, router in http["routers"].items():
        missing = [item for item in router["middlewares"] if item not in http["middlewares"]]
        if router["service"] not in (NO_SERVICE, edges.OWN_ANSWER, *http["services"]):
            missing.append(router["service"])
        if missing:
            raise RouteRefused(f"The router {name} names what does not exist: {', '.join(missing)}.")
        # Whoever gets in at the edge's entry point is believed about who the visitor is.
        form = EDGE_RULE if router["entryPoints"] == [EDGE_ENTRY_POINT] else RULE
        if not form.fullmatch(router["rule"]):
            raise RouteRefused(f"The rule of the router {name} is not valid.", detail=router["rule"])
    for name, service in http["services"].items():
        balancer = service["loadBalancer"]
        if not balancer["servers"]:
            raise RouteRefused(f"The service {name} has no server to send requests to.")
        if balancer["serversTransport"] not in http["serversTransports"]:
            raise RouteRefused(f"The service {name} names a transport that does not exist.")
    for text in _texts(rendered):
        if UNSAFE.search(text):
            raise RouteRefused("A route holds a control character or opens a template.", detail=repr(text))


def serialise(routes: ApplicationRoutes, rendered: Mapping[str, Any]) -> str:
    """The content of the file: the routes on a comment line, then JSON, which is YAML as well."""
    told = {name: value for name, value in asdict(routes).items() if value is not None}
    comment = json.dumps(told, sort_keys=True)
    return f"{HEADER}{comment}\n{json.dumps(rendered, indent=1, sort_keys=True)}\n"


def parse(content: str) -> ApplicationRoutes | None:
    """The routes that a file was made from; None when it is not one of ours."""
    line = content.partition("\n")[0]
    if not line.startswith(HEADER):
        return None
    fields = json.loads(line.removeprefix(HEADER))
    routes = tuple(Route(**{**route, "upstreams": tuple(route["upstreams"])}) for route in fields["routes"])
    entrance, spread = fields.get("entrance"), fields.get("spread")
    return ApplicationRoutes(
        fields["application_id"],
        fields["release_id"],
        routes,
        Entrance(**{**entrance, "checked": tuple(entrance["checked"])}) if entrance else None,
        Spread(**spread) if spread else None,
    )


def release_of(service: str) -> str | None:
    """The release in the name of a service, with or without its provider."""
    parts = service.partition("@")[0].split("-")
    return parts[1] if len(parts) >= 3 else None


def _check(routes: ApplicationRoutes) -> None:
    for identifier in (routes.application_id, routes.release_id):
        if not IDENTIFIER.fullmatch(identifier):
            raise RouteRefused(f"{identifier[:80]!r} cannot name a route: only a-z and 0-9 can.")
    if not routes.routes:
        raise RouteRefused("There is no route to apply; an application without domains has none.")
    for route in routes.routes:
        if not HOST.fullmatch(route.host):
            raise RouteRefused(f"The proxy cannot serve the host {route.host[:120]!r}.")
        if not PATH.fullmatch(route.path):
            raise RouteRefused(f"The proxy cannot serve the path {route.path[:120]!r}.")
        if not route.upstreams:
            raise RouteRefused(f"Nothing is there to serve {route.host}.")
    _check_upstreams(routes)


def _check_upstreams(routes: ApplicationRoutes) -> None:
    checked = routes.entrance.checked if routes.entrance else ()
    for upstream in (*(one for route in routes.routes for one in route.upstreams), *checked):
        if not UPSTREAM.fullmatch(upstream):
            raise RouteRefused(f"The proxy cannot reach {upstream[:120]!r}.")
    for shown in (routes.entrance, routes.spread):
        if shown is not None and not TOKEN.fullmatch(shown.token):
            raise RouteRefused("What an edge shows to servers has to be long, of letters and digits.")


def _service_name(routes: ApplicationRoutes, upstreams: Sequence[str], taken: Mapping[str, Any]) -> str:
    found = UPSTREAM.fullmatch(upstreams[0])
    name = f"{routes.application_id}-{routes.release_id}-{found['port'] if found else '0'}"
    return name if name not in taken else f"{name}-{len(taken)}"


def _service(application: str, upstreams: Sequence[str], spread: Spread | None) -> dict[str, Any]:
    servers = [{"url": upstream} for upstream in upstreams]
    balancer = {"servers": servers, "passHostHeader": True, "serversTransport": application}
    return {"loadBalancer": {**balancer, **({"healthCheck": edges.health_check(spread)} if spread else {})}}


def _checked_service(
    routes: ApplicationRoutes,
    entrance: Entrance,
    services: dict[str, Any],
    names: Mapping[tuple[str, ...], str],
) -> str:
    """What a check of the edge asks; it is added to the services unless it is one of them."""
    if not entrance.checked:
        return edges.OWN_ANSWER
    if entrance.checked in names:
        return names[entrance.checked]
    service = _service_name(routes, entrance.checked, services)
    services[service] = _service(routes.application_id, entrance.checked, None)
    return service


def _chain(
    application: str, index: int, route: Route, middlewares: dict[str, Any], spread: Spread | None
) -> list[str]:
    """The middlewares of a route in their order; what it needs is added to those that exist."""
    chain = _strip(application, index, route, middlewares)
    if route.compress:
        middlewares[f"{application}-compress"] = {"compress": COMPRESS}
        chain.append(f"{application}-compress")
    if spread:
        middlewares[f"{application}-token"] = edges.with_token(spread)
        chain.append(f"{application}-token")
    return [*chain, f"{application}-retry"]


def _inner_chain(application: str, index: int, route: Route, middlewares: dict[str, Any]) -> list[str]:
    """The middlewares of a route for requests that come from an edge."""
    strip = _strip(application, index, route, middlewares)
    return [*strip, _without_tokens(application, middlewares), f"{application}-retry"]


def _strip(application: str, index: int, route: Route, middlewares: dict[str, Any]) -> list[str]:
    path = route.path.rstrip("/")
    if not path or not route.strip_prefix:
        return []
    middlewares[f"{application}-strip-{index}"] = {"stripPrefix": {"prefixes": [path]}}
    return [f"{application}-strip-{index}"]


def _without_tokens(application: str, middlewares: dict[str, Any]) -> str:
    name = f"{application}-no-token"
    middlewares[name] = edges.without_tokens()
    return name


def _plain_router(
    application: str, route: Route, router: dict[str, Any], middlewares: dict[str, Any]
) -> dict[str, Any]:
    """What visitors of an https address get over http: a redirect where it is forced, else the same."""
    if not route.force_https:
        return {**router, "entryPoints": [HTTP]}
    # Not permanent: browsers keep a permanent one for ever, also after https was switched off.
    middlewares[f"{application}-https"] = {"redirectScheme": {"scheme": HTTPS, "permanent": False}}
    return {
        "rule": router["rule"],
        "service": NO_SERVICE,
        "middlewares": [f"{application}-https"],
        "entryPoints": [HTTP],
    }


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
