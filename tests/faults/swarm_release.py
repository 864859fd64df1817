"""The same release as in `remote_release`, on a Docker Swarm of one manager; and what happens to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import SecretStr

from activities import signatures as s
from domain.configuration import RuntimeOptions, Volume, VolumeKind
from domain.deployments import DeploymentStatus
from domain.services import file_name, service_name
from tests.faults.kill_cases import DATA, DEAF, HOOKS, LONG_RELEASE_COMMAND, KillCase
from tests.faults.link_cases import FAILING, Cut, LinkCase
from tests.faults.release_scenario import MOST_EVENTS
from tests.faults.remote_release import RemoteRelease, RemoteServer
from tests.harness.planned_faults import Action, Fault, Moment
from tests.harness.remains import processes_with
from tests.harness.waiting import eventually

REPLICAS = 2
SETTLED_SECONDS = 30.0
SLOW_START = {"START_DELAY_SECONDS": "3"}
STEPS = (
    s.DISTRIBUTE_IMAGE,
    s.START_REPLICAS,
    s.CHECK_HEALTH,
    s.APPLY_ROUTES,
    s.DRAIN_REPLICAS,
    s.RETIRE_REPLICAS,
)
UNDONE = (s.APPLY_ROUTES, s.RETIRE_REPLICAS)
CUT_STEPS = (
    s.DISTRIBUTE_IMAGE,
    s.RUN_RELEASE_COMMAND,
    s.START_REPLICAS,
    s.CHECK_HEALTH,
    s.APPLY_ROUTES,
    s.DRAIN_REPLICAS,
    s.RETIRE_REPLICAS,
)

KILL_CASES = (
    *(KillCase(Fault(one.name, moment)) for one in STEPS for moment in (Moment.BEGUN, Moment.DONE)),
    KillCase(
        Fault(s.RUN_RELEASE_COMMAND.name, Moment.MIDDLE, text="release begins"),
        hooks=HOOKS.model_copy(update={"release": LONG_RELEASE_COMMAND}),
    ),
    KillCase(Fault(s.CHECK_HEALTH.name, Moment.MIDDLE, seconds=1.5), variables=SLOW_START),
    KillCase(Fault(s.DRAIN_REPLICAS.name, Moment.MIDDLE, seconds=0.3)),
    KillCase(Fault(s.RETIRE_REPLICAS.name, Moment.MIDDLE, seconds=1.5), before=DEAF),
    *(
        KillCase(
            Fault(one.name, Moment.DONE, undo=True),
            ends=DeploymentStatus.FAILED,
            error_code="command_failed",
            hooks=FAILING,
        )
        for one in UNDONE
    ),
)
LINK_CASES = tuple(
    case
    for cut in (Cut.SILENCE, Cut.RESETS)
    for case in (
        *(LinkCase(cut, Fault(one.name, Moment.BEGUN, Action.HOLD)) for one in CUT_STEPS),
        LinkCase(
            Cut.RESET if cut is Cut.RESETS else cut,
            Fault(s.RUN_RELEASE_COMMAND.name, Moment.MIDDLE, Action.HOLD, text="release begins"),
            hooks=HOOKS.model_copy(update={"release": LONG_RELEASE_COMMAND}),
        ),
        LinkCase(
            Cut.RESET if cut is Cut.RESETS else cut,
            Fault(s.CHECK_HEALTH.name, Moment.MIDDLE, Action.HOLD, seconds=1.5),
            variables=SLOW_START,
        ),
        LinkCase(
            Cut.RESET if cut is Cut.RESETS else cut,
            Fault(s.RETIRE_REPLICAS.name, Moment.MIDDLE, Action.HOLD, seconds=1.5),
            runtime=DEAF,
        ),
    )
)


@dataclass(frozen=True)
class SwarmRemains:
    """What there is of an application on a Swarm of one node: of its services the tasks that shall run."""

    services: dict[str, str]
    tasks: int
    containers: dict[str, int]
    files: set[str]
    images: set[str]
    upstreams: set[str]


def note(version: str) -> Volume:
    """A file with content, which is a secret of the Swarm, and another one for each version."""
    content = SecretStr(f"noted for {version}")
    return Volume(kind=VolumeKind.FILE, source="note", target="/etc/note", content=content)


def on_swarm(runtime: RuntimeOptions, manager: RemoteServer, version: str) -> RuntimeOptions:
    """The same on that node of the Swarm, with a file of this version."""
    return runtime.model_copy(
        update={
            "replicas": REPLICAS,
            # A named volume belongs to one node.
            "placement_constraints": (f"node.hostname=={manager.machine.name}",),
            "volumes": (DATA, note(version)),
        }
    )


class SwarmRelease(RemoteRelease):
    """v1 serves as a service of two tasks, and a deployment of v2 is under way or over."""

    @property
    def manager(self) -> RemoteServer:
        """The only node."""
        [manager] = self.servers
        return manager

    async def assert_only(self, deployment_id: str, replicas: int = 1) -> None:
        """The service of this release serves with two tasks that were never replaced, and nothing is left.

        What the Swarm itself does when a service is gone, removing the containers of its tasks, has its time.
        """
        assert replicas == 1, "a release on the Swarm always has the same number"
        application, version = self.application.id, "v1" if deployment_id == self.first else "v2"
        name = service_name(application, deployment_id)
        finished = await self.seaway.store.deployments.list_finished(application)
        expected = SwarmRemains(
            services={name: f"{REPLICAS}/{REPLICAS}"},
            tasks=REPLICAS,
            containers={"running": REPLICAS},
            files={file_name(application, note(version).content or SecretStr(""))},
            images={row.image for row in finished},
            upstreams={f"http://{name}:3000"},
        )
        found: SwarmRemains | None = None

        async def settled() -> bool:
            nonlocal found
            found = await asyncio.to_thread(self._remains)
            return found.containers == expected.containers

        await eventually(settled, SETTLED_SECONDS, 0.5, lambda: f"{expected}\nnot {found}")
        assert found == expected, await self.describe()
        state = await self.seaway.store.applications.get(application)
        assert state.current_deployment_id == deployment_id
        assert await self.seaway.events(self.second) < MOST_EVENTS
        await eventually(
            lambda: not processes_with(application),
            SETTLED_SECONDS,
            describe="the end of every process that worked on the application",
        )

    def _remains(self) -> SwarmRemains:
        manager, application = self.manager, self.application.id
        of_application = ("--filter", f"label=seaway.application={application}")
        shown = ("--format", "{{.Name}} {{.Replicas}}")
        listed = manager.run("docker", "service", "ls", *of_application, *shown).splitlines()
        services = dict(line.split() for line in listed)
        tasks = [manager.run("docker", "service", "ps", "-q", name).split() for name in services]
        return SwarmRemains(
            services=services,
            tasks=sum(len(ids) for ids in tasks),
            containers=self._container_states(),
            files=set(
                manager.run("docker", "secret", "ls", *of_application, "--format", "{{.Name}}").split()
            ),
            images=manager.images(application),
            upstreams=manager.upstreams(application),
        )

    def _container_states(self) -> dict[str, int]:
        """How many containers are in which state: of tasks, and of anything else of the application."""
        tasks = ("docker", "ps", "-a", "--filter", f"label=seaway.task-of={self.application.id}")
        states = self.manager.run(*tasks, "--format", "{{.State}}").split()
        states += [f"{name} {state}" for name, state in self.manager.containers(self.application.id).items()]
        return {state: states.count(state) for state in states}

    async def read(self, path: str) -> list[str]:
        """The lines of a file in one of the running tasks; none if there is no file."""
        look = ("docker", "ps", "-q", "--filter", f"label=seaway.task-of={self.application.id}")
        [container, *_] = (await asyncio.to_thread(self.manager.run, *look)).split()
        shown = await asyncio.to_thread(self.manager.run, "docker", "exec", container, "cat", path)
        return shown.splitlines()

    async def remove(self) -> None:
        """Takes it off the Swarm."""
        of_application = ("--filter", f"label=seaway.application={self.application.id}")
        for kind in ("service", "secret"):
            ids = await asyncio.to_thread(self.manager.run, "docker", kind, "ls", "-q", *of_application)
            if ids:
                await asyncio.to_thread(self.manager.run, "docker", kind, "rm", *ids.split())
        await super().remove()
