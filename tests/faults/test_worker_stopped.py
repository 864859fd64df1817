"""A worker that is told to end, and one that only seems dead, in the middle of a release under load."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from activities import signatures as s
from domain.deployments import StepName
from tests.faults.kill_cases import HOOKS, LONG_RELEASE_COMMAND, RUNTIME
from tests.faults.release_scenario import ReleaseScenario
from tests.harness.installation import SeawayInstallation
from tests.harness.planned_faults import Action, Fault, Moment
from tests.harness.waiting import eventually

FEWEST_REQUESTS = 100
LONGER_THAN_THE_GRACE = HOOKS.model_copy(
    update={"release": LONG_RELEASE_COMMAND.replace("sleep 4", "sleep 6")}
)


async def test_a_release_goes_on_after_its_worker_ended_in_order(
    seaway: SeawayInstallation, tmp_path: Path
) -> None:
    scenario = await ReleaseScenario.start(seaway, tmp_path, runtime=RUNTIME)
    worker = scenario.application.worker
    async with scenario.load() as load:
        await scenario.deploy_second(hooks=LONGER_THAN_THE_GRACE)

        async def releases() -> bool:
            return "release begins" in await seaway.log(scenario.second, StepName.RELEASE_COMMAND)

        await eventually(releases, 60, describe="the release command")
        await worker.stop()
        await worker.start()
        await seaway.wait_final(scenario.second)
    await scenario.assert_finished()
    assert await scenario.read("/data/released") == ["v2"]
    assert await seaway.log(scenario.second, StepName.RELEASE_COMMAND) == ["release begins", "release ends"]
    load.report().assert_no_failures(FEWEST_REQUESTS)
    await seaway.remove(scenario.application)


@pytest.mark.drill
@pytest.mark.parametrize(
    ("activity", "text"),
    [(s.BUILD_IMAGE.name, "line 10 of v2"), (s.RUN_RELEASE_COMMAND.name, "release begins")],
    ids=["build", "release command"],
)
async def test_a_worker_that_was_only_frozen_spoils_nothing_when_it_wakes(
    seaway: SeawayInstallation, tmp_path: Path, activity: str, text: str
) -> None:
    scenario = await ReleaseScenario.start(seaway, tmp_path, runtime=RUNTIME)
    worker = scenario.application.worker
    async with scenario.load() as load:
        await scenario.deploy_second(hooks=HOOKS.model_copy(update={"release": LONG_RELEASE_COMMAND}))

        async def at_work() -> bool:
            return any(line.endswith(text) for line in await seaway.log(scenario.second))

        await eventually(at_work, 60, describe=text)
        frozen = worker.process
        frozen.send_signal(signal.SIGSTOP)
        # The next activity to begin is the second try of the same one, by the second worker.
        worker.plan(Fault(activity, Moment.BEGUN, Action.HOLD))
        await worker.start()
        await worker.holds()
        frozen.send_signal(signal.SIGCONT)
        worker.release()
        await seaway.wait_final(scenario.second)
    frozen.send_signal(signal.SIGTERM)
    assert await frozen.wait(30) == 0, frozen.tail()
    await scenario.assert_finished()
    assert await scenario.read("/data/released") == ["v2"]
    log = await seaway.log(scenario.second)
    assert len(set(log) - {""}) == len([line for line in log if line]), "\n".join(log)
    load.report().assert_no_failures(FEWEST_REQUESTS)
    await seaway.remove(scenario.application)
