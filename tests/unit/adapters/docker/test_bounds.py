"""What is kept of an engine's answers, where an engine in other hands says more than any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.docker import streams
from adapters.docker.containers import INSPECTED_AT_ONCE, Containers
from adapters.docker.services import Services
from adapters.docker.states import MOST_LISTED, ContainerState, LogEntry, container_state, listed
from adapters.docker.streams import SPARE_ENTRIES, last_entries
from domain.errors import EngineUnavailable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def lines(count: int, text: str = "x", read: list[int] | None = None) -> AsyncIterator[LogEntry]:
    for number in range(count):
        if read is not None:
            read.append(number)
        yield LogEntry("stdout", NOW + timedelta(seconds=number), f"{text} {number}")


async def test_the_last_lines_are_given_in_order() -> None:
    assert [entry.text for entry in await last_entries(lines(5), 3)] == ["x 2", "x 3", "x 4"]
    assert [entry.text for entry in await last_entries(lines(2), 3)] == ["x 0", "x 1"]
    assert await last_entries(lines(5), 0) == []


async def test_a_log_without_end_is_given_up() -> None:
    read: list[int] = []
    with pytest.raises(EngineUnavailable, match="more lines"):
        await last_entries(lines(10**9, read=read), 10)
    assert len(read) == 20 + SPARE_ENTRIES + 1


async def test_long_lines_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_CHARACTERS", 1000)
    kept = await last_entries(lines(100, "x" * 100), 100)
    assert [entry.text[-3:] for entry in kept] == [
        " 91",
        " 92",
        " 93",
        " 94",
        " 95",
        " 96",
        " 97",
        " 98",
        " 99",
    ]


def test_a_list_of_more_than_any_engine_has_is_refused() -> None:
    assert len(listed([{}] * MOST_LISTED)) == MOST_LISTED
    with pytest.raises(EngineUnavailable, match="more than 5000"):
        listed([{}] * 100_000)


def test_of_a_container_little_is_kept() -> None:
    own = {"seaway.application": "shop", "seaway.managed": "true"}
    made_up = {"seaway.other": "x" * 10_000, "x" * 10_000: "", "other": "y"}
    answer: dict[str, Any] = {
        "Id": "i" * 10_000,
        "Name": "/" + "n" * 10_000,
        "Config": {"Image": "m" * 10_000, "Labels": {**own, **made_up}},
        "State": {"Status": "s" * 10_000, "Running": True},
        "NetworkSettings": {"Networks": {str(one): {"IPAddress": "1" * 10_000} for one in range(1000)}},
    }
    state = container_state(answer)
    assert state.labels == own
    assert len(repr(state)) < 100_000


class Liar(Containers):
    """Stands for an engine that says as much of each container as an answer may hold."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.asked = 0

    async def call(self, work: Any, **options: Any) -> Any:
        return [{"Id": str(number)} for number in range(MOST_LISTED)]

    async def inspect(self, name: str) -> ContainerState | None:
        self.asked += 1
        labels = {f"seaway.{number}": "x" * 4096 for number in range(250)}
        return container_state(
            {
                "Id": name,
                "Name": f"/{name}",
                "Config": {"Image": "any", "Labels": labels},
                "State": {"Status": "running", "Running": True},
            }
        )


async def test_what_is_kept_of_all_containers_together_has_an_end() -> None:
    engine = Liar()
    with pytest.raises(EngineUnavailable, match="more than any engine"):
        await engine.list_containers({})
    assert engine.asked < 20 + INSPECTED_AT_ONCE
    await engine.close()


class LyingManager(Services):
    """Stands for a manager that lists as much as an answer holds."""

    async def _asked(self, method: str, path: str, **_: Any) -> Any:
        return [{"ID": "1", "Spec": {}}] * 100_000


@pytest.mark.parametrize(
    "ask",
    [lambda engine: engine.services({}), lambda engine: engine.tasks(), lambda engine: engine.swarm_nodes()],
)
async def test_a_list_of_more_than_any_manager_has_is_refused(ask: Callable[[Services], Any]) -> None:
    manager = LyingManager("/nowhere")
    with pytest.raises(EngineUnavailable, match="more than 5000"):
        await ask(manager)
    await manager.close()


class Slow(Containers):
    """Stands for an engine behind a slow link; every third container is gone before it is asked about."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.asked = self.most_asked = 0

    async def call(self, work: Any, **options: Any) -> Any:
        return [{"Id": f"{number:02}"} for number in reversed(range(30))]

    async def inspect(self, name: str) -> ContainerState | None:
        self.asked += 1
        self.most_asked = max(self.most_asked, self.asked)
        await asyncio.sleep(0.001)
        self.asked -= 1
        if int(name) % 3 == 0:
            return None
        return container_state(
            {
                "Id": name,
                "Name": f"/{name}",
                "Config": {"Image": ""},
                "State": {"Status": "", "Running": True},
            }
        )


async def test_a_few_containers_are_asked_about_at_once_and_all_are_told_by_name() -> None:
    engine = Slow()
    names = [state.name for state in await engine.list_containers({})]
    assert names == [f"{number:02}" for number in range(30) if number % 3]
    assert engine.most_asked == INSPECTED_AT_ONCE
    await engine.close()
