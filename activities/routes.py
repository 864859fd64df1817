"""Where the application's traffic goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import activity

from activities import messages as m
from activities import signatures as s
from activities.edges import edge_token, entrance_of
from activities.servers import Servers
from adapters.proxy import ApplicationRoutes, Entrance, Route
from domain.configuration import ApplicationConfiguration
from domain.replicas import replica_name
from domain.services import service_name
from store.columns import now
from store.store import Store


class RouteActivities:
    """Switches an application's routes, atomically and confirmed."""

    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    def all(self) -> list[Callable[..., Any]]:
        """The activities, for the worker."""
        return [self.apply]

    @activity.defn(name=s.APPLY_ROUTES.name)
    async def apply(self, apply: m.ApplyRoutes) -> m.StepOutcome:
        """New requests go to these replicas when this returns; with none, the routes are withdrawn."""
        parts = await self._servers.parts(apply.server_id)
        # Going back on a server that had nothing before means to withdraw.
        serve = apply.serve.on(apply.server_id) if apply.serve is not None else None
        routes: tuple[Route, ...] = ()
        entrance: Entrance | None = None
        if serve is not None:
            configuration = await self._store.deployments.snapshot(serve.configuration_of)
            routes = routes_of(configuration, serve, as_service=parts.swarm is not None)
            if apply.lets_edge_in:
                token = edge_token(self._store.encryption, apply.application_id)
                entrance = entrance_of(configuration, routes, token)
        if serve is None or not routes:
            await parts.proxy.withdraw(apply.application_id)
            message = "no domain, so nothing to switch" if serve else "traffic is no longer routed"
        else:
            await parts.proxy.apply(
                ApplicationRoutes(
                    application_id=apply.application_id,
                    release_id=serve.release_id,
                    routes=routes,
                    entrance=entrance,
                )
            )
            message = "confirmed by the proxy"
        if serve is not None and not apply.step.undo:
            await self._store.deployments.update(apply.step.deployment_id, serving_at=now())
        return m.StepOutcome(message=message)


def routes_of(
    configuration: ApplicationConfiguration, serve: m.Served, *, as_service: bool = False
) -> tuple[Route, ...]:
    """Every domain of the configuration, each leading to all replicas.

    Those of a service share its name, which at any moment leads to the tasks that run.
    """
    routing = configuration.routing
    hosts = (
        [service_name(configuration.application_id, serve.release_id)]
        if as_service
        else [
            replica_name(configuration.application_id, serve.release_id, number)
            for number in range(1, serve.replicas + 1)
        ]
    )
    return tuple(
        Route(
            host=domain.host,
            path=domain.path,
            scheme=domain.scheme,
            strip_prefix=routing.strip_prefix,
            force_https=routing.force_https,
            compress=routing.compress,
            upstreams=tuple(f"http://{host}:{domain.port or configuration.runtime.port}" for host in hosts),
        )
        for domain in routing.domains
    )
