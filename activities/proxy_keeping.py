"""A server's proxy is looked after: what dies, or does not come back after a boot, is started again."""

from __future__ import annotations

import asyncio

from activities.servers import ServerParts
from adapters.proxy import Proxy
from domain.errors import ProxyUnavailable, SeawayError
from domain.server_events import ServerEventKind
from domain.server_systems import lets_us_in
from store.store import Store
from store.tables import Server, ServerEvent

HICCUP_SECONDS = 1.0
"""An engine that restarts a container by itself needs about as long."""
START_SECONDS = 60.0
SILENT = "Look at the log of its container there."


async def keep_proxy(store: Store, server: Server, parts: ServerParts) -> tuple[str, str]:
    """The code and message of what is wrong with the proxy, if something is; both empty when it answers.

    One that does not answer is started. That it was, and that it could not be, is written down as an event.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            if not await _started(parts.proxy):
                return "", ""
    except TimeoutError:
        failure: SeawayError = ProxyUnavailable(f"It did not start within {START_SECONDS:g} s. {SILENT}")
    except SeawayError as error:
        failure = error
    else:
        await _tell(store, server, ServerEventKind.PROXY_UP, "The proxy was started again, and answers.")
        return "", ""
    if not lets_us_in(failure.code):
        return failure.code, failure.message
    hint = f" {SILENT}" if isinstance(failure, ProxyUnavailable) and SILENT not in failure.message else ""
    message = f"The proxy does not run, so no visitor gets an answer: {failure.message}{hint}"
    if message != server.status_message:
        await _tell(store, server, ServerEventKind.PROXY_DOWN, message)
    return failure.code, message


async def _started(proxy: Proxy) -> bool:
    """Whether it had to be started."""
    if await proxy.answers():
        return False
    await asyncio.sleep(HICCUP_SECONDS)
    if await proxy.answers():
        return False
    await proxy.ensure_running()
    return True


async def _tell(store: Store, server: Server, kind: ServerEventKind, message: str) -> None:
    await store.watch.record(ServerEvent(server_id=server.id, kind=kind, message=message))
