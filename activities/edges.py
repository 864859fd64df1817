"""The edge of an application: one server's proxy that spreads its visitors over all its servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urlsplit

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.servers import ServerParts, Servers, Surroundings
from adapters.proxy import ApplicationRoutes, Entrance, Route, Spread
from adapters.traefik.settings import EDGE_PORT_INSIDE
from domain.configuration import ApplicationConfiguration, HealthCheckKind
from domain.deployments import DeploymentStatus
from domain.errors import NotFound, RouteRefused
from store.encryption import KeyRing
from store.store import Store
from store.tables import Server

Serving = Callable[[str], Awaitable[m.Served | None]]
"""What serves of an application."""

OWN = f"http://127.0.0.1:{EDGE_PORT_INSIDE}"
"""The edge's own proxy, as itself reaches it."""

RELEASE = "edge"
"""An edge leads to servers, not to a release: it stays as it is while they switch to another one."""


@dataclass(frozen=True)
class Behind:
    """A server that an edge spreads over, as far as the edge has to know it."""

    id: str
    address: str


class EdgeActivities:
    """Has an edge spread over the servers of an application, or not any more."""

    def __init__(self, store: Store, servers: Servers, surroundings: Surroundings) -> None:
        self._store = store
        self._servers = servers
        self._surroundings = surroundings

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.apply]

    @activity.defn(name=s.APPLY_EDGE.name)
    async def apply(self, apply: m.ApplyEdge) -> m.StepOutcome:
        """Visitors of this server reach all servers of `serve` when this returns, where it is their edge."""
        parts = await self._servers.parts(apply.server_id)
        routes = await edge_routes(
            self._store, apply.application_id, apply.server_id, apply.serve, self._surroundings.edge_port
        )
        if routes is None:
            await parts.proxy.withdraw(edge_name(apply.application_id))
            return m.StepOutcome(message="traffic is no longer routed from here")
        await parts.proxy.apply(routes)
        if apply.step.undo:  # it leads where it led before, whatever has become of that
            return m.StepOutcome()
        reached = frozenset(routes.routes[0].upstreams)
        missed = reached & await parts.proxy.unhealthy(routes.application_id)
        if missed == reached:
            raise RouteRefused(_unreached(missed, self._surroundings.edge_port))
        message = f"confirmed by the proxy, which leads to {len(reached - missed)} of {len(reached)} servers"
        return m.StepOutcome(message=f"{message}, and not to {_said(missed)}" if missed else message)


def _unreached(upstreams: Iterable[str], port: int) -> str:
    return (
        f"The edge gets no healthy answer from any server of the application ({_said(upstreams)}). "
        f"They have to let it connect to their port {port}."
    )


def _said(upstreams: Iterable[str]) -> str:
    return ", ".join(sorted("itself" if one == OWN else urlsplit(one).netloc for one in upstreams))


def edge_name(application_id: str) -> str:
    """What the edge's routes are called; no application has so long an id."""
    return f"{application_id}{RELEASE}"


def edge_token(keys: KeyRing, application_id: str) -> str:
    """What the application's edge shows to its servers; every worker has to know it, wherever it runs."""
    return keys.fingerprint(f"edge {application_id}")


async def edge_routes(
    store: Store, application_id: str, server_id: str, serve: m.Served | None, port: int
) -> ApplicationRoutes | None:
    """What this server has to serve as the edge of the release; None where it is not its edge."""
    if serve is None:
        return None
    configuration = await store.deployments.snapshot(serve.configuration_of)
    if configuration.routing.edge_server_id != server_id or not configuration.routing.domains:
        return None
    behind = [Behind(one.id, one.address) for one in await _servers_of(store, configuration, serve)]
    return spreading(
        configuration, upstreams(behind, server_id, port), edge_token(store.encryption, application_id)
    )


