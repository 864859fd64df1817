"""When a release on a Swarm is proven, and when it is given up."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from activities import service_health
from activities.service_health import ServiceHealth
from adapters.docker.swarm_states import ServiceState, TaskState
from domain.configuration import ApplicationConfiguration, HealthCheck, HealthCheckKind, ImageSource
from domain.errors import ReleaseUnhealthy
from domain.swarm import SwarmNode, SwarmRole

NODE = SwarmNode("n1", "boss", SwarmRole.MANAGER, "ready", "active")
TASK = TaskState("t1", "s1", 1, "n1", "running", "running", container_id="c1")
OTHER = dataclasses.replace(TASK, id="t2", slot=2)
BROKEN = dataclasses.replace(TASK, id="b1", state="failed", desired="shutdown", exit_code=3)
History = Callable[[int], list[TaskState]]


class Engine:
    """A manager whose answer about tasks depends on how often it was asked before."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._looks = -1

    async def service(self, name: str) -> ServiceState:
        return ServiceState("s1", name, 2)

    async def tasks(self, _service_id: str) -> list[TaskState]:
        self._looks += 1
        return self._history(self._looks)

    async def swarm_nodes(self) -> list[SwarmNode]:
        return [NODE]

    async def task_logs(self, task_id: str, _tail: int) -> list[str]:
        return [f"log of {task_id}"]


class Tunnels:
    """None is opened: what these tests check is asked of engines."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow upon each other at once."""
    monkeypatch.setattr(service_health, "QUICK_PROBES_SECONDS", 0.0)


async def proven(history: History, *, limit: float = 30, is_scaled: bool = False) -> str:
    """The verdict about two replicas whose health is a command's, so that the engine knows it."""
    parts: Any = SimpleNamespace(
        engine=Engine(history), swarm=SimpleNamespace(tunnels=Tunnels()), network="net"
    )
    configuration = ApplicationConfiguration(
        application_id="a" * 24,
        name="shop",
        team_id="t",
        project_id="p",
        server_ids=("s1",),
        source=ImageSource(reference="shop:1"),
        health=HealthCheck(kind=HealthCheckKind.COMMAND, command="true", start_period_seconds=0, successes=1),
    )
    return await ServiceHealth(parts, configuration, "shop-r1", 2).until_proven(limit, is_scaled=is_scaled)


async def refused(history: History, **how: Any) -> ReleaseUnhealthy:
    with pytest.raises(ReleaseUnhealthy) as caught:
        await proven(history, **how)
    assert "serving" not in caught.value.message  # which only the whole release knows
    return caught.value


async def test_a_release_is_proven_when_every_wanted_task_runs_and_not_before() -> None:
    starting = dataclasses.replace(OTHER, state="starting")
    looks: list[int] = []

    def history(look: int) -> list[TaskState]:
        looks.append(look)
        return [TASK, OTHER if look >= 5 else starting]

    assert await proven(history) == "the health command ended with 0"
    assert looks[-1] >= 5


async def test_a_task_that_the_swarm_replaces_counts_no_more() -> None:
    def history(look: int) -> list[TaskState]:
        gone = dataclasses.replace(OTHER, desired="shutdown")
        return [TASK, gone] if look < 3 else [TASK, gone, dataclasses.replace(OTHER, id="t3")]

    await proven(history)
    error = await refused(lambda _: [TASK, dataclasses.replace(OTHER, desired="shutdown")], limit=0)
    assert "Of 2 replicas 1 became healthy within 0 s." in error.message


async def test_a_crash_may_be_made_good_and_three_are_too_many() -> None:
    def mended(look: int) -> list[TaskState]:
        crashes = [dataclasses.replace(BROKEN, id=f"b{number}") for number in range(min(look, 2))]
        waits = dataclasses.replace(TASK, state="starting")
        return [*crashes, TASK if look > 5 else waits, OTHER]

    await proven(mended)

    def crashing(look: int) -> list[TaskState]:
        return [*(dataclasses.replace(BROKEN, id=f"b{number}") for number in range(look)), OTHER]

    error = await refused(crashing)
    assert error.message.startswith("Replica 1 keeps crashing: it ended with exit code 3.")
    assert "replica 1 on boss: failed" in error.detail
    assert error.detail.endswith("log of b2")


async def test_what_broke_before_a_scaling_is_not_counted_against_it() -> None:
    old = [dataclasses.replace(BROKEN, id=f"b{number}") for number in range(5)]
    verdict = await proven(lambda _: [*old, TASK, OTHER], is_scaled=True)
    assert verdict, "it says what proved it"
    error = await refused(lambda _: [*old, TASK, OTHER])
    assert error.message.startswith("Replica 1 keeps crashing")


async def test_a_node_without_the_image_ends_the_release_at_once() -> None:
    message = "No such image: sha256:abc"
    rejected = dataclasses.replace(BROKEN, state="rejected", exit_code=0, message=message)
    error = await refused(lambda _: [rejected, dataclasses.replace(TASK, state="starting"), OTHER])
    assert error.message.startswith(f"Replica 1 does not run: it was rejected: {message}.")


async def test_a_replica_for_which_there_is_no_node_is_told_with_the_swarms_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_health, "PLACEMENT_SECONDS", 0.01)
    unplaced = dataclasses.replace(OTHER, state="pending", node_id="", message="insufficient memory")
    error = await refused(lambda _: [TASK, unplaced])
    assert error.message.startswith("The Swarm finds no node for replica 2: insufficient memory.")
