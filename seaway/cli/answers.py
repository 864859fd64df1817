"""What the API answers, as far as the command reads it. `--json` shows it as it came."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, PrivateAttr, model_validator

from domain.deployments import DeploymentStatus, Step
from domain.registries import RegistryState


class Answer(BaseModel):
    """An answer that remembers how it came."""

    model_config = ConfigDict(frozen=True)

    _sent: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _remember(cls, sent: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        answer = read(sent)
        if isinstance(sent, dict):
            answer._sent = sent  # noqa: SLF001  its own class
        return answer

    def document(self) -> dict[str, Any]:
        """What `--json` prints: what the API sent."""
        return dict(self._sent)


class ApplicationServer(Answer):
    """A server of an application; one that is behind lacks what serves."""

    uuid: str
    name: str
    is_behind: bool = False


class Application(Answer):
    """An application. `urls` are what visitors open; `fqdn` lists its domains as they are configured."""

    uuid: str
    name: str
    status: str = "unknown"
    fqdn: str | None = None
    urls: tuple[str, ...] = ()
    build_pack: str = ""
    current_deployment_uuid: str | None = None
    servers: tuple[ApplicationServer, ...] = ()
    project_uuid: str = ""
    environment_name: str = ""
    git_repository: str | None = None
    git_branch: str | None = None
    docker_registry_image_name: str | None = None
    docker_registry_image_tag: str | None = None

    @property
    def source(self) -> str:
        """The repository with its branch, or the image."""
        if self.git_repository:
            return f"{self.git_repository}#{self.git_branch}" if self.git_branch else self.git_repository
        image, tag = self.docker_registry_image_name or "", self.docker_registry_image_tag
        return f"{image}:{tag}" if tag else image

    @property
    def behind(self) -> tuple[str, ...]:
        """The names of the servers that lack what serves."""
        return tuple(server.name for server in self.servers if server.is_behind)


class Failure(Answer):
    """Why a deployment failed: a code for programs, a message for people, and evidence."""

    code: str = ""
    message: str = ""
    detail: str | None = None


class Deployment(Answer):
    """One operation on an application. `serving_at` is when its version took the traffic.

    `status` is in Coolify's words, where a superseded one is cancelled; `outcome` is the final state.
    """

    deployment_uuid: str
    status: DeploymentStatus
    outcome: DeploymentStatus | None = None
    kind: str = "deploy"
    application_uuid: str | None = None
    application_name: str | None = None
    commit: str | None = None
    commit_message: str | None = None
    steps: tuple[Step, ...] | None = None
    error: Failure | None = None
    note: str | None = None
    superseded_by: str | None = None
    workflow_url: str | None = None
    deployment_url: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    serving_at: datetime | None = None
    finished_at: datetime | None = None

    def document(self) -> dict[str, Any]:
        """What the API sent but the log, which `seaway logs --build` shows."""
        return {name: value for name, value in super().document().items() if name != "logs"}

    @property
    def state(self) -> DeploymentStatus:
        """How it stands, in our own words."""
        return self.outcome or self.status

    @property
    def short_commit(self) -> str:
        """The commit's first characters; empty before it is known."""
        return "" if self.commit in (None, "HEAD") else str(self.commit)[:12]

    @property
    def seconds(self) -> float | None:
        """How long it took from its start, or its request, to its end."""
        begin = self.started_at or self.created_at
        return (self.finished_at - begin).total_seconds() if begin and self.finished_at else None


class LogLine(Answer):
    """One line of a deployment's log."""

    id: int
    step: str
    server: str = ""
    attempt: int = 1
    text: str = ""


class Receipt(Answer):
    """A command was taken; `deployment_uuid` names the operation that came of it."""

    deployment_uuid: str
    message: str = ""


class Variable(Answer):
    """An environment variable; `value` is masked or missing for those who may not see it."""

    uuid: str
    key: str
    value: str | None = None
    is_preview: bool = False
    is_runtime: bool = True
    is_buildtime: bool = True
    is_build_secret: bool = False


class Project(Answer):
    """A project."""

    uuid: str
    name: str
    description: str | None = None


class Environment(Answer):
    """An environment of a project."""

    name: str
    uuid: str = ""


class Server(Answer):
    """A server that applications run on; `is_coolify_host` (Coolify's word) marks Seaway's own."""

    uuid: str
    name: str
    ip: str = ""
    user: str = ""
    port: int = 22
    is_coolify_host: bool = False
    is_usable: bool = True
    is_build_server: bool = False
    is_swarm_manager: bool = False
    is_swarm_worker: bool = False
    status: str = ""
    status_message: str | None = None
    host_key_fingerprint: str | None = None
    shown_host_key_fingerprint: str | None = None
    system: str | None = None
    architecture: str | None = None
    engine_version: str | None = None

    @property
    def word(self) -> str:
        """How it stands, for people."""
        return self.status.replace("_", " ")

    @property
    def roles(self) -> tuple[str, ...]:
        """What it is for besides running applications, in the words of the dashboard."""
        roles = {
            "Seaway runs here": self.is_coolify_host,
            "builds": self.is_build_server and not self.is_coolify_host,
            "Swarm manager": self.is_swarm_manager,
            "Swarm worker": self.is_swarm_worker,
        }
        return tuple(role for role, has_it in roles.items() if has_it)


class SwarmNode(Answer):
    """A node of a Swarm; `server_uuid` is the server that it is in Seaway."""

    hostname: str
    role: str
    state: str
    availability: str
    address: str
    server_uuid: str | None = None


class SwarmFacts(Answer):
    """What a server is in a Docker Swarm."""

    role: str
    nodes: list[SwarmNode] = []


class ServerStep(Answer):
    """One step of making a server usable."""

    name: str
    title: str = ""
    status: str
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    message: str = ""
    detail: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, once it is over."""
        begin, end = self.started_at, self.finished_at
        return (end - begin).total_seconds() if begin and end else None


class ServerBuild(Answer):
    """A build that runs on a server or waits to."""

    application_name: str
    deployment_uuid: str
    state: str
    message: str = ""

    def __str__(self) -> str:
        """For people."""
        return f"{self.application_name} {self.state}" + (f": {self.message}" if self.message else "")


class HostKeys(Answer):
    """What a server shows, next to what is pinned."""

    pinned_fingerprint: str | None = None
    shown_fingerprint: str


class Registry(Answer):
    """A login for an image registry, without its password."""

    uuid: str
    name: str
    host: str = ""
    username: str = ""
    project_uuid: str | None = None

    def document(self) -> dict[str, Any]:
        """What the API sent, without the password."""
        return {name: value for name, value in super().document().items() if name != "password"}


class RegistryCheck(Answer):
    """How logging in to a registry went."""

    state: RegistryState
    message: str
    detail: str | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the registry let the user in."""
        return self.state is RegistryState.FINE


class PrivateKey(Answer):
    """A private key, without the key itself."""

    uuid: str
    name: str
    description: str | None = None
    fingerprint: str | None = None
    public_key: str | None = None

    def document(self) -> dict[str, Any]:
        """What the API sent, without the private key."""
        return {name: value for name, value in super().document().items() if name != "private_key"}
