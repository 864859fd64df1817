"""The whole configuration of an application, as one value.

A deployment keeps the value that it released (encrypted), so that a rollback restores image and
configuration together. It holds environment values in clear: it must never enter a workflow.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, SerializationInfo

REVEAL = {"reveal": True}


def _masked_unless_revealed(value: SecretStr, info: SerializationInfo) -> str:
    revealed = bool(info.context and info.context.get("reveal"))
    return value.get_secret_value() if revealed else "**********"


Secret = Annotated[SecretStr, PlainSerializer(_masked_unless_revealed, return_type=str, when_used="json")]
"""A secret that JSON masks, unless dumped with `context=REVEAL` (by the store, which encrypts it)."""


class Frozen(BaseModel):
    """A value: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BuildPack(StrEnum):
    """How an image comes to be."""

    DOCKERFILE = "dockerfile"
    STATIC = "static"
    DOCKER_IMAGE = "dockerimage"


class HealthCheckKind(StrEnum):
    """What a probe does."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "cmd"
    NONE = "none"


class GitSource(Frozen):
    """A repository at a branch, tag or commit. `private_key_id` names a deploy key in the store."""

    repository: str
    branch: str = "main"
    commit: str = "HEAD"
    private_key_id: str | None = None
    submodules: bool = True
    lfs: bool = True


class ImageSource(Frozen):
    """A prebuilt image, `name:tag` or `name@sha256:…`."""

    reference: str


class PushOptions(Frozen):
    """Where a built image is pushed; without a name it is not, and goes from server to server."""

    name: str = Field(default="", description="With its registry, without a tag.")
    tag: str = Field(default="", description="Follows the version that serves; empty means none does.")


class BuildOptions(Frozen):
    """What decides how the image is built. Paths are relative to the repository and start with `/`."""

    pack: BuildPack = BuildPack.DOCKERFILE
    base_directory: str = "/"
    dockerfile_path: str = "/Dockerfile"
    target_stage: str = ""
    publish_directory: str = "/"
    single_page: bool = False
    use_cache: bool = True
    use_build_server: bool = Field(default=False, description="One of the team's, as soon as it has one.")


class HealthCheck(Frozen):
    """How a new replica proves itself. Durations are in seconds."""

    kind: HealthCheckKind = HealthCheckKind.HTTP
    path: str = "/"
    port: int | None = None
    host: str = "localhost"
    method: Literal["GET", "HEAD", "POST", "OPTIONS"] = "GET"
    scheme: Literal["http", "https"] = "http"
    expected_status: int | None = Field(default=None, description="None accepts 200 to 399.")
    expected_text: str = ""
    command: str = ""
    interval_seconds: float = 1.0
    timeout_seconds: float = 5.0
    retries: int = Field(default=60, description="Failed probes before the release is unhealthy.")
    start_period_seconds: float = 0.0
    successes: int = Field(default=1, description="Good probes in a row before the release is healthy.")


class EnvironmentVariable(Frozen):
    """One variable. Secret build-time values reach the build by its session, never as an argument."""

    key: str
    value: Secret
    is_runtime: bool = True
    is_buildtime: bool = True
    is_build_secret: bool = False
    is_literal: bool = False


class VolumeKind(StrEnum):
    """What is mounted."""

    NAMED = "named"
    BIND = "bind"
    FILE = "file"


class Volume(Frozen):
    """Something mounted into every replica. For FILE, `content` is written to the server first."""

    kind: VolumeKind
    source: str = Field(description="Volume name, host path, or for FILE a file name.")
    target: str
    read_only: bool = False
    content: Secret | None = None
    options: tuple[str, ...] = Field(default=(), description="SELinux label z or Z, and propagation.")


class ResourceLimits(Frozen):
    """Limits of one replica; 0 means none."""

    memory_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swap_bytes: int = 0
    nano_cpus: int = 0
    cpu_set: str = ""
    cpu_shares: int = 0


class PortMapping(Frozen):
    """A port published on the host; it makes releases stop-first, because two replicas cannot share it."""

    host_ip: str = ""
    host_port: int
    container_port: int
    protocol: Literal["tcp", "udp"] = "tcp"


class RuntimeOptions(Frozen):
    """How replicas run."""

    replicas: int = 1
    port: int = Field(default=3000, description="The port that the application listens on; given as PORT.")
    exposed_ports: tuple[int, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    network_aliases: tuple[str, ...] = ()
    restart_policy: Literal["no", "always", "unless-stopped", "on-failure"] = "unless-stopped"
    stop_grace_seconds: int = 30
    drain_seconds: int = 30
    labels: tuple[tuple[str, str], ...] = ()
    limits: ResourceLimits = ResourceLimits()
    volumes: tuple[Volume, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()
    placement_constraints: tuple[str, ...] = Field(default=(), description="For nodes of a Docker Swarm.")


class Domain(Frozen):
    """One public address: scheme, host and path; `port` is the container's port, if not the main one."""

    scheme: Literal["http", "https"] = "http"
    host: str
    path: str = "/"
    port: int | None = None


class RoutingOptions(Frozen):
    """How the proxy serves the domains."""

    domains: tuple[Domain, ...] = ()
    strip_prefix: bool = True
    force_https: bool = True
    compress: bool = True
    edge_server_id: str | None = Field(
        default=None, description="Its proxy spreads over all servers; None: each serves its own visitors."
    )


class Hooks(Frozen):
    """Commands around a release, run by a shell in the named place; empty means none."""

    pre_deploy: str = Field(default="", description="In a running container of the old version.")
    release: str = Field(default="", description="Once, in a container of the new image, before any replica.")
    post_deploy: str = Field(default="", description="In a replica of the new version, after the switch.")
    timeout_seconds: int = 600


class ApplicationConfiguration(Frozen):
    """Everything that one release depends on."""

    application_id: str
    name: str
    team_id: str
    project_id: str
    environment_name: str = "production"
    server_ids: tuple[str, ...]
    source: GitSource | ImageSource
    build: BuildOptions = BuildOptions()
    push: PushOptions = PushOptions()
    health: HealthCheck = HealthCheck()
    runtime: RuntimeOptions = RuntimeOptions()
    routing: RoutingOptions = RoutingOptions()
    hooks: Hooks = Hooks()
    environment: tuple[EnvironmentVariable, ...] = ()
    images_to_keep: int = 5
    min_available: int | None = Field(
        default=None, description="So many servers suffice for a release; None: all of them or none."
    )
