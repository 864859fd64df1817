"""The link to a server cut in each step of a release, under load on the server itself.

The release waits, tries again, and ends as it would have ended: nothing happens twice, nothing is left
behind, no visitor notices. Silence takes a minute, so cases run side by side, each with servers of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import docker
import pytest
from pydantic import SecretStr

from domain.configuration import BuildOptions, PushOptions
from domain.deployments import DeploymentStatus, StepName
from store.tables import Registry
from tests.faults.link_cases import CASES, LinkCase, Setting
from tests.faults.remote_release import RemoteRelease, RemoteServer, behind, provisioned
from tests.faults.test_worker_killed_on_servers import assert_edge_is
from tests.harness.images import PYTHON, BaseImages
from tests.harness.installation import SeawayInstallation
from tests.harness.load_report import Failure
from tests.harness.private_registry import PrivateRegistry
from tests.harness.side_by_side import SideBySide, selected
from tests.harness.ssh_servers import SshServers
from tests.harness.temporal import TemporalServer

LANES = 3
SERVERS_OF_A_LANE = 2
PUSHED_TO = "team/shop"
FEWEST_REQUESTS = 30
LIMIT_SECONDS = 240.0
TITLE = "Link cut: what and when, outcome"

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Outcome:
    """How a case went."""

    status: str
    seconds: float
    requests: int
    failed: int
    retried: str
    down_seconds: float = 0.0
    """Of what has to stop its old version first: while that is stopped, requests fail."""


@dataclass
class Places:
    """Usable servers for each lane, in the order of an application, and what all lanes share."""

    lanes: list[list[RemoteServer]] = field(default_factory=list)
    builder: RemoteServer | None = None
    registry: PrivateRegistry | None = None
    building: asyncio.Lock = field(default_factory=asyncio.Lock)

    def victim(self, case: LinkCase, scenario: RemoteRelease) -> RemoteServer:
        """Whose link is cut."""
        if case.setting is not Setting.BUILD_SERVER:
            return scenario.servers[case.victim]
        assert self.builder is not None
        return self.builder

    def configuration(self, case: LinkCase) -> dict[str, object]:
        """What the application has from its first release on."""
        if case.setting is Setting.BUILD_SERVER:
            return {"build": BuildOptions(use_build_server=True)}
        if case.setting is Setting.REGISTRY and self.registry is not None:
            name = f"{self.registry.host}/{PUSHED_TO}-{secrets.token_hex(3)}"
            return {"push": PushOptions(name=name, tag="latest")}
        return {}


@pytest.fixture(scope="module")
async def distant(
    tmp_path_factory: pytest.TempPathFactory,
    temporal_server: TemporalServer,
    engine: docker.DockerClient,
    base_images: BaseImages,
) -> AsyncIterator[SeawayInstallation]:
    """A Seaway that looks at its servers every few seconds, so that looks meet releases."""
    installation = SeawayInstallation(tmp_path_factory.mktemp("distant"), temporal_server, engine)
    installation.settings = installation.settings.model_copy(update={"server_check_seconds": 5})
    try:
        await installation.open()
        yield installation
    finally:
        await installation.close()


@pytest.fixture(scope="module")
async def lanes(
    request: pytest.FixtureRequest,
    distant: SeawayInstallation,
    engine: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Places]:
    """Servers for each lane, and what the selected cases need besides."""
    cases = selected(request.session, test_the_release_ends_as_if_nothing_had_been.__name__, CASES)
    settings = {case.setting for case in cases}
    async with contextlib.AsyncExitStack() as stack:
        servers = stack.enter_context(SshServers(engine, tmp_path_factory.mktemp("servers")))
        made = Places()
        for lane in range(min(LANES, len(cases))):
            worker = await distant.worker(f"lane-{lane}")
            machines = [await asyncio.to_thread(servers.add) for _ in range(SERVERS_OF_A_LANE)]
            for machine in machines:
                await asyncio.to_thread(machine.load, PYTHON)
            made.lanes.append([await provisioned(distant, machine, worker) for machine in machines])
        if Setting.BUILD_SERVER in settings:
            machine = await asyncio.to_thread(servers.add, "builder")
            await asyncio.to_thread(machine.load, PYTHON)
            made.builder = await provisioned(distant, machine, await distant.worker("lane-0"))
            await distant.store.servers.set(made.builder.row.id, is_build_server=True)
        if Setting.REGISTRY in settings:
            folder = tmp_path_factory.mktemp("registry")
            everybody = [one for lane in made.lanes for one in lane]
            made.registry = await stack.enter_async_context(registry_of(everybody, distant, folder))
        yield made


@contextlib.asynccontextmanager
async def registry_of(
    servers: list[RemoteServer], seaway: SeawayInstallation, folder: Path
) -> AsyncIterator[PrivateRegistry]:
    """A registry which these servers reach without SSH, and to which Seaway knows how to log in."""
    gateway = servers[0].machine.host.rpartition(".")[0] + ".1"
    for one in servers:
        trusting = json.dumps({"insecure-registries": [f"{gateway}/32"]})
        write = f"mkdir -p /etc/docker && echo '{trusting}' > /etc/docker/daemon.json"
        await asyncio.to_thread(one.run, "sh", "-c", f"{write} && pkill -HUP -x dockerd")
    async with PrivateRegistry(folder, "robot", secrets.token_hex(12), gateway) as registry:
        row = Registry(
            team_id=servers[0].row.team_id,
            name="tests",
            host=registry.host,
            username=registry.username,
            password_sealed="",
        )
        await seaway.store.registries.add(row, SecretStr(registry.password))
        yield registry


async def cut_once(case: LinkCase, scenario: RemoteRelease, places: Places) -> Outcome:
    """Releases v2, cuts the link to a server at that point, and looks at everything afterwards."""
    seaway, worker, victim = scenario.seaway, scenario.application.worker, places.victim(case, scenario)
    await seaway.set_variables(scenario.application, case.variables)
    if case.ballast_megabytes:
        await scenario.make_heavy(case.ballast_megabytes)
    place = victim if case.setting is Setting.BUILD_SERVER else scenario.servers[case.place]
    changes: dict[str, object] = {}
    if case.moves_edge:
        changes = {"routing": behind(scenario.application, scenario.servers[-1])}
    if case.setting is Setting.LEFT:
        changes = {"server_ids": (scenario.servers[0].row.id,)}
        scenario.servers = scenario.servers[:1]
    loads = scenario.loads(brief=case.setting is Setting.HOST_PORTS)
    async with contextlib.AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load)
        worker.plan(dataclasses.replace(case.fault, server=place.row.name))
        began = time.monotonic()
        await scenario.deploy_second(hooks=case.hooks, health=case.health, runtime=case.runtime, **changes)
        await worker.holds()
        async with victim.cut(case.cut):
            worker.release()
        deployment = await seaway.wait_final(scenario.second, LIMIT_SECONDS)
        seconds = time.monotonic() - began
    reports = [load.report() for load in loads]
    failures = [failure for report in reports for failure in report.failures]
    down_seconds = 0.0
    if case.setting is Setting.HOST_PORTS:
        failures, down_seconds = await without_the_promised(failures, scenario)
    assert failures == [], "\n".join(report.summary() for report in reports)
    await assert_as_if_nothing_had_been(case, scenario)
    await assert_setting_is_in_order(case, scenario, places)
    if case.setting is Setting.LEFT:
        left = await asyncio.to_thread(victim.containers, scenario.application.id)
        assert (left, await asyncio.to_thread(victim.route_files, scenario.application.id)) == ({}, set())
    retried = [f"{step.name}:{step.attempt}" for step in await scenario.all_steps() if step.attempt > 1]
    return Outcome(
        deployment.status,
        seconds,
        sum(report.succeeded for report in reports),
        len(failures),
        " ".join(retried),
        down_seconds,
    )


async def without_the_promised(
    failures: list[Failure], scenario: RemoteRelease
) -> tuple[list[Failure], float]:
    """The failures outside of the time in which the application may be down, and the seconds that it was.

    It is down from when its old version is told to stop until visitors are led to the new one, or, where all
    is undone, until the deployment ends.
    """
    deployment = await scenario.seaway.store.deployments.get(scenario.second)
    steps = {step.name: step for step in await scenario.all_steps()}
    begins, ends = steps[StepName.STOP_OLD].started_at, steps[StepName.SWITCH].finished_at
    if deployment.status != DeploymentStatus.FINISHED:
        ends = deployment.finished_at
    assert isinstance(begins, datetime)
    assert isinstance(ends, datetime)
    promised = [one for one in failures if begins <= one.at and one.started_at <= ends]
    assert promised, "the old version never stopped"
    seconds = (max(one.at for one in promised) - min(one.at for one in promised)).total_seconds()
    return [one for one in failures if one not in promised], seconds


async def assert_setting_is_in_order(case: LinkCase, scenario: RemoteRelease, places: Places) -> None:
    """What the release has to do with besides its servers has all of it once, and nothing is left there."""
    seaway = scenario.seaway
    if case.moves_edge:
        assert_edge_is(scenario, 1 if case.ends is DeploymentStatus.FINISHED else 0)
    if case.setting is Setting.BUILD_SERVER:
        builder = places.victim(case, scenario)
        assert await asyncio.to_thread(builder.containers, scenario.application.id) == {}
        assert (await seaway.store.builds.counts([builder.row.id]))[builder.row.id] == (0, 0)
    if case.setting is Setting.REGISTRY:
        assert places.registry is not None
        configuration = await seaway.store.applications.configuration(scenario.application.id)
        name = configuration.push.name.partition("/")[2]
        rows = [await seaway.store.deployments.get(one) for one in (scenario.first, scenario.second)]
        first, second = (row.image.rpartition(":")[2] for row in rows)
        assert await places.registry.tags(name) == {first, second, "latest"}
        assert await places.registry.digest(name, "latest") == await places.registry.digest(name, second)
        held = await asyncio.to_thread(scenario.servers[0].run, "docker", "images")
        assert places.registry.host not in held


async def assert_as_if_nothing_had_been(case: LinkCase, scenario: RemoteRelease) -> None:
    """The end that the release would have had, and every line and command of it once."""
    if case.ends is DeploymentStatus.FINISHED:
        await scenario.assert_finished()
        builds = await scenario.read("/app/builds")
        once = ["v1", "v2"]
        assert builds in ([once, [*once, "v2"]] if case.breaks_build else [once])
    else:
        await scenario.assert_undone(case.ends, case.error_code)
    assert await scenario.read("/data/released") == ["v2"]
    await scenario.assert_build_log_whole()
    log = await scenario.seaway.log(scenario.second, StepName.RELEASE_COMMAND)
    assert len([line for line in log if re.search("release begins", line)]) == 1, log


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest,
    distant: SeawayInstallation,
    lanes: Places,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SideBySide[LinkCase, Outcome]]:
    """The selected cases, under way."""

    async def run(case: LinkCase, lane: int) -> Outcome:
        # Which build server a release takes is not ours to say: there is one, and one case at a time has it.
        alone = lanes.building if case.setting is Setting.BUILD_SERVER else contextlib.nullcontext()
        async with alone:
            servers = lanes.lanes[lane][: case.servers]
            scenario = await RemoteRelease.on(
                servers,
                distant,
                tmp_path_factory.mktemp("cut"),
                worker=f"lane-{lane}",
                runtime=case.runtime,
                edge=lanes.lanes[lane][0] if case.moves_edge else None,
                **lanes.configuration(case),
            )
            try:
                return await cut_once(case, scenario, lanes)
            finally:
                scenario.application.worker.release()
                scenario.servers = servers
                await scenario.remove()

    cases = selected(request.session, test_the_release_ends_as_if_nothing_had_been.__name__, CASES)
    runs = SideBySide(cases, run, lanes=len(lanes.lanes))
    yield runs
    await runs.end()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_release_ends_as_if_nothing_had_been(
    case: LinkCase, outcomes: SideBySide[LinkCase, Outcome], tables: dict[str, list[str]]
) -> None:
    lines = tables.setdefault(TITLE, [])
    try:
        outcome = await outcomes.outcome(case)
    except BaseException as error:
        lines.append(f"{case!s:75} {type(error).__name__}")
        raise
    lines.append(
        f"{case!s:75} {outcome.status:10} {outcome.seconds:5.1f} s, {outcome.requests} requests, "
        f"{outcome.failed} failed; tries {outcome.retried or 'all 1'}"
        + (f"; down for {outcome.down_seconds:.1f} s" if outcome.down_seconds else "")
    )
    assert outcome.status == case.ends
    assert (outcome.failed, outcome.requests >= FEWEST_REQUESTS) == (0, True)
