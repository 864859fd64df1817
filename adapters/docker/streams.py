"""The engine's stream formats: multiplexed output, log lines with times, and JSON lines."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from adapters.docker.states import LONGEST_FACT, LogEntry, engine_time
from domain.errors import EngineUnavailable

HEADER_BYTES = 8
# Engines write frames of some kilobytes; the format allows 4 GiB, which would be held in memory.
FRAME_LIMIT_BYTES = 16 * 1024 * 1024
STDERR = 2
# A line is cut here, so that an endless one cannot fill the memory.
LINE_LIMIT_BYTES = 256 * 1024
# What is kept of the lines of one container, and how many may come while they are read.
MOST_CHARACTERS = 16 * 1024 * 1024
SPARE_ENTRIES = 1000
# So many lines of a service are put together at once, each of another task or stream.
MOST_PARTS = 64
TASK_DETAIL = "com.docker.swarm.task.id"

StreamName = Literal["stdout", "stderr"]


class FrameReader:
    """Splits the attach format (Engine API, "Stream format") into frames, from chunks cut anywhere.

    A header is the stream (1 stdout, 2 stderr), three zero bytes and the length, big-endian in four bytes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[StreamName, bytes]]:
        """The frames that this chunk completes. Raises EngineUnavailable for what no engine sends."""
        self._buffer += chunk
        while len(self._buffer) >= HEADER_BYTES:
            length = int.from_bytes(self._buffer[4:HEADER_BYTES], "big")
            if length > FRAME_LIMIT_BYTES:
                raise EngineUnavailable("What the Docker Engine sends is no output of a container.")
            end = HEADER_BYTES + length
            if len(self._buffer) < end:
                return
            stream: StreamName = "stderr" if self._buffer[0] == STDERR else "stdout"
            payload = bytes(self._buffer[HEADER_BYTES:end])
            del self._buffer[:end]
            yield stream, payload


class LineReader:
    """Joins chunks to lines without their ends; bytes that are no UTF-8 become replacement characters."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that this chunk completes."""
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            yield _text(line)
        if len(self._buffer) > LINE_LIMIT_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[str]:
        """What is left when the stream ends without a line end."""
        line, self._buffer = self._buffer, b""
        if line:
            yield _text(line)


class LogReader:
    """Log lines from a stream that was asked for with times.

    The engine writes one frame per message, and cuts messages at 16 KiB: each part starts with a time, and
    only the last ends with a line end. What is beyond the limit of a line is dropped.
    """

    def __init__(self, *, names_tasks: bool = False) -> None:
        """`names_tasks`: the log is a service's, asked for with details, which stand behind each time."""
        self._names_tasks = names_tasks
        self._frames = FrameReader()
        self._parts: dict[tuple[StreamName, str], tuple[datetime, bytes]] = {}

    def feed(self, chunk: bytes) -> Iterator[LogEntry]:
        """The entries that this chunk completes."""
        for stream, payload in self._frames.feed(chunk):
            stamp, _, rest = payload.partition(b" ")
            task = ""
            if self._names_tasks:
                details, _, rest = rest.partition(b" ")
                task = _task(details)
            at, begun = self._parts.pop((stream, task), (engine_time(stamp.decode("ascii", "replace")), b""))
            line = begun + rest
            if line.endswith(b"\n") or len(line) > LINE_LIMIT_BYTES:
                text = _text(line.removesuffix(b"\n")[:LINE_LIMIT_BYTES])
                yield LogEntry(stream, at or datetime.now(UTC), text, task)
            else:
                self._parts[stream, task] = (at or datetime.now(UTC), line)
                yield from self._oldest_part()

    def rest(self) -> Iterator[LogEntry]:
        """Lines that were cut off by the end of the stream."""
        parts, self._parts = self._parts, {}
        for (stream, task), (at, line) in parts.items():
            yield LogEntry(stream, at, _text(line), task)

    def _oldest_part(self) -> Iterator[LogEntry]:
        """Without its end, where more tasks are in the middle of a line than services have at once."""
        if len(self._parts) > MOST_PARTS:
            stream, task = next(iter(self._parts))
            at, line = self._parts.pop((stream, task))
            yield LogEntry(stream, at, _text(line), task)


async def last_entries(entries: AsyncIterator[LogEntry], tail: int) -> list[LogEntry]:
    """The last `tail` of the entries in order of time, fewer where they are very long.

    Raises EngineUnavailable for an engine that sends far more than it was asked for.
    """
    kept: deque[LogEntry] = deque()
    read = characters = 0
    async for entry in entries:
        read += 1
        if read > 2 * tail + SPARE_ENTRIES:
            raise EngineUnavailable("The Docker Engine sends more lines than it was asked for.")
        kept.append(entry)
        characters += len(entry.text)
        while len(kept) > tail or characters > MOST_CHARACTERS:
            characters -= len(kept.popleft().text)
    return sorted(kept, key=lambda entry: entry.at)


class JsonReader:
    """Progress messages, one JSON object a line, of pull, load and import.

    Raises EngineUnavailable for what is none, such as a line beyond the limit.
    """

    def __init__(self) -> None:
        self._lines = LineReader()

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """The messages that this chunk completes."""
        for line in self._lines.feed(chunk):
            if line.strip():
                yield _message(line)

    def rest(self) -> Iterator[dict[str, Any]]:
        """A last message without a line end."""
        for line in self._lines.rest():
            if line.strip():
                yield _message(line)


def _message(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EngineUnavailable("What the Docker Engine sends is no progress.", detail=line[:200]) from error
    if not isinstance(message, dict):
        raise EngineUnavailable("What the Docker Engine sends is no progress.", detail=line[:200])
    return message


def _task(details: bytes) -> str:
    """The task of a line of a service; details are `key=value`, escaped as in URLs, between commas."""
    for detail in details.decode("ascii", "replace").split(","):
        key, _, value = detail.partition("=")
        if key == TASK_DETAIL:
            return value[:LONGEST_FACT]
    return ""


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
