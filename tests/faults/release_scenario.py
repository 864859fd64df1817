"""Version v2 released over v1 under load, and what must be true afterwards, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
import io
import re
import tarfile
from pathlib import Path

import docker.errors

from domain.configuration import PushOptions, RuntimeOptions
from domain.deployments import DeploymentStatus, StepName, StepStatus
from domain.replicas import APPLICATION_LABEL, replica_name
from tests.harness.images import PYTHON
from tests.harness.installation import DeployedApplication, SeawayInstallation
from tests.harness.load import LoadGenerator
from tests.harness.remains import processes_with
from tests.harness.repositories import GitRepository
from tests.harness.waiting import eventually

LINES = 40
MOST_EVENTS = 200
# The build counts itself in a cache mount, which outlives a killed build as nothing else of it does.
DOCKERFILE = """\
FROM {base}
WORKDIR /app
CMD ["python3", "app.py"]
EXPOSE 3000
COPY app.py VERSION ./
RUN echo "{name}: early line of $(cat VERSION)"
RUN --mount=type=cache,id={name},target=/count \\
    cat VERSION >> /count/builds; \\
    for number in $(seq -w 1 {lines}); do \\
        echo "line $number of $(cat VERSION)"; grep -q v1 VERSION || sleep 0.05; \\
    done; \\
    cp /count/builds builds
"""


class ReleaseScenario:
    """One application that serves version v1, and a deployment of v2 that is under way or over."""

    def __init__(
        self,
        seaway: SeawayInstallation,
        application: DeployedApplication,
        repository: GitRepository,
        first: str,
    ) -> None:
        """Use `start`. `first` is the deployment of v1."""
        self.seaway = seaway
        self.application = application
        self.repository = repository
        self.first = first
        self.second = ""

    @classmethod
    async def start(
        cls,
        seaway: SeawayInstallation,
        folder: Path,
        *,
        worker: str = "worker",
        runtime: RuntimeOptions | None = None,
        registry: str = "",
    ) -> ReleaseScenario:
        """Releases v1, to that registry too if one is given."""
        repository = await asyncio.to_thread(GitRepository, folder)
        application = await seaway.create_application(
            repository, worker=worker, runtime=runtime or RuntimeOptions()
        )
        if registry:
            push = PushOptions(name=f"{registry}/team/{application.row.name}", tag="latest")
            await seaway.configure(application, push=push)
        dockerfile = DOCKERFILE.format(base=PYTHON, name=application.id, lines=LINES)
        await asyncio.to_thread(repository.release, "v1", {"Dockerfile": dockerfile})
        first = await seaway.release(application)
        return cls(seaway, application, repository, first)

    def load(self, slow_seconds: float = 3.0) -> LoadGenerator:
        """Ordinary and slow requests, and a WebSocket, all the time."""
        return self.seaway.load(
            self.application,
            rate_per_second=30,
            slow_seconds=slow_seconds,
            slow_every_seconds=2,
            websocket_seconds=3,
        )

    def commit_dockerfile(self, template: str, **values: object) -> None:
        """Commits another Dockerfile; `base` and `name` in it are filled in as well. Blocks."""
        dockerfile = template.format(base=PYTHON, name=self.application.id, **values)
        self.repository.commit({"Dockerfile": dockerfile})

    async def make_heavy(self, megabytes: int) -> None:
        """The next image is so much larger, so that it takes its time on any way."""
        ballast = f"RUN head -c {megabytes}000000 /dev/urandom > /ballast\n"
        template = DOCKERFILE.replace("RUN echo", f"{ballast}RUN echo", 1)
        await asyncio.to_thread(self.commit_dockerfile, template, lines=LINES)

    async def deploy_second(self, **configuration: object) -> str:
        """Asks for v2, with these changes of the configuration."""
        await asyncio.to_thread(self.repository.commit, {"VERSION": "v2\n"}, "Release v2")
        await self.seaway.configure(self.application, **configuration)
        self.second = await self.seaway.deploy(self.application)
        return self.second

    async def assert_only(self, deployment_id: str, replicas: int = 1) -> None:
        """This release serves and nothing else of the application is there, but the images of finished ones.

        A removal that the engine still works on is given a moment.
        """
        expected = {
            replica_name(self.application.id, deployment_id, number): "running"
            for number in range(1, replicas + 1)
        }
        finished = await self.seaway.store.deployments.list_finished(self.application.id)
        remains = await self.seaway.remains(self.application)
        assert remains.containers == expected
        assert remains.images == {deployment.image for deployment in finished}
        assert remains.upstreams == {f"http://{name}:3000" for name in expected}
        assert remains.files == ()
        state = await self.seaway.store.applications.get(self.application.id)
        assert state.current_deployment_id == deployment_id

        def ended() -> bool:
            return not processes_with(self.application.id)

        await eventually(ended, 5, describe="the end of every process that worked on the application")

    async def assert_finished(self, replicas: int = 1) -> None:
        """v2 serves; every step succeeded, and none of it twice."""
        deployment = await self.seaway.store.deployments.get(self.second)
        assert deployment.status == DeploymentStatus.FINISHED, await self.describe()
        statuses = {step.name: step.status for step in (await self.seaway.steps(self.second)).values()}
        assert set(statuses.values()) == {StepStatus.SUCCEEDED}, await self.describe()
        await self.assert_only(self.second, replicas)
        assert await self.seaway.events(self.second) < MOST_EVENTS

    async def assert_undone(self, status: DeploymentStatus, error_code: str) -> None:
        """v1 serves as if nothing had been, and the deployment says why."""
        deployment = await self.seaway.store.deployments.get(self.second)
        assert (deployment.status, deployment.error_code) == (status, error_code), await self.describe()
        steps = (await self.seaway.steps(self.second)).values()
        assert not [step for step in steps if step.status is StepStatus.RUNNING], await self.describe()
        await self.assert_only(self.first)
        assert await self.seaway.events(self.second) < MOST_EVENTS

    async def assert_build_log_whole(self) -> None:
        """Each line that the build printed is there once, in order."""
        self.assert_has_every_line(await self.seaway.log(self.second, StepName.BUILD))

    @staticmethod
    def assert_has_every_line(log: list[str], *, early: int = 1) -> None:
        """Each line of the last step once, in order, and `early` times the one of the step before it."""
        assert len([line for line in log if line.endswith(" early line of v2")]) == early, "\n".join(log)
        found = [match[1] for line in log if (match := re.search(r"line (\d+) of v2$", line))]
        expected = [f"{number:02}" for number in range(1, LINES + 1)]
        assert found == expected, "\n".join(log)

    async def read(self, path: str) -> list[str]:
        """The lines of a file in the one replica that runs, or in its volume; none if there is no file."""
        return await asyncio.to_thread(self._read, path)

    def _read(self, path: str) -> list[str]:
        [container, *_] = self.seaway.docker.containers.list(
            filters={"label": f"{APPLICATION_LABEL}={self.application.id}"}
        )
        try:
            chunks, _ = container.get_archive(path)
        except docker.errors.NotFound:
            return []
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile(archive.next() or "")
            return file.read().decode().splitlines() if file else []

    async def describe(self) -> str:
        """Everything known of the second deployment."""
        return await self.seaway.describe(self.second)
