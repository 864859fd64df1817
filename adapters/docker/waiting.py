"""Waiting for containers to end, and removals that do not mind what is gone already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from adapters.docker.connection import EngineConnection, EngineRefusal
from adapters.docker.streams import JsonReader
from domain.errors import DeadlineExceeded, EngineUnavailable, NotFound


class Waiting(EngineConnection):
    """Calls whose answer is that something has ended."""

    async def wait(self, name: str, timeout_seconds: float) -> int:
        """The exit code, when it has ended. Raises DeadlineExceeded; NotFound when there is no container."""
        answer = JsonReader()
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self.stream("POST", f"/containers/{name}/wait") as stream,
            ):
                async for chunk in stream:
                    for message in answer.feed(chunk):
                        return int(message["StatusCode"])
        except TimeoutError as error:
            text = f"The container {name} still runs after {timeout_seconds:g} seconds."
            raise DeadlineExceeded(text) from error
        except EngineRefusal as refusal:
            if refusal.status == 404:
                raise NotFound(f"There is no container {name}.") from refusal
            raise
        raise EngineUnavailable(f"The engine stopped waiting for the container {name}.")

    async def _exists(self, inspect: Callable[[Any], object]) -> bool:
        try:
            await self.call(inspect)
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    async def _absent_is_fine(self, work: Callable[[Any], object], *, extra_seconds: float = 0) -> None:
        try:
            await self.call(work, extra_seconds=extra_seconds)
        except EngineRefusal as refusal:
            # 409 "removal … is already in progress": an earlier try does it.
            if refusal.status != 404 and "already in progress" not in refusal.reason:
                raise
