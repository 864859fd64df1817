"""Traefik's own account of what it serves (its read-only API)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from adapters import bounded_answers
from adapters.reach import Reach
from adapters.traefik.settings import API_USER
from domain.errors import ProxyUnavailable

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class RouterState:
    """A router as Traefik has it. `errors` are in Traefik's words; it then serves nothing."""

    service: str
    enabled: bool
    errors: tuple[str, ...]


class TraefikApi:
    """Asks one Traefik; open it with `async with`. Raises ProxyUnavailable when there is no answer."""

    def __init__(self, reach: Reach, port: int, token: str) -> None:
        """`port` is on the server's loopback."""
        self._address = reach.address("127.0.0.1", port)
        self._token = token
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> TraefikApi:
        host, port = await self._address.__aenter__()
        self._client = httpx.AsyncClient(
            base_url=f"http://{host}:{port}/api",
            auth=(API_USER, self._token),
            timeout=TIMEOUT_SECONDS,
            # A proxy that the environment names is not the way to our own loopback.
            trust_env=False,
            # There is no TLS here, and reading all certificates of this machine takes 25 ms.
            verify=False,  # noqa: S501
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._client is not None:
            await self._client.aclose()
        await self._address.__aexit__(None, None, None)

    async def router(self, name: str) -> RouterState | None:
        """A router of the file provider, or None."""
        answer = await self._get(f"/http/routers/{name}@file")
        if answer is None:
            return None
        return RouterState(
            service=str(answer.get("service", "")),
            enabled=answer.get("status") != "disabled",
            errors=tuple(str(error) for error in answer.get("error") or ()),
        )

    async def servers(self, service: str) -> frozenset[str] | None:
        """The servers of a working service of the file provider, or None."""
        answer = await self._get(f"/http/services/{service}@file")
        if answer is None or answer.get("status") == "disabled":
            return None
        return frozenset(str(server["url"]) for server in answer["loadBalancer"]["servers"])

    async def has_tcp_route(self, name: str, server_name: str) -> bool:
        """Whether TLS connections that ask for this name are taken by the TCP router of the file provider."""
        answer = await self._get(f"/tcp/routers/{name}@file")
        return answer is not None and answer.get("status") != "disabled" and server_name in answer["rule"]

    async def down(self, service: str) -> frozenset[str]:
        """The servers of a service of the file provider that its health check has found to be down."""
        answer = await self._get(f"/http/services/{service}@file") or {}
        statuses = answer.get("serverStatus") or {}
        return frozenset(str(server) for server, status in statuses.items() if status == "DOWN")

    async def has_entry_point(self, name: str) -> bool:
        """Whether the proxy was started with this entry point."""
        return await self._get(f"/entrypoints/{name}") is not None

    async def version(self) -> str:
        """Traefik's version; it answers as soon as the API's own route is loaded."""
        return str((await self._get("/version") or {}).get("Version", ""))

    async def is_alive(self) -> bool:
        """Whether it answers, also where the same machine under another name has given it another token."""
        if self._client is None:
            return False
        try:
            answer = await bounded_answers.get(self._client, "/version")
        except httpx.HTTPError:
            return False
        return answer.status_code in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)

    async def _get(self, path: str) -> Mapping[str, Any] | None:
        if self._client is None:
            raise ProxyUnavailable("The connection to the proxy is not open.")
        try:
            answer = await bounded_answers.get(self._client, path)
        except httpx.HTTPError as error:
            raise ProxyUnavailable("The proxy does not answer.", detail=str(error)) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise ProxyUnavailable(
                f"The proxy's API answered with {answer.status_code}.", detail=answer.text[:500]
            )
        content: Mapping[str, Any] = answer.json()
        return content
