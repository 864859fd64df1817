"""A whole Seaway for tests: real engine, real Traefik, real Temporal, and workers that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import docker
import docker.errors
from pydantic import SecretStr
from temporalio.client import Client

from api.operations import Operations
from domain.configuration import ApplicationConfiguration, Domain, GitSource, HealthCheck, RoutingOptions
from domain.deployments import DeploymentStatus, OperationKind, Step, StepName
from seaway.parts import Installation, installation
from seaway.settings import Settings
from seaway.temporal_server import connect
from store.store import Store
from store.tables import Application, Deployment, Project, Variable
from tests.harness.load import LoadGenerator
from tests.harness.processes import free_port
from tests.harness.remains import Remains, remains_of, remove_everything_of
from tests.harness.repositories import GitRepository
from tests.harness.temporal import TemporalServer
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess
from workflows import names

FINAL_LIMIT_SECONDS = 120.0
LOG_LIMIT = 10_000
REQUESTER = "tests"


@dataclass(frozen=True)
class DeployedApplication:
    """An application of the tests: its row, the host that visitors ask for, and its worker."""

    row: Application
    project: Project
    host: str
    worker: WorkerProcess
    operations: Operations

    @property
    def id(self) -> str:
        """The application's id."""
        return self.row.id


class SeawayInstallation:
    """One installation with a data folder, network, proxy and ports of its own. `close` removes it all.

    Each worker has a task queue of its own, so that killing one leaves the applications of others alone.
    Store and operations are those of the product, in the process of the tests.
    """

    def __init__(self, folder: Path, temporal: TemporalServer, engine: docker.DockerClient) -> None:
        """`folder` is for everything that it writes. Opens nothing yet."""
        self.instance = f"seaway-test-{secrets.token_hex(4)}"
        self.folder = folder
        self.docker = engine
        self.settings = Settings(
            data_dir=folder / "data",
            instance=self.instance,
            port=free_port(),
            http_port=free_port(),
            https_port=free_port(),
            proxy_api_port=free_port(),
            temporal_address=temporal.address,
            temporal_namespace=temporal.namespace,
            shutdown_seconds=2,
        )
        self._stack = contextlib.AsyncExitStack()
        self._workers: dict[str, WorkerProcess] = {}
        self._applications: list[DeployedApplication] = []
        self._parts: Installation | None = None
        self._client: Client | None = None

    @property
    def parts(self) -> Installation:
        """Store and servers, in this process."""
        if self._parts is None:
            raise RuntimeError("the installation is not open")
        return self._parts

    @property
    def store(self) -> Store:
        """On the same database as the workers."""
        return self.parts.store

    @property
    def client(self) -> Client:
        """A client of the Temporal server."""
        if self._client is None:
            raise RuntimeError("the installation is not open")
        return self._client

    async def open(self) -> None:
        """Migrates the database and starts the proxy. Workers start when they are asked for."""
        self._parts = await self._stack.enter_async_context(installation(self.settings))
        self._client = await connect(self.settings)
        await self.parts.servers.engine.ensure_network(self.instance, {"seaway.managed": "true"})
        await self.parts.servers.proxy.ensure_running()

    async def close(self) -> None:
        """Ends every process and removes every container, volume, image tag and network made here."""
        for worker in self._workers.values():
            worker.end()
        await asyncio.to_thread(self._remove_all)
        await self._stack.aclose()

    def _remove_all(self) -> None:
        for application in self._applications:
            remove_everything_of(self.docker, application.id)
        with contextlib.suppress(docker.errors.NotFound):
            self.docker.containers.get(f"{self.instance}-proxy").remove(force=True, v=True)
        with contextlib.suppress(docker.errors.NotFound):
            self.docker.networks.get(self.instance).remove()

    async def worker(self, name: str = "worker") -> WorkerProcess:
        """The worker of this name, which polls: started on first use, and again after it was killed."""
        if name not in self._workers:
            self._workers[name] = WorkerProcess(
                f"{self.instance}-{name}", self.folder, environment_of(self.settings)
            )
        await self._workers[name].started()
        return self._workers[name]

    async def create_application(
        self,
        repository: GitRepository,
        *,
        name: str = "application",
        worker: str = "worker",
        variables: Mapping[str, str] | None = None,
        **configuration: object,
    ) -> DeployedApplication:
        """An application built from this repository; `configuration` is what differs from the defaults."""
        credentials = json.loads(self.settings.credentials_path.read_text())
        principal = await self.store.access.check_password(
            credentials["email"], SecretStr(credentials["password"])
        )
        assert principal is not None
        project = (await self.store.projects.list(team_id=principal.team_id))[0]
        environment = (await self.store.projects.environments(project.id))[0]
        server = (await self.store.servers.list(team_id=principal.team_id))[0]
        name = f"{name}-{secrets.token_hex(3)}"
        host = f"{name}.localhost"
        row = Application(
            team_id=principal.team_id, environment_id=environment.id, name=name, configuration_sealed=""
        )
        defaults: dict[str, object] = {
            "application_id": row.id,
            "name": name,
            "team_id": principal.team_id,
            "project_id": project.id,
            "server_ids": (server.id,),
            "source": GitSource(repository=repository.url),
            "health": HealthCheck(path="/health"),
            "routing": RoutingOptions(domains=(Domain(host=host),)),
        }
        await self.store.applications.create(
            row, ApplicationConfiguration.model_validate(defaults | configuration)
        )
        running = await self.worker(worker)
        operations = Operations(self.client, self.store, running.task_queue)
        application = DeployedApplication(row, project, host, running, operations)
        self._applications.append(application)
        await self.set_variables(application, variables or {})
        return application

    async def remove(self, application: DeployedApplication) -> None:
        """Removes what runs of an application and its images, so that it costs nothing any more."""
        await asyncio.to_thread(remove_everything_of, self.docker, application.id)
        self._applications.remove(application)

    async def configure(self, application: DeployedApplication, **changes: object) -> None:
        """Changes the configuration that later deployments release."""
        configuration = await self.store.applications.configuration(application.id)
        await self.store.applications.update(application.row, configuration.model_copy(update=changes))

    async def set_variables(self, application: DeployedApplication, variables: Mapping[str, str]) -> None:
        """Sets variables for the run time of later deployments."""
        rows = [
            (
                Variable(
                    application_id=application.id,
                    key=key,
                    value_sealed="",
                    is_runtime=True,
                    is_buildtime=False,
                ),
                SecretStr(value),
            )
            for key, value in variables.items()
        ]
        await self.store.applications.set_variables(application.id, rows)

    async def deploy(self, application: DeployedApplication, **options: object) -> str:
        """Asks for a deployment; `options` are fields of `Command`. Returns its id at once."""
        return await self.operate(application, OperationKind.DEPLOY, **options)

    async def operate(self, application: DeployedApplication, kind: OperationKind, **options: object) -> str:
        """Asks for any operation. Returns its id at once."""
        deployment, _ = await application.operations.submit(
            application.row, application.project, kind, requested_by=REQUESTER, options=options
        )
        return deployment.id

    async def release(self, application: DeployedApplication, **options: object) -> str:
        """Deploys, and returns the id when it has finished. Fails with everything known when it did not."""
        deployment_id = await self.deploy(application, **options)
        deployment = await self.wait_final(deployment_id)
        assert deployment.status == DeploymentStatus.FINISHED, await self.describe(deployment_id)
        return deployment_id

    async def cancel(self, application: DeployedApplication, deployment_id: str) -> None:
        """Cancels as a user would. Raises NotPossibleNow."""
        deployment = await self.store.deployments.get(deployment_id)
        await application.operations.cancel(deployment, requested_by=REQUESTER)

    async def wait_final(
        self, deployment_id: str, timeout_seconds: float = FINAL_LIMIT_SECONDS
    ) -> Deployment:
        """The deployment once it has its final state and its workflow has closed."""

        async def final() -> Deployment | None:
            row = await self.store.deployments.get(deployment_id)
            return row if DeploymentStatus(row.status).is_final else None

        try:
            deployment = await eventually(final, timeout_seconds, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.describe(deployment_id)}") from error
        handle = self.client.get_workflow_handle(names.deployment_workflow_id(deployment_id))

        async def closed() -> bool:
            return (await handle.describe(rpc_timeout=timedelta(seconds=5))).close_time is not None

        await eventually(closed, 30, describe="the end of the workflow")
        return deployment

    async def steps(self, deployment_id: str) -> dict[StepName, Step]:
        """The steps on the one server, by name, in their order."""
        return {step.name: step for step in await self.store.deployments.steps(deployment_id)}

    async def log(self, deployment_id: str, step: StepName | None = None) -> list[str]:
        """The lines of a deployment's log, or of one of its steps."""
        lines = await self.store.logs.read(deployment_id, limit=LOG_LIMIT)
        return [line.text for line in lines if step in (None, line.step)]

    async def events(self, deployment_id: str) -> int:
        """How many events the history of its workflow has."""
        handle = self.client.get_workflow_handle(names.deployment_workflow_id(deployment_id))
        return len((await handle.fetch_history()).events)

    async def describe(self, deployment_id: str) -> str:
        """Everything about a deployment, for the message of a failed test."""
        row = await self.store.deployments.get(deployment_id)
        lines = [f"deployment {row.status} {row.error_code}: {row.error_message}", row.error_detail]
        lines += [
            f"  {step.name} {step.status} attempt {step.attempt}: {step.message}"
            for step in (await self.steps(deployment_id)).values()
        ]
        lines += [f"  | {line}" for line in (await self.log(deployment_id))[-30:]]
        for worker in self._workers.values():
            if row.application_id in {one.id for one in self._applications if one.worker is worker}:
                lines += [f"  worker {worker.task_queue}:", worker.process.tail()]
        return "\n".join(lines)

    def load(self, application: DeployedApplication, **options: object) -> LoadGenerator:
        """Visitors of the application, by way of the proxy."""
        return LoadGenerator(
            f"http://{application.host}",
            address=("127.0.0.1", self.settings.http_port),
            **options,  # type: ignore[arg-type]
        )

    async def remains(self, application: DeployedApplication) -> Remains:
        """What there is of the application on the machine."""
        _, deployments = await self.store.deployments.list_of_application(application.id, take=LOG_LIMIT)
        return await asyncio.to_thread(
            remains_of,
            self.docker,
            application.id,
            [deployment.id for deployment in deployments],
            self.settings.data_dir,
            application.worker.temporary_folder,
        )


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables from which another process reads the same settings."""
    given = settings.model_dump(include=settings.model_fields_set)
    return {
        key.upper() if key.startswith("temporal_") else f"SEAWAY_{key.upper()}": str(value)
        for key, value in given.items()
    }
