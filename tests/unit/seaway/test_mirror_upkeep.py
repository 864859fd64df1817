"""A worker looks after its mirrors, whatever else goes wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.git import GitMirrors
from seaway import mirror_upkeep
from seaway.parts import Installation, upkeep
from seaway.settings import Settings
from store.store import Store
from tests.harness.waiting import eventually


async def test_a_worker_collects_the_garbage_of_its_mirrors_again_and_again(
    servers_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[timedelta] = []

    async def collect_garbage(_: GitMirrors, *, unused_for: timedelta) -> list[Path]:
        asked.append(unused_for)
        raise OSError("the disk is full")

    monkeypatch.setattr(GitMirrors, "collect_garbage", collect_garbage)
    monkeypatch.setattr(mirror_upkeep, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(mirror_upkeep, "PAUSE_SECONDS", 0.01)
    nobody: Any = None
    settings = Settings(data_dir=tmp_path, clean_up_minutes=0)
    parts = Installation(settings, servers_store, nobody, nobody)
    async with upkeep(parts, nobody, has_local=lambda: False):

        async def is_repeated() -> bool:
            return len(asked) > 2

        await eventually(is_repeated)
    assert set(asked) == {timedelta(days=30)}
