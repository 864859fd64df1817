"""What a replica that keeps crashing is said to have died of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from activities.health import MOST_RESTARTS, HealthWatch
from adapters.docker.states import ContainerState
from domain.configuration import ApplicationConfiguration, HealthCheck, HealthCheckKind, ImageSource
from domain.errors import ReleaseUnhealthy

CONFIGURATION = ApplicationConfiguration(
    application_id="a" * 24,
    name="shop",
    team_id="t" * 24,
    project_id="p" * 24,
    server_ids=("s" * 24,),
    source=ImageSource(reference="shop:1"),
    health=HealthCheck(start_period_seconds=0),
)


def state(*, running: bool, exit_code: int) -> ContainerState:
    return ContainerState(
        id="1",
        name="shop-1",
        image="shop:1",
        status="running" if running else "restarting",
        running=running,
        exit_code=exit_code,
        pid=1,
        restart_count=MOST_RESTARTS + 1,
        oom_killed=False,
        started_at=None,
    )


class Engine:
    """Shows one state after the other; a running container has forgotten how it ended, as Docker's have."""

    def __init__(self, *states: ContainerState) -> None:
        self._states = list(states)

    async def inspect(self, _name: str) -> ContainerState:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    async def logs(self, _name: str, _lines: int) -> list[str]:
        return []


async def test_what_a_health_command_wrote_is_evidence_and_not_in_the_message() -> None:
    class Failing(Engine):
        async def execute(self, _name: str, _argv: Any, on_line: Any, _seconds: float) -> int:
            on_line("GET / with Authorization: Bearer s3cr3t-t0ken-1")
            on_line("curl: customer 4711 is unknown")
            return 22

    running = replace(state(running=True, exit_code=0), restart_count=0)
    parts: Any = SimpleNamespace(engine=Failing(running), network="seaway", reach=None)
    check = HealthCheck(
        kind=HealthCheckKind.COMMAND, command="x", retries=1, interval_seconds=0.1, start_period_seconds=0
    )
    configuration = CONFIGURATION.model_copy(update={"health": check})
    with pytest.raises(ReleaseUnhealthy) as told:
        await HealthWatch(parts, configuration).until_proven("shop-1")
    assert told.value.message.startswith(
        "Replica shop-1 did not become healthy: the health command ended with 22."
    )
    assert "4711" not in told.value.message
    assert "curl: customer 4711 is unknown" in told.value.detail
    assert "s3cr3t" not in told.value.message + told.value.detail


async def test_a_crash_that_nobody_saw_is_told_by_the_next_one() -> None:
    crashing = Engine(
        state(running=True, exit_code=0),
        state(running=True, exit_code=0),
        state(running=False, exit_code=127),
    )
    parts: Any = SimpleNamespace(engine=crashing)

    with pytest.raises(ReleaseUnhealthy, match="exit code 127"):
        await HealthWatch(parts, CONFIGURATION).until_proven("shop-1")
