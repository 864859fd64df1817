"""The same release as in `release_scenario`, on servers over SSH, whose links a test can cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from api.server_operations import ServerOperations
from domain.build_log import UNHEARD
from domain.build_resumption import PERHAPS_UNHEARD
from domain.configuration import Domain, RoutingOptions, RuntimeOptions
from domain.deployments import DeploymentStatus, Step, StepName, StepStatus
from domain.replicas import replica_name
from domain.servers import ServerStatus
from store.tables import PrivateKey, Server
from tests.faults.link_cases import SILENT_SECONDS, Cut
from tests.faults.release_scenario import DOCKERFILE, LINES, MOST_EVENTS, ReleaseScenario
from tests.harness.images import PYTHON
from tests.harness.installation import DeployedApplication, SeawayInstallation
from tests.harness.load import LoadGenerator
from tests.harness.remains import processes_with
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

USABLE_LIMIT_SECONDS = 120.0
RESET = ("pkill", "-KILL", "-x", "sshd-session")
RESETS = (
    "sh", "-c",
    "for i in 1 2 3 4 5 6 7 8 9 10; do pkill -KILL -x sshd-session; sleep 0.$((i % 4 + 1)); done; true",
)  # fmt: skip
END = "-- end --"
TRIES = 5
SSH_PACKETS = (("INPUT", "-p", "tcp", "--dport", "22"), ("OUTPUT", "-p", "tcp", "--sport", "22"))


@dataclass(frozen=True)
class RemoteRemains:
    """What there is of an application on a server: see `remains.Remains`.

    Of a file whose writing was cut off an unfinished one stays until the next time, so those are left out.
    """

    containers: dict[str, str]
    images: set[str]
    upstreams: set[str]


@dataclass(frozen=True)
class RemoteServer:
    """A usable server: the machine, and its row."""

    machine: SshServer
    row: Server

    def run(self, *argv: str) -> str:
        """The output of a command there, past SSH.

        A busy engine may lose the end of what a command says. So each says that it has ended, and one that
        did not is run again: use commands that may be.
        """
        for _ in range(TRIES):
            code, output = self.machine.run("sh", "-c", f'"$@" || exit; echo {END}', "sh", *argv)
            assert code == 0, f"{shlex.join(argv)} on {self.row.name}: {output}"
            if output.endswith(f"{END}\n"):
                return output.removesuffix(f"{END}\n")
        raise AssertionError(f"{shlex.join(argv)} on {self.row.name} does not come to its end: {output}")

    def containers(self, application_id: str) -> dict[str, str]:
        """The state of each of the application's containers, by name."""
        label = f"label=seaway.application={application_id}"
        lines = self.run("docker", "ps", "-a", "--filter", label, "--format", "{{.Names}} {{.State}}")
        return dict(line.split() for line in lines.splitlines())

    def images(self, application_id: str) -> set[str]:
        """The names of the application's images."""
        shown = "{{.Repository}}:{{.Tag}}"
        return set(self.run("docker", "images", f"seaway/{application_id}", "--format", shown).split())

    def upstreams(self, application_id: str) -> set[str]:
        """Where the proxy leads visitors of the application."""
        file = f"{self.row.data_folder}/proxy/dynamic/{application_id}.yml"
        http = json.loads(self.run("cat", file).partition("\n")[2])["http"]
        return {
            server["url"]
            for service in http["services"].values()
            for server in service["loadBalancer"]["servers"]
        }

    def route_files(self, application_id: str) -> set[str]:
        """The files of the application that its proxy reads: its routes, and those of an edge."""
        found = self.run("ls", f"{self.row.data_folder}/proxy/dynamic").split()
        return {name for name in found if name.startswith(application_id)}

    def remains(self, application_id: str) -> RemoteRemains:
        """All that there is of the application."""
        return RemoteRemains(
            self.containers(application_id),
            self.images(application_id),
            self.upstreams(application_id),
        )

    @contextlib.asynccontextmanager
    async def cut(self, kind: Cut) -> AsyncIterator[None]:
        """Its link is cut when the block begins; at its end everything is as before."""
        if kind is Cut.SILENCE:
            async with contextlib.AsyncExitStack() as stack:
                for rule in SSH_PACKETS:
                    await asyncio.to_thread(stack.enter_context, self.machine.dropping(*rule))
                yield
                await asyncio.sleep(SILENT_SECONDS)
            return
        reset = asyncio.create_task(
            asyncio.to_thread(self.machine.run, *(RESET if kind is Cut.RESET else RESETS))
        )
        if kind is Cut.RESET:
            await reset
        yield
        await reset


async def provisioned(
    seaway: SeawayInstallation,
    machine: SshServer,
    worker: WorkerProcess,
    *,
    is_swarm_manager: bool = False,
) -> RemoteServer:
    """Makes the machine a server of this Seaway, by its own workflow."""
    [local] = [one for one in await seaway.store.servers.deployable() if one.is_local]
    key = PrivateKey(team_id=local.team_id, name=machine.name, private_key_sealed="")
    await seaway.store.servers.add_key(key, SecretStr(machine.private_key))
    row = await seaway.store.servers.create(
        Server(
            team_id=local.team_id,
            name=machine.name,
            address=machine.host,
            host_key=machine.host_key,
            private_key_id=key.id,
            is_swarm_manager=is_swarm_manager,
        )
    )
    operations = ServerOperations(seaway.client, seaway.store, worker.task_queue)
    await operations.provision(row, requested_by="tests")

    async def at_rest() -> Server | None:
        found = await seaway.store.servers.get(row.id)
        return found if found.status != ServerStatus.PROVISIONING else None

    row = await eventually(at_rest, USABLE_LIMIT_SECONDS, 0.2)
    assert row.status == ServerStatus.USABLE, row.status_message
    return RemoteServer(machine, row)


