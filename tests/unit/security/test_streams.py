"""One team cannot take the database from others by streams that it leaves open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api import stream_places
from api.stream_places import counted
from domain.errors import TooManyRequests


async def endless() -> AsyncIterator[int]:
    number = 0
    while True:
        yield number
        number += 1


async def test_a_team_has_so_many_streams_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_places, "MOST_OF_A_TEAM", 3)
    streams: list[Any] = [counted("mine", endless()) for _ in range(3)]
    assert [await anext(stream) for stream in streams] == [0, 0, 0]
    with pytest.raises(TooManyRequests):
        counted("mine", endless())
    theirs: Any = counted("theirs", endless())
    assert await anext(theirs) == 0
    await streams.pop().aclose()
    streams.append(counted("mine", endless()))
    assert await anext(streams[-1]) == 0
    for stream in (*streams, theirs):
        await stream.aclose()
    assert stream_places._open == {}


async def test_a_stream_that_fails_counts_no_more() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise OSError("the database is gone")

    stream: Any = counted("mine", failing())
    assert await anext(stream) == 1
    with pytest.raises(OSError, match="gone"):
        await anext(stream)
    assert stream_places._open == {}
