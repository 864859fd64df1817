"""Whoever follows logs cannot take from deployments what they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

from adapters.docker.connection import STREAM_THREADS
from seaway.runtime_view import FOLLOWERS_AT_ONCE, TOO_MANY_FOLLOWERS, ServersView


class EndlessLogs:
    """Stands for an engine with one replica that goes on writing."""

    def __init__(self) -> None:
        self.open = 0

    async def list_containers(self, _labels: object) -> list[Any]:
        return [SimpleNamespace(name="replica", started_at=None)]

    async def follow_logs(self, _name: str, _tail: int) -> AsyncIterator[Any]:
        self.open += 1
        try:
            while True:
                yield SimpleNamespace(text="line")
                await asyncio.sleep(0)
        finally:
            self.open -= 1


class OneApplication:
    """Stands for a store with one application on one server."""

    async def get(self, _application_id: str) -> None:
        return None

    def configured(self, _row: object) -> tuple[Any, dict[str, object]]:
        return SimpleNamespace(server_ids=("server",)), {}


class NobodyWatches:
    """Stands for what is known of servers: nothing."""

    async def silent(self) -> frozenset[str]:
        return frozenset()


class OneServer:
    """Stands for the way to it."""

    def __init__(self, engine: Any) -> None:
        self._parts = SimpleNamespace(engine=engine, swarm=None)

    async def parts(self, _server_id: str) -> Any:
        return self._parts


def view_of(engine: Any) -> ServersView:
    store: Any = SimpleNamespace(applications=OneApplication(), watch=NobodyWatches())
    servers: Any = OneServer(engine)
    return ServersView(store, servers)


async def test_logs_that_are_followed_leave_threads_for_deployments() -> None:
    engine: Any = EndlessLogs()
    view = view_of(engine)
    assert FOLLOWERS_AT_ONCE <= STREAM_THREADS // 2
    readers = [view.follow_logs("shop", lines=1) for _ in range(FOLLOWERS_AT_ONCE + 5)]
    first = [await anext(reader) for reader in readers]
    assert first == ["line"] * FOLLOWERS_AT_ONCE + [TOO_MANY_FOLLOWERS] * 5
    assert engine.open == FOLLOWERS_AT_ONCE
    for reader in readers:
        await reader.aclose()  # type: ignore[attr-defined]
    assert engine.open == 0


async def test_who_stops_following_makes_room_for_the_next() -> None:
    engine: Any = EndlessLogs()
    view = view_of(engine)
    for _ in range(FOLLOWERS_AT_ONCE * 2):
        reader: Any = view.follow_logs("shop", lines=1)
        async with aclosing(reader):
            assert await anext(reader) == "line"
    assert engine.open == 0
