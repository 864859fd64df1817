"""Starting everything, where a part of it fails."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from seaway import up


async def test_the_proxys_start_has_ended_before_its_engine_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = False

    async def start_proxy(*_: object) -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    monkeypatch.setattr(up, "start_proxy", start_proxy)
    parts: Any = SimpleNamespace(servers=None, settings=None)
    with pytest.raises(ConnectionError):  # noqa: PT012
        async with up._starting_proxy(parts):
            await asyncio.sleep(0)
            raise ConnectionError("no Temporal")
    assert ended
