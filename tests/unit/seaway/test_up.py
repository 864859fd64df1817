"""Starting everything, where a part of it fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import StartUpError
from seaway import up
from seaway.settings import Settings


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


async def test_it_does_not_start_where_its_own_machine_is_not_to_be_used(tmp_path: Path) -> None:
    with pytest.raises(StartUpError, match="SEAWAY_LOCAL_SERVER"):
        await up._require_engine(Settings(data_dir=tmp_path, local_server=False))
