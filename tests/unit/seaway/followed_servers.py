"""Servers whose replicas write when a test tells them to, and an application that runs there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

from adapters.docker.states import LogEntry
from api.context import RuntimeLine
from domain.errors import ServerUnreachable
from seaway.replica_logs import Placed

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STDOUT: Literal["stdout"] = "stdout"


def at(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def service_of(name: str) -> str:
    """What is followed for a replica; those of services are called `service.slot.task`."""
    return name.partition(".")[0]


@dataclass
class Server:
    """An engine whose containers write when told to. Like the real one, it sends also what is of `since`."""

    log: list[tuple[str, LogEntry]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    ended: set[str] = field(default_factory=set)
    is_cut: bool = False
    opened: int = 0
    open: int = 0

    async def write(self, name: str, text: str, second: float) -> None:
        async with self.news:
            self.log.append((name, LogEntry(STDOUT, at(second), text, name.partition(".")[2][2:])))
            self.news.notify_all()

    async def end(self, name: str) -> None:
        async with self.news:
            self.ended.add(name)
            self.news.notify_all()

    async def cut(self, *, is_cut: bool) -> None:
        async with self.news:
            self.is_cut = is_cut
            self.news.notify_all()

    async def log_entries(self, name: str, tail: int) -> list[LogEntry]:
        return self._written(name)[-tail:]

    async def follow_logs(
        self, name: str, tail: int, since: datetime | None = None
    ) -> AsyncIterator[LogEntry]:
        await self.opening()
        names = dict.fromkeys(one for one, _ in self.log if service_of(one) == service_of(name))
        self.opened, self.open, told = self.opened + 1, self.open + 1, len(self.log)
        known = [[one for one in self._written(each) if not since or one.at >= since] for each in names]
        try:
            for entry in sorted((entry for one in known for entry in one[-tail:]), key=lambda one: one.at):
                yield entry
            while not self.is_cut:
                for writer, entry in self.log[told:]:
                    told += 1
                    if service_of(writer) == service_of(name):
                        yield entry
                async with self.news:
                    if name in self.ended:
                        return
                    if told == len(self.log) and not self.is_cut:
                        await self.news.wait()
            raise ServerUnreachable("The link is cut.")
        finally:
            self.open -= 1

    async def opening(self) -> None:
        """What happens while a stream is opened."""

    def _written(self, name: str) -> list[LogEntry]:
        return [entry for writer, entry in self.log if writer == name]


@dataclass
class Application:
    """What runs, as the test says; `problem` is what looking for it raises."""

    replicas: list[Placed] = field(default_factory=list)
    problem: Exception | None = None
    looks: int = 0

    def start(self, server_id: str, server: Server, name: str, **state: object) -> None:
        its_id = name.partition(".")[2][2:] or name
        said: Any = SimpleNamespace(
            **{"id": its_id, "name": name, "running": True, "started_at": None} | state
        )
        self.replicas.append(Placed(server_id, server, said))

    async def find(self) -> Sequence[Placed]:
        self.looks += 1
        if self.problem is not None:
            raise self.problem
        return list(self.replicas)


async def some(lines: AsyncIterator[RuntimeLine], number: int) -> list[RuntimeLine]:
    async with asyncio.timeout(10):
        return [await anext(lines) for _ in range(number)]


async def texts(lines: AsyncIterator[RuntimeLine], number: int) -> list[str]:
    return [line.text for line in await some(lines, number)]
