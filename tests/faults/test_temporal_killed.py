"""SIGKILL to the Temporal server in the middle of a release, under load: it goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from domain.deployments import StepName
from tests.faults.kill_cases import HOOKS, RUNTIME
from tests.faults.release_scenario import ReleaseScenario
from tests.harness.images import BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.temporal import TemporalServer
from tests.harness.waiting import eventually

FEWEST_REQUESTS = 100


@pytest.fixture
async def mortal_temporal(tmp_path: Path) -> AsyncIterator[TemporalServer]:
    """A server of its own that keeps its state in a file, as the one of `seaway up` does."""
    server = TemporalServer(tmp_path, db_filename=tmp_path / "temporal.db")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def own_seaway(
    tmp_path: Path, mortal_temporal: TemporalServer, engine: docker.DockerClient, base_images: BaseImages
) -> AsyncIterator[SeawayInstallation]:
    """A Seaway on that server."""
    installation = SeawayInstallation(tmp_path / "seaway", mortal_temporal, engine)
    try:
        await installation.open()
        yield installation
    finally:
        await installation.close()


@pytest.mark.parametrize(
    "seconds_down",
    # Longer than a heartbeat may be late, so that the engine gives up an activity whose worker lives.
    [0, pytest.param(13, marks=pytest.mark.drill)],
)
async def test_a_release_goes_on_when_temporal_is_back(
    own_seaway: SeawayInstallation, mortal_temporal: TemporalServer, tmp_path: Path, seconds_down: int
) -> None:
    scenario = await ReleaseScenario.start(own_seaway, tmp_path / "git", runtime=RUNTIME)
    async with scenario.load() as load:
        await scenario.deploy_second(hooks=HOOKS)

        async def builds() -> bool:
            log = await own_seaway.log(scenario.second, StepName.BUILD)
            return any("line 05 of v2" in line for line in log)

        await eventually(builds, 60, describe="the middle of the build")
        mortal_temporal.kill()
        await asyncio.sleep(seconds_down)
        await mortal_temporal.start()
        await own_seaway.wait_final(scenario.second)
    await scenario.assert_finished()
    await scenario.assert_build_log_whole()
    assert await scenario.read("/app/builds") == ["v1", "v2"]
    assert await scenario.read("/data/released") == ["v2"]
    load.report().assert_no_failures(FEWEST_REQUESTS)
