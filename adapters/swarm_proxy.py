"""The proxy of a Swarm's manager: it is in the overlay network, and so reaches tasks on all nodes."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.docker.engine import DockerEngine
from adapters.proxy import ApplicationRoutes, Proxy


class SwarmProxy:
    """See `adapters.proxy.Proxy`. The network is joined before each use: a new container has forgotten it."""

    def __init__(
        self, proxy: Proxy, engine: DockerEngine, container: str, network: str, labels: Mapping[str, str]
    ) -> None:
        """`container` is the proxy's, `network` the overlay network, which is made where it is missing."""
        self._proxy = proxy
        self._engine = engine
        self._container = container
        self._network = network
        self._labels = labels

    async def ensure_running(self) -> None:
        """See `Proxy`. Raises NotPossibleNow where the engine is no manager of a Swarm."""
        await self._engine.ensure_overlay(self._network, self._labels)
        await self._proxy.ensure_running()
        await self._engine.join_network(self._network, self._container)

    async def answers(self) -> bool:
        """See `Proxy`."""
        return await self._proxy.answers()

    async def apply(self, routes: ApplicationRoutes) -> None:
        """See `Proxy`."""
        await self._engine.join_network(self._network, self._container)
        await self._proxy.apply(routes)

    async def withdraw(self, application_id: str) -> None:
        """See `Proxy`."""
        await self._proxy.withdraw(application_id)

    async def current(self, application_id: str) -> ApplicationRoutes | None:
        """See `Proxy`."""
        return await self._proxy.current(application_id)

    async def names(self) -> frozenset[str]:
        """See `Proxy`."""
        return await self._proxy.names()

    async def unhealthy(self, application_id: str) -> frozenset[str]:
        """See `Proxy`."""
        return await self._proxy.unhealthy(application_id)

    async def routes_applied(self, application_id: str) -> str | None:
        """See `Proxy`."""
        return await self._proxy.routes_applied(application_id)
