"""What a container's command says, when it says what it likes."""

from __future__ import annotations

import asyncio
from typing import Any

from adapters.docker.terminal_sessions import CHUNK_BYTES, LONGEST_FIRST_LINE, ExecutionTerminal


class Endless:
    """A shell that never ends its first line."""

    def __init__(self) -> None:
        self.bytes = 0

    async def read(self, count: int) -> bytes:
        self.bytes += count
        if self.bytes > 100 * CHUNK_BYTES:
            raise AssertionError("All of it is kept.")
        await asyncio.sleep(0)
        return b"0" * count


async def test_a_first_line_without_an_end_is_not_collected() -> None:
    streams: Any = (Endless(), None)
    session = ExecutionTerminal(None, "shop", "e", streams, has_terminal=True)  # type: ignore[arg-type]
    async for _, data in session.output():
        assert len(data) <= CHUNK_BYTES
        break
    assert len(session._failure) <= LONGEST_FIRST_LINE
