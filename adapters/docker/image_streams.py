"""Archives of images as streams from and to an engine, in the event loop: there are thousands of pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from adapters.docker.bounded_client import LONGEST_REFUSAL_BYTES
from adapters.docker.connection import CONNECT_TIMEOUT_SECONDS, EngineConnection, EngineRefusal
from adapters.docker.streams import JsonReader
from domain.errors import EngineUnavailable


class ImageStreams(EngineConnection):
    """Each stream has a connection of its own, which is closed when it ends or is cancelled."""

    @asynccontextmanager
    async def saved(self, reference: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """An archive of the image, in pieces as the engine makes it. Raises EngineUnavailable."""
        async with self._exchange("GET", f"/images/{reference}/get") as answer:
            yield answer.aiter_raw()

    async def load_stream(self, archive: AsyncIterator[bytes], on_message: Callable[[str], None]) -> None:
        """Loads an archive of `docker save` in pieces, none of which is kept.

        `on_message` hears the engine's progress. Raises EngineRefusal with the engine's reason, and what
        `archive` raises; then nothing has been loaded.
        """
        headers = {"Content-Type": "application/x-tar"}
        progress = JsonReader()
        async with self._exchange("POST", "/images/load", content=archive, headers=headers) as answer:
            async for chunk in answer.aiter_raw():
                for message in progress.feed(chunk):
                    if reason := message.get("error"):
                        raise EngineRefusal(500, str(reason))
                    on_message(str(message.get("stream") or message.get("status") or "").strip())

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        content: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        version: Any = await self.call(lambda client: client.api_version)
        transport = httpx.AsyncHTTPTransport(uds=self.socket)
        # What limits it is that pieces come and go, which only the caller sees.
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS)
        url = f"http://docker/v{version}{path}"
        try:
            async with (
                httpx.AsyncClient(transport=transport, timeout=timeout) as client,
                client.stream(method, url, content=content, headers=headers) as answer,
            ):
                if answer.status_code >= 400:
                    raise EngineRefusal(answer.status_code, await _refusal_of(answer))
                yield answer
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                "The connection to the Docker Engine broke.", detail=str(error) or type(error).__name__
            ) from error


async def _refusal_of(answer: httpx.Response) -> str:
    content = b""
    async for chunk in answer.aiter_raw(LONGEST_REFUSAL_BYTES):
        content += chunk
        if len(content) >= LONGEST_REFUSAL_BYTES:
            break
    return content[:LONGEST_REFUSAL_BYTES].decode("utf-8", "replace")
