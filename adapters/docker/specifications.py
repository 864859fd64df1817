"""What a container should be, and the request that creates it (Engine API, `POST /containers/create`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from domain.configuration import PortMapping, ResourceLimits, VolumeKind

SPECIFICATION_LABEL = "seaway.specification"
NO_LIMITS = ResourceLimits()
LOG_SETTINGS = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


@dataclass(frozen=True)
class MountSpecification:
    """A volume by name, or a path of the host (BIND and FILE) that must exist."""

    kind: VolumeKind
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpecification:
    """Everything that decides how one container runs.

    Empty `command` and `entrypoint` leave those of the image. `init` puts a small init process in
    front, which reaps zombies and passes signals on; switch it off for images with an init of their own.
    `has_input`: its input is what the first who attaches says, and ends when they leave.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, SecretStr] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "bridge"
    aliases: tuple[str, ...] = ()
    mounts: tuple[MountSpecification, ...] = ()
    limits: ResourceLimits = NO_LIMITS
    restart_policy: str = "no"
    stop_grace_seconds: int = 30
    port_mappings: tuple[PortMapping, ...] = ()
    exposed_ports: tuple[int, ...] = ()
    init: bool = True
    has_input: bool = False
    has_terminal: bool = False

    @property
    def hash(self) -> str:
        """Changes exactly when the container would have to be made anew."""
        body = json.dumps(_body(self), sort_keys=True).encode()
        return hashlib.sha256(body).hexdigest()


def container_request(specification: ContainerSpecification) -> dict[str, Any]:
    """The create request, labelled with the specification's hash. It holds environment values in clear."""
    body = _body(specification)
    body["Labels"] = {**body["Labels"], SPECIFICATION_LABEL: specification.hash}
    return body


def _body(specification: ContainerSpecification) -> dict[str, Any]:
    environment = sorted(specification.environment.items())
    body: dict[str, Any] = {
        "Image": specification.image,
        "Env": [f"{key}={value.get_secret_value()}" for key, value in environment],
        "Labels": dict(specification.labels),
        "StopTimeout": specification.stop_grace_seconds,
        "ExposedPorts": _exposed_ports(specification),
        "HostConfig": _host_config(specification),
        "NetworkingConfig": {
            "EndpointsConfig": {specification.network: _endpoint(specification)},
        },
    }
    if specification.command:
        body["Cmd"] = list(specification.command)
    if specification.entrypoint:
        body["Entrypoint"] = list(specification.entrypoint)
    # Only where they are asked for, so that the hashes of all other containers stay what they were.
    if specification.has_input:
        body |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
    if specification.has_terminal:
        body["Tty"] = True
    return body


def _exposed_ports(specification: ContainerSpecification) -> dict[str, dict[str, str]]:
    ports = [f"{port}/tcp" for port in specification.exposed_ports]
    ports += [f"{mapping.container_port}/{mapping.protocol}" for mapping in specification.port_mappings]
    return {port: {} for port in ports}


def _endpoint(specification: ContainerSpecification) -> dict[str, Any]:
    # The engine refuses aliases on its built-in networks.
    return {"Aliases": list(specification.aliases)} if specification.aliases else {}


def _host_config(specification: ContainerSpecification) -> dict[str, Any]:
    limits = specification.limits
    bindings: dict[str, list[dict[str, str]]] = {}
    for mapping in specification.port_mappings:
        bindings.setdefault(f"{mapping.container_port}/{mapping.protocol}", []).append(
            {"HostIp": mapping.host_ip, "HostPort": str(mapping.host_port)}
        )
    return {
        "NetworkMode": specification.network,
        "Init": specification.init,
        "LogConfig": LOG_SETTINGS,
        "RestartPolicy": {"Name": specification.restart_policy, "MaximumRetryCount": 0},
        "PortBindings": bindings,
        # Mounts, not Binds: a missing host path is refused instead of created as root's empty folder.
        "Mounts": [
            {
                "Type": "volume" if mount.kind is VolumeKind.NAMED else "bind",
                "Source": mount.source,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
            }
            for mount in specification.mounts
        ],
        "Memory": limits.memory_bytes,
        "MemoryReservation": limits.memory_reservation_bytes,
        "MemorySwap": limits.memory_swap_bytes,
        "NanoCpus": limits.nano_cpus,
        "CpusetCpus": limits.cpu_set,
        "CpuShares": limits.cpu_shares,
    }
