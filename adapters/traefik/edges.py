"""What Traefik is told where an edge spreads over servers, and on the servers that it spreads over.

An edge shows each server a token with every request. So nobody else is believed about who a visitor is,
whatever the addresses of the two look like to each other, and no proxy has to start anew for another edge.
"""

from __future__ import annotations

from typing import Any

from adapters.proxy import Entrance, Spread
from adapters.traefik.settings import EDGE_ENTRY_POINT

TOKEN_HEADER = "X-Seaway-Edge"  # noqa: S105
CHECK_HEADER = "X-Seaway-Edge-Check"
CHECK_SECONDS = 1
DIAL_SECONDS = 0.5
# Above the length of any rule, which is the priority of all other routers.
CHECK_PRIORITY = 1_000_000
# Built into Traefik: answers 200 as long as the proxy itself runs.
OWN_ANSWER = "ping@internal"

# A server that died without a word is found out by connecting: there is nothing else to tell it from one that
# thinks. So each request connects, and one that cannot goes elsewhere.
TRANSPORT = {
    "forwardingTimeouts": {"dialTimeout": f"{round(DIAL_SECONDS * 1000)}ms", "idleConnTimeout": "1s"},
    "maxIdleConnsPerHost": -1,
}
# Other requests move the turn on meanwhile, so one may meet the same dead server several times. Until the
# check has found it out, which takes up to its own limit, none may run out of attempts.
RETRY = {"attempts": 20, "initialInterval": "50ms"}


def token_rule(token: str) -> str:
    """What a rule asks of an edge besides host and path."""
    return f"Header(`{TOKEN_HEADER}`, `{token}`)"


def entrance_router(router: dict[str, Any], token: str, chain: list[str]) -> dict[str, Any]:
    """The same route for an edge: plain, because TLS and compression are between the edge and visitors."""
    return {
        "rule": f"{router['rule']} && {token_rule(token)}",
        "service": router["service"],
        "middlewares": chain,
        "entryPoints": [EDGE_ENTRY_POINT],
    }


def check_router(entrance: Entrance, service: str, chain: list[str]) -> dict[str, Any]:
    """What answers the edge's checks, at any host and path."""
    return {
        "rule": f"Header(`{CHECK_HEADER}`, `{entrance.token}`)",
        "service": service,
        "middlewares": chain,
        "entryPoints": [EDGE_ENTRY_POINT],
        "priority": CHECK_PRIORITY,
    }


def own_check_path(entrance: Entrance) -> dict[str, Any]:
    """What this release is asked for, whichever one the edge still asks for (a middleware)."""
    return {"replacePath": {"path": entrance.check_path}}


def without_tokens() -> dict[str, Any]:
    """The application sees none of what is between the proxies (a middleware)."""
    return {"headers": {"customRequestHeaders": {TOKEN_HEADER: "", CHECK_HEADER: ""}}}


def with_token(spread: Spread) -> dict[str, Any]:
    """What an edge shows with each request (a middleware)."""
    return {"headers": {"customRequestHeaders": {TOKEN_HEADER: spread.token}}}


def health_check(spread: Spread) -> dict[str, Any]:
    """How Traefik finds out which servers are healthy."""
    return {
        "path": spread.path,
        "method": spread.method,
        "interval": f"{CHECK_SECONDS}s",
        "timeout": f"{round(spread.timeout_seconds * 1000)}ms",
        # An application that redirects is healthy; what it redirects to may be anybody's.
        "followRedirects": False,
        "headers": {CHECK_HEADER: spread.token},
        **({"hostname": spread.host} if spread.host else {}),
        **({"status": spread.status} if spread.status else {}),
    }
