"""Routes as Traefik's dynamic configuration (file provider, v3). No input or output here.

One invalid file makes Traefik ignore every later change of every application, so what is rendered is
also checked before it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from adapters.proxy import ApplicationRoutes, Route
from domain.errors import RouteRefused

__all__ = ["ApplicationRoutes", "Route", "parse", "release_of", "render", "serialise", "validate"]

HTTP, HTTPS = "http", "https"
IDENTIFIER = re.compile(r"[a-z0-9]+")
HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
UPSTREAM = re.compile(r"https?://[A-Za-z0-9._-]+:(?P<port>[0-9]{1,5})")
RULE = re.compile(r"Host\(`[^`\s]+`\)(?: && \(Path\(`[^`\s]+`\) \|\| PathPrefix\(`[^`\s]+`\)\))?")
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
    application = routes.application_id
    services: dict[str, Any] = {}
    routers: dict[str, Any] = {}
    middlewares: dict[str, Any] = {f"{application}-retry": {"retry": RETRY}}
    names: dict[tuple[str, ...], str] = {}
    for index, route in enumerate(routes.routes):
        service = names.setdefault(route.upstreams, _service_name(routes, route, services))
        services[service] = _service(application, route)
        chain = _chain(application, index, route, middlewares)
        router = {"rule": rule(route), "service": service, "middlewares": chain}
        name = f"{application}-{index}"
        if route.scheme == HTTPS:
            routers[name] = {**router, "entryPoints": [HTTPS], "tls": {}}
            routers[f"{name}-http"] = _plain_router(application, route, router, middlewares)
        else:
            routers[name] = {**router, "entryPoints": [HTTP]}
    return {
        "http": {
            "routers": routers,
            "services": services,
            "middlewares": middlewares,
            "serversTransports": {application: TRANSPORT},
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
        if router["service"] != NO_SERVICE and router["service"] not in http["services"]:
            missing.append(router["service"])
        if missing:
            raise RouteRefused(f"The router {name} names what does not exist: {', '.join(missing)}.")
        if not RULE.fullmatch(router["rule"]):
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
    comment = json.dumps(asdict(routes), sort_keys=True)
    return f"{HEADER}{comment}\n{json.dumps(rendered, indent=1, sort_keys=True)}\n"


def parse(content: str) -> ApplicationRoutes | None:
    """The routes that a file was made from; None when it is not one of ours."""
    line = content.partition("\n")[0]
    if not line.startswith(HEADER):
        return None
    fields = json.loads(line.removeprefix(HEADER))
    routes = tuple(Route(**{**route, "upstreams": tuple(route["upstreams"])}) for route in fields["routes"])
    return ApplicationRoutes(fields["application_id"], fields["release_id"], routes)


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
        for upstream in route.upstreams:
            if not UPSTREAM.fullmatch(upstream):
                raise RouteRefused(f"The proxy cannot reach {upstream[:120]!r}.")


def _service_name(routes: ApplicationRoutes, route: Route, taken: Mapping[str, Any]) -> str:
    found = UPSTREAM.fullmatch(route.upstreams[0])
    name = f"{routes.application_id}-{routes.release_id}-{found['port'] if found else '0'}"
    return name if name not in taken else f"{name}-{len(taken)}"


def _service(application: str, route: Route) -> dict[str, Any]:
    servers = [{"url": upstream} for upstream in route.upstreams]
    return {"loadBalancer": {"servers": servers, "passHostHeader": True, "serversTransport": application}}


def _chain(application: str, index: int, route: Route, middlewares: dict[str, Any]) -> list[str]:
    """The middlewares of a route in their order; what it needs is added to those that exist."""
    path = route.path.rstrip("/")
    chain: list[str] = []
    if path and route.strip_prefix:
        chain.append(f"{application}-strip-{index}")
        middlewares[chain[-1]] = {"stripPrefix": {"prefixes": [path]}}
    if route.compress:
        middlewares[f"{application}-compress"] = {"compress": COMPRESS}
        chain.append(f"{application}-compress")
    return [*chain, f"{application}-retry"]


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
