"""What all replicas wrote, read from several servers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.docker.states import LogEntry
from seaway import replica_logs
from seaway.replica_logs import READS_OF_A_SERVER, Placed, ServerPlaces, Written, read_logs

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(second: int, text: str = "line") -> LogEntry:
    return LogEntry("stdout", BEGIN + timedelta(seconds=second), text)


class Counting:
    """A server that counts how many of its logs are read at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def log_entries(self, _name: str, _tail: int) -> list[LogEntry]:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        return [entry(self.most)]

    def follow_logs(self, name: str, tail: int, since: datetime | None = None) -> Any:
        raise NotImplementedError


async def test_of_one_server_few_logs_are_read_at_once_whoever_asks() -> None:
    east, west, places = Counting(), Counting(), ServerPlaces()
    replicas = [
        Placed(name, server, SimpleNamespace(id=f"{number}", name=f"shop-{number}"))  # type: ignore[arg-type]
        for name, server in (("east", east), ("west", west))
        for number in range(10)
    ]
    both = await asyncio.gather(*[read_logs(replicas, places, 100) for _ in range(2)])
    assert [len(one.entries) for one in both] == [20, 20]
    assert (east.most, west.most) == (READS_OF_A_SERVER, READS_OF_A_SERVER)


def test_the_last_lines_of_all_together_have_a_limit_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_logs, "MOST_CHARACTERS", 25)
    written = Written(10)
    written.take(b"a", [entry(one, "x" * 10) for one in (1, 3)])
    written.take(b"b", [entry(one, "y" * 10) for one in (2, 4)])
    assert [(replica, one.text[0]) for replica, one in written.entries] == [(b"a", "x"), (b"b", "y")]
    assert written.before == {b"a": entry(1).at, b"b": entry(2).at}


def test_only_what_is_missing_after_what_was_read_is_a_gap() -> None:
    whole = Written(3, after={b"a": entry(2).at})
    whole.take(b"a", [entry(2), entry(3), entry(4)])
    assert (len(whole.entries), whole.has_gap) == (2, False)
    cut = Written(3, after={b"a": entry(2).at})
    cut.take(b"a", [entry(4), entry(5), entry(6)])
    assert cut.has_gap
    crowded = Written(3, after={b"a": entry(2).at, b"b": entry(1).at})
    crowded.take(b"a", [entry(2), entry(3), entry(5)])
    crowded.take(b"b", [entry(1), entry(4), entry(6)])
    assert (len(crowded.entries), crowded.has_gap) == (3, True)
    assert crowded.before == {b"a": entry(3).at, b"b": entry(1).at}


def test_of_a_replica_that_was_not_read_yet_all_is_new() -> None:
    written = Written(3, after={b"a": entry(9).at})
    written.take(b"b", [entry(1), entry(2), entry(3)])
    assert (len(written.entries), written.before, written.has_gap) == (3, {}, False)
    written.take(b"b", [entry(0)])
    assert written.has_gap
