"""Tasks of a Swarm in the words of containers."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.docker.states import MOST_LISTED, LogEntry
from adapters.docker.swarm_states import MOST_REPLICAS, ServiceState, TaskState
from domain.errors import EngineUnavailable
from domain.replicas import APPLICATION_LABEL, REPLICA_ROLE, ROLE_LABEL
from domain.resource_status import aggregate_status
from domain.services import SERVICE_ROLE
from domain.swarm import SwarmNode, SwarmRole
from seaway.service_view import replica_state, tasks_of

SERVICE = ServiceState("s1", "shop-r1", 2, {APPLICATION_LABEL: "shop", ROLE_LABEL: SERVICE_ROLE})
TASK = TaskState("t1", "s1", 1, "n1", "running", "running", container_id="c1")
UP = SwarmNode("n1", "boss", SwarmRole.MANAGER, "ready", "active")
DOWN = SwarmNode("n2", "hand", SwarmRole.WORKER, "down", "active")


class Engine:
    """A manager that answers what the test wants."""

    def __init__(self, *tasks: TaskState) -> None:
        self.asked: dict[str, str] = {}
        self._tasks = tasks

    async def services(self, labels: dict[str, str]) -> list[ServiceState]:
        self.asked = labels
        return [SERVICE]

    async def swarm_nodes(self) -> list[SwarmNode]:
        return [UP, DOWN]

    async def tasks(self, service_id: str) -> list[TaskState]:
        assert service_id == "s1"
        return list(self._tasks)

    async def task_log_entries(self, task_id: str, tail: int) -> list[LogEntry]:
        return [LogEntry("stdout", datetime(2026, 1, 2, tzinfo=UTC), f"{task_id} {tail}")]


async def shown(*tasks: TaskState) -> list[str]:
    parts: Any = SimpleNamespace(engine=Engine(*tasks))
    return [state.status for _, state in await tasks_of(parts, {ROLE_LABEL: REPLICA_ROLE})]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "running"),
        ({"state": "preparing"}, "starting"),
        ({"state": "pending", "node_id": ""}, "starting"),
        ({"state": "pending", "node_id": "", "message": "no suitable node"}, "degraded"),
        ({"state": "failed"}, "degraded"),
        ({"state": "rejected"}, "degraded"),
        ({"node_id": "n2"}, "unknown"),
        ({"node_id": "n2", "state": "failed"}, "unknown"),
    ],
)
def test_a_task_is_what_a_container_would_be_and_unknown_where_nobody_hears_of_it(
    changes: dict[str, Any], status: str
) -> None:
    state = replica_state(SERVICE, dataclasses.replace(TASK, **changes), {"n2"})
    assert (state.status, state.running) == (status, status == "running")
    assert state.labels[APPLICATION_LABEL] == "shop"


async def test_whoever_asks_for_replicas_gets_the_wanted_tasks_of_services() -> None:
    engine = Engine(TASK, dataclasses.replace(TASK, id="t0", desired="shutdown", state="shutdown"))
    found = await tasks_of(SimpleNamespace(engine=engine), {ROLE_LABEL: REPLICA_ROLE})  # type: ignore[arg-type]
    assert engine.asked == {ROLE_LABEL: SERVICE_ROLE}
    assert [(state.id, state.status) for _, state in found] == [("t1", "running"), ("", "degraded")]
    source, first = found[0]
    assert [entry.text for entry in await source.log_entries(first.name, 7)] == ["t1 7"]


async def test_a_replica_that_the_swarm_has_not_begun_with_makes_the_application_degraded() -> None:
    assert await shown() == ["degraded", "degraded"]
    assert await shown(TASK) == ["running", "degraded"]
    assert aggregate_status(await shown(TASK), 0).startswith("degraded")
    both = (TASK, dataclasses.replace(TASK, id="t2", slot=2))
    assert aggregate_status(await shown(*both), 0).startswith("running")


async def test_replicas_on_a_node_that_is_lost_are_unknown_not_ended() -> None:
    lost = dataclasses.replace(TASK, id="t2", slot=2, node_id="n2")
    assert await shown(TASK, lost) == ["running", "unknown"]


async def test_replicas_of_a_manager_in_other_hands_have_an_end() -> None:
    class Liar(Engine):
        """One that says of each of many services that all its replicas are missing."""

        asked_for = 0

        async def services(self, labels: dict[str, str]) -> list[ServiceState]:
            return [dataclasses.replace(SERVICE, replicas=MOST_REPLICAS)] * MOST_LISTED

        async def tasks(self, service_id: str) -> list[TaskState]:
            self.asked_for += 1
            return []

    engine = Liar()
    parts: Any = SimpleNamespace(engine=engine)
    with pytest.raises(EngineUnavailable, match="more than any engine"):
        await tasks_of(parts, {ROLE_LABEL: REPLICA_ROLE})
    assert engine.asked_for == MOST_LISTED // MOST_REPLICAS + 1
