"""Releases on a Swarm by their activities alone, on a real Swarm of one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from activities import messages as m
from activities.replicas import ReplicaActivities
from activities.routes import RouteActivities
from activities.servers import ServerParts, Surroundings
from activities.task_containers import task_container
from domain.configuration import (
    ApplicationConfiguration,
    Domain,
    HealthCheck,
    ImageSource,
    RoutingOptions,
    RuntimeOptions,
    Volume,
    VolumeKind,
)
from domain.deployments import StepName
from domain.errors import ReleaseUnhealthy
from domain.identifiers import new_identifier
from domain.replicas import APPLICATION_LABEL, REPLICA_ROLE, ROLE_LABEL
from domain.servers import ServerStatus, ServerStepName
from domain.services import service_name
from domain.swarm import SwarmRole
from seaway.log_following import LogFollower
from seaway.replica_logs import Placed, ServerPlaces
from seaway.service_view import tasks_of
from seaway.shared_logs import SharedLogs
from store.columns import now
from store.tables import Application, Deployment
from tests.harness.ssh_servers import TINY, SshServer, SshServers
from tests.integration.ssh.provisioner import Provisioner, run

# A machine with an engine of its own takes longer to start than the quick suite has for all of this.
pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

SERVES = "mkdir -p /www; {}; exec httpd -f -p 3000 -h /www"
CGI = ["#!/bin/sh", "sleep 15", "echo Content-Type: text/plain", "echo", "echo waited"]
SLOW = "; ".join(
    [
        "mkdir -p /www/cgi-bin",
        "echo slow >/www/index.html",
        *(f"echo '{line}' >>/www/cgi-bin/slow" for line in CGI),
        "chmod +x /www/cgi-bin/slow",
    ]
)
HOST = "shop.example"


@dataclass
class Harbour:
    """A manager that is the only node, and an application on it."""

    provisioner: Provisioner
    machine: SshServer
    server_id: str
    application_id: str
    image: str
    folder: Path

    def __post_init__(self) -> None:
        store, servers = self.provisioner.store, self.provisioner.servers
        self._replicas = ReplicaActivities(store, servers, Surroundings(self.folder))
        self._routes = RouteActivities(store, servers)

    async def parts(self) -> ServerParts:
        return await self.provisioner.servers.parts(self.server_id)

    async def release(self, script: str, replicas: int = 2, **changes: Any) -> m.Served:
        """A deployment of which the rows say that it has begun; what it would serve."""
        runtime = RuntimeOptions(
            port=3000,
            replicas=replicas,
            entrypoint=("sh", "-c"),
            command=(SERVES.format(script),),
            volumes=changes.pop("volumes", ()),
            stop_grace_seconds=2,
        )
        configuration = ApplicationConfiguration(
            application_id=self.application_id,
            name="shop",
            team_id=self.provisioner.team_id,
            project_id="p",
            server_ids=(self.server_id,),
            source=ImageSource(reference=TINY),
            runtime=runtime,
            routing=RoutingOptions(domains=(Domain(host=HOST),)),
            health=HealthCheck(**{"interval_seconds": 0.5, "timeout_seconds": 1, "retries": 6} | changes),
        )
        row = await self.provisioner.store.deployments.record(Deployment(application_id=self.application_id))
        await self.provisioner.store.deployments.begin(row.id, configuration, [])
        await self.provisioner.store.deployments.update(row.id, image=TINY, release_id=row.id)
        return m.Served(configuration_of=row.id, release_id=row.id, replicas=replicas)

    def _step(self, name: StepName, of: m.Served) -> dict[str, Any]:
        step = m.StepReference(deployment_id=of.configuration_of, name=name, server=self.machine.name)
        return {"step": step, "application_id": self.application_id, "server_id": self.server_id}

    async def start(self, serve: m.Served, first: int = 1) -> m.StepOutcome:
        wanted = m.StartReplicas(**self._step(StepName.START, serve), serve=serve, first=first)
        outcome: m.StepOutcome = await run(self._replicas.start, wanted)
        return outcome

    async def check_health(self, serve: m.Served, first: int = 1) -> m.StepOutcome:
        wanted = m.StartReplicas(
            **self._step(StepName.HEALTH, serve), serve=serve, first=first, limit=timedelta(seconds=60)
        )
        outcome: m.StepOutcome = await run(self._replicas.check_health, wanted)
        return outcome

    async def switch(self, serve: m.Served) -> None:
        await run(self._routes.apply, m.ApplyRoutes(**self._step(StepName.SWITCH, serve), serve=serve))

    async def drain(self, keep: m.Served, seconds: float = 20) -> m.StepOutcome:
        deadline = now() + timedelta(seconds=seconds)
        wanted = m.DrainReplicas(**self._step(StepName.DRAIN, keep), keep=keep, deadline=deadline)
        outcome: m.StepOutcome = await run(self._replicas.drain, wanted)
        return outcome

    async def retire(self, of: m.Served, keep: m.Served | None) -> m.StepOutcome:
        wanted = m.RetireReplicas(**self._step(StepName.STOP_OLD, of), keep=keep)
        outcome: m.StepOutcome = await run(self._replicas.retire, wanted)
        return outcome

    async def services(self) -> set[str]:
        code, output = await asyncio.to_thread(
            self.machine.run, "docker", "service", "ls", "--format", "{{.Name}} {{.Replicas}}"
        )
        assert code == 0, output
        return {line for line in output.splitlines() if line}

    async def files(self) -> list[str]:
        _, output = await asyncio.to_thread(self.machine.run, "docker", "secret", "ls", "-q")
        return output.split()

    async def visited(self) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            answer = await client.get(f"http://{self.machine.host}/", headers={"Host": HOST})
        return answer.text.strip()

    def line_of(self, serve: m.Served, replicas: int = 2) -> str:
        return f"{service_name(self.application_id, serve.release_id)} {replicas}/{replicas}"


@pytest.fixture
async def harbour(servers: SshServers, provisioner: Provisioner, tmp_path: Path) -> AsyncIterator[Harbour]:
    machine = await asyncio.to_thread(servers.add, "manager")
    await asyncio.to_thread(machine.load, TINY)
    server_id = await provisioner.add(machine, is_swarm_manager=True)
    server = await provisioner.provision(server_id)
    assert server.status == ServerStatus.USABLE, server.status_message
    project = await provisioner.store.projects.create(team_id=provisioner.team_id, name="p")
    environment = (await provisioner.store.projects.environments(project.id))[0]
    application = Application(
        id=new_identifier(),
        team_id=provisioner.team_id,
        environment_id=environment.id,
        name="shop",
        configuration_sealed="",
    )
    configuration = ApplicationConfiguration(
        application_id=application.id,
        name="shop",
        team_id=provisioner.team_id,
        project_id=project.id,
        server_ids=(server_id,),
        source=ImageSource(reference=TINY),
    )
    await provisioner.store.applications.create(application, configuration)
    yield Harbour(provisioner, machine, server_id, application.id, TINY, tmp_path)
    await asyncio.to_thread(machine.remove)


async def test_a_release_is_started_proven_switched_drained_and_removed_and_each_may_be_repeated(
    harbour: Harbour,
) -> None:
    message = (await harbour.provisioner.steps(harbour.server_id))[ServerStepName.ENGINE_VERSION].message
    assert message.endswith("manager of a Swarm, which it has begun")
    note = Volume(kind=VolumeKind.FILE, source="note", target="/etc/note", content=SecretStr("noted"))
    first = await harbour.release("cp /etc/note /www/index.html", volumes=(note,))
    for _ in range(2):
        assert (await harbour.start(first)).message == "2 replicas on up to 1 nodes"
    assert "200" in (await harbour.check_health(first)).message
    assert await harbour.services() == {harbour.line_of(first)}
    await harbour.switch(first)
    assert await harbour.visited() == "noted"
    assert len(await harbour.files()) == 1

    second = await harbour.release("echo second >/www/index.html; echo begins")
    await harbour.start(second)
    await harbour.check_health(second)
    await harbour.switch(second)
    assert await harbour.visited() == "second"
    for _ in range(2):
        assert (await harbour.drain(second)).message == "No request is open on the old version."
    assert (await harbour.retire(second, second)).message == "2 replicas removed"
    assert (await harbour.retire(second, second)).message == "0 replicas removed"
    assert await harbour.services() == {harbour.line_of(second)}
    assert await harbour.files() == [], "a file that no service has is not kept"

    more = second.model_copy(update={"replicas": 3})
    assert (await harbour.start(more, first=3)).message == "3 replicas"
    await harbour.check_health(more, first=3)
    assert await harbour.services() == {harbour.line_of(second, 3)}
    parts = await harbour.parts()
    labels = {APPLICATION_LABEL: harbour.application_id, ROLE_LABEL: REPLICA_ROLE}
    shown = await tasks_of(parts, labels)
    assert [state.status for _, state in shown] == ["running"] * 3
    followed: Any = shown[0][0].follow_logs(shown[0][1].name, 10)
    async with aclosing(followed), asyncio.timeout(30):
        told = [await anext(followed) for _ in range(3)]
    assert {(entry.task, entry.text) for entry in told} == {(state.id, "begins") for _, state in shown}
    place, container = await task_container(
        harbour.provisioner.store,
        harbour.provisioner.servers,
        harbour.server_id,
        parts,
        service_name(harbour.application_id, second.release_id),
        number=3,
    )

    async def placed() -> list[Placed]:
        return [Placed(harbour.server_id, *task) for task in shown]

    log: Any = LogFollower(placed, ServerPlaces(), SharedLogs()).lines(10)
    async with aclosing(log), asyncio.timeout(30):
        assert [(await anext(log)).text for _ in range(3)] == ["begins"] * 3
        for word in ("once", "twice"):
            say = ["sh", "-c", f"echo {word} >/proc/1/fd/1"]
            assert await place.engine.execute(container, say, print, 10) == 0
            assert (await anext(log)).text == word
    lines: list[str] = []
    assert await place.engine.execute(container, ["cat", "/www/index.html"], lines.append, 10) == 0
    assert lines == ["second"]

    assert (await harbour.retire(second, second)).message == "1 replica removed"
    assert (await harbour.retire(second, None)).message == "2 replicas removed"
    assert await harbour.services() == set()


async def test_a_release_that_is_ill_says_why_and_a_request_that_is_open_is_waited_for(
    harbour: Harbour,
) -> None:
    membership = await (await harbour.parts()).engine.swarm()
    assert membership.role is SwarmRole.MANAGER
    crashes = await harbour.release("echo broken; exit 3", replicas=1)
    await harbour.start(crashes)
    with pytest.raises(ReleaseUnhealthy) as ended:
        await harbour.check_health(crashes)
    assert "keeps crashing: it ended with exit code 3" in ended.value.message
    assert ended.value.detail.endswith("Last lines of the log:\nbroken"), ended.value.detail
    assert (await harbour.retire(crashes, None)).message == "1 replica removed"

    silent = await harbour.release("sleep 600", replicas=1, retries=3)
    await harbour.start(silent)
    with pytest.raises(ReleaseUnhealthy) as unheard:
        await harbour.check_health(silent)
    assert "Replica 1 did not become healthy" in unheard.value.message
    await harbour.retire(silent, None)
    assert await harbour.services() == set()

    slow = await harbour.release(SLOW, replicas=1)
    await harbour.start(slow)
    await harbour.check_health(slow)
    await harbour.switch(slow)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        address = f"http://{harbour.machine.host}/cgi-bin/slow"
        visit = asyncio.create_task(client.get(address, headers={"Host": HOST}))
        again = await harbour.release("echo again >/www/index.html", replicas=1)
        await harbour.start(again)
        await harbour.check_health(again)
        await harbour.switch(again)
        assert await harbour.visited() == "again"
        cut_short = await harbour.drain(again, seconds=0.5)
        assert cut_short.message == "1 connections were still open at the limit."
        assert (await harbour.drain(again, seconds=60)).message == "No request is open on the old version."
        answer = await visit
        assert (answer.status_code, answer.text.strip()) == (200, "waited")
        await harbour.retire(again, again)
    assert await harbour.services() == {harbour.line_of(again, 1)}
