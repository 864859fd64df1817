"""What a proxy does for Seaway: it serves the routes of applications and confirms each switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True)
class Route:
    """One public address of an application and the servers behind it (`http://name:port`, balanced)."""

    host: str
    upstreams: tuple[str, ...]
    path: str = "/"
    scheme: Literal["http", "https"] = "http"
    strip_prefix: bool = True
    force_https: bool = True
    compress: bool = True


@dataclass(frozen=True)
class Entrance:
    """The way in for an edge proxy. Who shows the token is believed about who the visitor is.

    `checked` are the servers that answer the edge's checks; without any, the proxy answers them itself.
    They are asked for `check_path`, whatever the edge asks for: it may not know this release yet.
    """

    token: str = field(repr=False)
    checked: tuple[str, ...] = ()
    check_path: str = ""


@dataclass(frozen=True)
class Spread:
    """The upstreams are proxies of servers with an `Entrance` for this token; only healthy ones get visitors.

    The rest is what they are asked to learn that; without a `status`, 200 to 399 is healthy.
    """

    token: str = field(repr=False)
    path: str = "/"
    host: str = ""
    method: str = "GET"
    status: int | None = None
    timeout_seconds: float = 5.0


@dataclass(frozen=True)
class ApplicationRoutes:
    """All that the proxy serves for one application, with the release that it leads to.

    With an `entrance` an edge gets to it as well; with a `spread` the proxy is the edge itself.
    """

    application_id: str
    release_id: str
    routes: tuple[Route, ...]
    entrance: Entrance | None = None
    spread: Spread | None = None


class Proxy(Protocol):
    """The proxy of one server. Every method may be repeated, and raises ProxyUnavailable without one."""

    async def ensure_running(self) -> None:
        """The proxy runs as configured afterwards. Raises ReplicaRefused when it cannot (a port in use)."""
        ...

    async def answers(self) -> bool:
        """Whether it runs and answers at this moment."""
        ...

    async def apply(self, routes: ApplicationRoutes) -> None:
        """Serve these routes, atomically; returns when new requests go there. Raises RouteRefused."""
        ...

    async def withdraw(self, application_id: str) -> None:
        """Serve nothing for the application any more; returns when that is so."""
        ...

    async def current(self, application_id: str) -> ApplicationRoutes | None:
        """What was applied last."""
        ...

    async def names(self) -> frozenset[str]:
        """What was applied and not withdrawn."""
        ...

    async def unhealthy(self, application_id: str) -> frozenset[str]:
        """Where these routes spread: the upstreams that get no visitors, once all have been checked."""
        ...

    async def routes_applied(self, application_id: str) -> str | None:
        """The release that requests go to at this moment, as the proxy itself says."""
        ...
