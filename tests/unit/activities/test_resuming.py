"""The old version of a release that had to stop it first comes back."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import messages as m
from activities import replicas
from activities.replicas import ReplicaActivities
from domain.configuration import HealthCheck
from domain.deployments import StepName
from tests.unit.activities.test_health import CONFIGURATION

APPLICATION = CONFIGURATION.application_id
SERVER = CONFIGURATION.server_ids[0]


class Machine:
    """A server with two stopped replicas."""

    def __init__(self) -> None:
        self.started: list[str] = []

    async def parts(self, _server_id: str) -> Any:
        return SimpleNamespace(engine=self, network="seaway", reach=None, swarm=None)

    async def list_containers(self, _labels: object) -> list[Any]:
        return [SimpleNamespace(name=f"{APPLICATION}-old-{number}") for number in (1, 2)]

    async def start(self, name: str) -> None:
        self.started.append(name)


async def test_an_undo_does_not_wait_without_end_for_the_old_version_to_prove_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replicas, "RESUME_SECONDS", 0.2)
    slow = CONFIGURATION.model_copy(update={"health": HealthCheck(start_period_seconds=3600)})

    async def snapshot(_deployment_id: str) -> Any:
        return slow

    machine: Any = Machine()
    store: Any = SimpleNamespace(deployments=SimpleNamespace(snapshot=snapshot))
    surroundings: Any = None
    activities = ReplicaActivities(store, machine, surroundings)
    resume = m.PauseReplicas(
        step=m.StepReference(deployment_id="new", name=StepName.STOP_OLD, server=SERVER, undo=True),
        application_id=APPLICATION,
        server_id=SERVER,
        served=m.Served(release_id="old", configuration_of="old", replicas=2, servers=(SERVER,)),
    )
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        await ActivityEnvironment().run(activities.resume, resume)
    assert time.monotonic() - began < 60
    assert machine.started == [f"{APPLICATION}-old-1", f"{APPLICATION}-old-2"]
    assert "did not prove itself" in caplog.text
