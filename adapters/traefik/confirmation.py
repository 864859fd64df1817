"""Waiting until Traefik serves what was written, as Traefik itself says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from adapters.traefik.api import TraefikApi
from domain.errors import ProxyUnavailable, RouteRefused

CONFIRM_LIMIT_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.05


async def confirm_applied(api: TraefikApi, rendered: Mapping[str, Any], stale: Iterable[str]) -> None:
    """Return when every router leads to its service with its servers, and the `stale` routers are gone.

    Traefik changes its whole configuration at once, so requests that begin now are served by it. Raises
    RouteRefused with Traefik's reason when it rejects a router, ProxyUnavailable after the limit.
    """
    routers, services = rendered["http"]["routers"], rendered["http"]["services"]

    async def applied() -> bool:
        for name, router in routers.items():
            state = await api.router(name)
            if state is None or state.service != router["service"]:
                return False
            if not state.enabled:
                raise RouteRefused(
                    f"The proxy rejects the route {router['rule']}.", detail="; ".join(state.errors)
                )
        for name, service in services.items():
            wanted = frozenset(server["url"] for server in service["loadBalancer"]["servers"])
            if await api.servers(name) != wanted:
                return False
        return await _absent(api, stale)

    await poll(applied, "The proxy has not applied the routes yet.")


async def confirm_absent(api: TraefikApi, routers: Iterable[str]) -> None:
    """Return when none of the routers is there any more. Raises ProxyUnavailable after the limit."""
    names = tuple(routers)
    await poll(lambda: _absent(api, names), "The proxy still has the routes.")


async def confirm_answering(api: TraefikApi) -> None:
    """Return when Traefik runs and has read its folder. Raises ProxyUnavailable after the limit."""

    async def answering() -> bool:
        return bool(await api.version())

    await poll(answering, "The proxy does not answer.")


async def _absent(api: TraefikApi, routers: Iterable[str]) -> bool:
    for name in routers:
        if await api.router(name) is not None:
            return False
    return True


async def poll(true: Callable[[], Awaitable[bool]], failure: str) -> None:
    """Return when it is true. Raises ProxyUnavailable with `failure` after the limit."""
    pause = FIRST_PAUSE_SECONDS
    reason = ""
    try:
        async with asyncio.timeout(CONFIRM_LIMIT_SECONDS):
            while True:
                try:
                    if await true():
                        return
                    reason = ""
                except ProxyUnavailable as error:
                    reason = f"{error.message} {error.detail}"
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
    except TimeoutError as error:
        raise ProxyUnavailable(failure, detail=reason) from error