async def settle_edges(store: Store, parts: ServerParts, server: Server, port: int, serving: Serving) -> None:
    """A server that was away leads visitors where what serves now is, or nowhere."""
    names = await parts.proxy.names()
    for name in sorted(one for one in names if one.endswith(RELEASE)):
        try:
            application = await store.applications.get(name.removesuffix(RELEASE))
        except NotFound:
            await _withdraw_forgotten(store, parts, name)
            continue
        if application.team_id != server.team_id:
            continue  # it uses the same machine by a row of its own
        rows = await store.deployments.all_of_application(application.id)
        if any(not DeploymentStatus(row.status).is_final for row in rows):
            continue  # who changes it at this moment looks after its edge, too
        routes = await edge_routes(store, application.id, server.id, await serving(application.id), port)
        if routes is None:
            await parts.proxy.withdraw(name)
        else:
            await parts.proxy.apply(routes)


async def _withdraw_forgotten(store: Store, parts: ServerParts, name: str) -> None:
    """The application was deleted while its edge was away. Another Seaway's, whose token differs, stays."""
    routes = await parts.proxy.current(name)
    token = edge_token(store.encryption, name.removesuffix(RELEASE))
    if routes is not None and routes.spread is not None and routes.spread.token == token:
        await parts.proxy.withdraw(name)


async def _servers_of(
    store: Store, configuration: ApplicationConfiguration, serve: m.Served
) -> Sequence[Server]:
    """Those that have the release; others have an older one, which is better than nothing at all."""
    having = serve.servers or configuration.server_ids
    older = [server_id for one in serve.elsewhere for server_id in one.servers]
    return await _known(store, having) or await _known(store, older)


async def _known(store: Store, server_ids: Iterable[str]) -> Sequence[Server]:
    found = []
    for server_id in server_ids:
        try:
            found.append(await store.servers.get(server_id))
        except NotFound:
            activity.logger.info("the server %s is gone", server_id)
    return found


def upstreams(behind: Sequence[Behind], edge_id: str, port: int) -> tuple[str, ...]:
    """The proxies of these servers, each once; the edge's own replicas are behind its own proxy, too.

    Every server has the same number of replicas, so each gets the same share.
    """
    return tuple(OWN if one.id == edge_id else f"http://{_host(one.address)}:{port}" for one in behind)


def spreading(
    configuration: ApplicationConfiguration, upstreams: tuple[str, ...], token: str
) -> ApplicationRoutes:
    """Every domain of the configuration, each leading to all servers that are healthy.

    They are asked as a new replica is, as far as a proxy can: by HTTP. Where it cannot, the proxies of the
    servers answer for them.
    """
    routing, health = configuration.routing, configuration.health
    spread = Spread(token, timeout_seconds=health.timeout_seconds)
    if asks_replicas(configuration):
        spread = Spread(
            token, health.path, health.host, health.method, health.expected_status, health.timeout_seconds
        )
    return ApplicationRoutes(
        application_id=edge_name(configuration.application_id),
        release_id=RELEASE,
        routes=tuple(
            Route(
                host=domain.host,
                path=domain.path,
                scheme=domain.scheme,
                strip_prefix=False,  # the servers do that
                force_https=routing.force_https,
                compress=routing.compress,
                upstreams=upstreams,
            )
            for domain in routing.domains
        ),
        spread=spread,
    )


def entrance_of(configuration: ApplicationConfiguration, routes: Sequence[Route], token: str) -> Entrance:
    """The way in for the application's edge on a server with these routes."""
    if not routes or not asks_replicas(configuration):
        return Entrance(token)
    port = configuration.health.port or configuration.runtime.port
    checked = tuple(f"http://{urlsplit(one).hostname}:{port}" for one in routes[0].upstreams)
    return Entrance(token, checked, configuration.health.path.partition("?")[0])


def asks_replicas(configuration: ApplicationConfiguration) -> bool:
    """Whether the health check is one that a proxy can make."""
    health = configuration.health
    return health.kind is HealthCheckKind.HTTP and health.scheme == "http"


def _host(address: str) -> str:
    try:
        return f"[{IPv6Address(address)}]"
    except ValueError:
        return address