def behind(application: DeployedApplication, edge: RemoteServer) -> RoutingOptions:
    """Visitors of the application come by that server."""
    return RoutingOptions(domains=(Domain(host=application.host),), edge_server_id=edge.row.id)


class RemoteRelease(ReleaseScenario):
    """v1 serves on these servers, and a deployment of v2 is under way or over."""

    servers: list[RemoteServer]

    @classmethod
    async def on(
        cls,
        servers: list[RemoteServer],
        seaway: SeawayInstallation,
        folder: Path,
        *,
        worker: str,
        runtime: RuntimeOptions,
        edge: RemoteServer | None = None,
        **configuration: Any,
    ) -> RemoteRelease:
        """Releases v1, whose visitors that edge spreads over the servers."""
        repository = await asyncio.to_thread(GitRepository, folder)
        application = await seaway.create_application(
            repository,
            worker=worker,
            runtime=runtime,
            server_ids=tuple(one.row.id for one in servers),
            **configuration,
        )
        if edge is not None:
            await seaway.configure(application, routing=behind(application, edge))
        dockerfile = DOCKERFILE.format(base=PYTHON, name=application.id, lines=LINES)
        await asyncio.to_thread(repository.release, "v1", {"Dockerfile": dockerfile})
        scenario = cls(seaway, application, repository, await seaway.release(application))
        scenario.servers = servers
        return scenario

    def loads(self, *, brief: bool = False) -> list[LoadGenerator]:
        """Visitors of each server, unless `brief` with slow requests and a WebSocket all the time."""
        return [
            LoadGenerator(
                f"http://{self.application.host}",
                address=(one.machine.host, 80),
                rate_per_second=10,
                slow_seconds=3.0,
                slow_every_seconds=0 if brief else 2,
                websockets=0 if brief else 1,
                websocket_seconds=3,
            )
            for one in self.servers
        ]

    async def all_steps(self) -> list[Step]:
        """The steps of the second deployment, on each server."""
        return list(await self.seaway.store.deployments.steps(self.second))

    async def assert_finished(self, replicas: int = 1) -> None:
        """v2 serves; every step succeeded, and none of it twice."""
        deployment = await self.seaway.store.deployments.get(self.second)
        assert deployment.status == DeploymentStatus.FINISHED, await self.describe()
        wrong = {
            f"{step.name} on {step.server}": step.message
            for step in await self.all_steps()
            if step.status not in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
        }
        assert wrong == {}, await self.describe()
        await self.assert_only(self.second, replicas)

    async def assert_only(self, deployment_id: str, replicas: int = 1) -> None:
        """This release serves on each server, and nothing else of the application is there."""
        assert replicas == 1
        name = replica_name(self.application.id, deployment_id, 1)
        finished = await self.seaway.store.deployments.list_finished(self.application.id)
        for one in self.servers:
            expected = RemoteRemains(
                {name: "running"}, {row.image for row in finished}, {f"http://{name}:3000"}
            )
            await self._assert_has(one, expected)
        state = await self.seaway.store.applications.get(self.application.id)
        assert state.current_deployment_id == deployment_id
        assert await self.seaway.events(self.second) < MOST_EVENTS

        def ended() -> bool:
            return not processes_with(self.application.id)

        await eventually(ended, 30, describe="the end of every process that worked on the application")

    async def assert_build_log_whole(self) -> None:
        """Each line is there once, in order; where it was printed into silence, the log says so instead."""
        log = await self.seaway.log(self.second, StepName.BUILD)
        if UNHEARD not in log:
            self.assert_has_every_line(log, early=1 - sum(PERHAPS_UNHEARD in line for line in log))
            return
        found = [match[1] for line in log if (match := re.search(r"line (\d+) of v2$", line))]
        assert found == [f"{number:02}" for number in range(1, len(found) + 1)], "\n".join(log)
        assert log[-1] == UNHEARD

    async def _assert_has(self, one: RemoteServer, expected: RemoteRemains) -> None:
        """At this moment: an operation that is over has nothing left to do."""
        found = await asyncio.to_thread(one.remains, self.application.id)
        assert found == expected, f"on {one.row.name}\n{await self.describe()}"

    async def read(self, path: str) -> list[str]:
        """The lines of a file in the first server's replica."""
        [first, *_] = self.servers
        [name] = await asyncio.to_thread(first.containers, self.application.id)
        return (await asyncio.to_thread(first.run, "docker", "exec", name, "cat", path)).splitlines()

    async def remove(self) -> None:
        """Takes it off the servers."""
        for one in self.servers:
            names = await asyncio.to_thread(one.containers, self.application.id)
            if names:
                await asyncio.to_thread(one.run, "docker", "rm", "-fv", *names)
            images = await asyncio.to_thread(one.images, self.application.id)
            if images:
                await asyncio.to_thread(one.run, "docker", "rmi", "-f", *images)
        await self.seaway.remove(self.application)
