"""What a service of a Swarm should be, and the request that makes it (Engine API, `/services/create`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from adapters.docker.specifications import LOG_SETTINGS, NO_LIMITS, SPECIFICATION_LABEL, MountSpecification
from domain.configuration import ResourceLimits, VolumeKind

RESTART_CONDITIONS = {"no": "none", "on-failure": "on-failure", "always": "any", "unless-stopped": "any"}
RESTART_DELAY_SECONDS = 1
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class HealthCommand:
    """A command inside, by which the engine of each node decides whether a task is healthy. Seconds."""

    command: str
    interval_seconds: float
    timeout_seconds: float
    retries: int
    start_period_seconds: float = 0.0


@dataclass(frozen=True)
class FileSpecification:
    """A secret of the Swarm, by name and id, that tasks find as a file at `target`."""

    name: str
    id: str
    target: str


@dataclass(frozen=True)
class ServiceSpecification:
    """Everything that decides how the tasks of a service run; `replicas` may change without a new service.

    `image` is an id (`sha256:…`): engines ask no registry for those, and all nodes run the very same one.
    """

    name: str
    image: str
    replicas: int
    network: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, SecretStr] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    container_labels: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    mounts: tuple[MountSpecification, ...] = ()
    volume_labels: Mapping[str, str] = field(default_factory=dict)
    files: tuple[FileSpecification, ...] = ()
    limits: ResourceLimits = NO_LIMITS
    restart_policy: str = "unless-stopped"
    stop_grace_seconds: int = 30
    constraints: tuple[str, ...] = ()
    health: HealthCommand | None = None

    @property
    def hash(self) -> str:
        """Changes exactly when the service would have to be made anew."""
        body = json.dumps({**_body(self), "Mode": None}, sort_keys=True).encode()
        return hashlib.sha256(body).hexdigest()


def service_request(specification: ServiceSpecification) -> dict[str, Any]:
    """The create request, labelled with the specification's hash. It holds environment values in clear."""
    body = _body(specification)
    body["Labels"] = {**body["Labels"], SPECIFICATION_LABEL: specification.hash}
    return body


def _body(specification: ServiceSpecification) -> dict[str, Any]:
    return {
        "Name": specification.name,
        "Labels": dict(specification.labels),
        "TaskTemplate": {
            "ContainerSpec": _container(specification),
            "Resources": _resources(specification.limits),
            "RestartPolicy": {
                "Condition": RESTART_CONDITIONS[specification.restart_policy],
                "Delay": RESTART_DELAY_SECONDS * NANOSECONDS,
            },
            "Placement": {"Constraints": list(specification.constraints)},
            "Networks": [{"Target": specification.network, "Aliases": list(specification.aliases)}],
            "LogDriver": {"Name": LOG_SETTINGS["Type"], "Options": LOG_SETTINGS["Config"]},
        },
        "Mode": {"Replicated": {"Replicas": specification.replicas}},
        # Whatever changes a service by hand starts the new before it stops the old, as a release does.
        "UpdateConfig": {"Parallelism": 1, "Order": "start-first", "FailureAction": "rollback"},
        "RollbackConfig": {"Parallelism": 1, "Order": "start-first"},
        # Names lead to the tasks themselves: a virtual address needs IPVS, and hides who is behind it.
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def _container(specification: ServiceSpecification) -> dict[str, Any]:
    container: dict[str, Any] = {
        "Image": specification.image,
        "Env": [
            f"{key}={value.get_secret_value()}" for key, value in sorted(specification.environment.items())
        ],
        "Labels": dict(specification.container_labels),
        "Init": True,
        "StopGracePeriod": specification.stop_grace_seconds * NANOSECONDS,
        "Mounts": [_mount(mount, specification.volume_labels) for mount in specification.mounts],
    }
    if specification.files:
        container["Secrets"] = [_file(file) for file in specification.files]
    if specification.entrypoint:
        container["Command"] = list(specification.entrypoint)
    if specification.command:
        container["Args"] = list(specification.command)
    if (health := specification.health) is not None:
        container["Healthcheck"] = {
            "Test": ["CMD", "/bin/sh", "-c", health.command],
            "Interval": round(health.interval_seconds * NANOSECONDS),
            "Timeout": round(health.timeout_seconds * NANOSECONDS),
            "Retries": health.retries,
            "StartPeriod": round(health.start_period_seconds * NANOSECONDS),
        }
    return container


def _mount(mount: MountSpecification, volume_labels: Mapping[str, str]) -> dict[str, Any]:
    named = mount.kind is VolumeKind.NAMED
    body: dict[str, Any] = {
        "Type": "volume" if named else "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if named:
        body["VolumeOptions"] = {"Labels": dict(volume_labels)}
    return body


def _file(file: FileSpecification) -> dict[str, Any]:
    # Whoever the image's user is: files of other servers can be read by all, too.
    where = {"Name": file.target, "UID": "0", "GID": "0", "Mode": 0o444}
    return {"File": where, "SecretID": file.id, "SecretName": file.name}


def _resources(limits: ResourceLimits) -> dict[str, Any]:
    upper = {"NanoCPUs": limits.nano_cpus, "MemoryBytes": limits.memory_bytes}
    kept = {"MemoryBytes": limits.memory_reservation_bytes}
    return {
        "Limits": {name: value for name, value in upper.items() if value},
        "Reservations": {name: value for name, value in kept.items() if value},
    }
