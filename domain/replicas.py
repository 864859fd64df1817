"""Names and labels of an application's containers: the same for every try."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from domain.configuration import ApplicationConfiguration, RuntimeOptions

MANAGED_LABEL = "seaway.managed"
MANAGED: Final[Mapping[str, str]] = MappingProxyType({MANAGED_LABEL: "true"})
"""What marks everything that Seaway makes."""
APPLICATION_LABEL = "seaway.application"
RELEASE_LABEL = "seaway.release"
ROLE_LABEL = "seaway.role"
REPLICA_LABEL = "seaway.replica"
GRACE_LABEL = "seaway.stop-grace-seconds"
PORTS_LABEL = "seaway.ports"
REPLICA_ROLE = "replica"
RELEASE_COMMAND_ROLE = "release-command"
PROXY_ROLE = "proxy"
ONE_OFF_COMMAND_ROLE = "one-off-command"
OWNER_LABEL = "seaway.owner"
NO_REPLICA = dict.fromkeys([RELEASE_LABEL, REPLICA_LABEL, GRACE_LABEL, PORTS_LABEL], "")
"""On containers that are no replicas: without it, labels of their image of these names would count."""


def replica_name(application_id: str, release_id: str, number: int) -> str:
    """The container of a release's replica; short enough for a DNS label (RFC 1035, 63 characters)."""
    return f"{application_id}-{release_id}-{number}"


def release_command_name(application_id: str, deployment_id: str) -> str:
    """The container in which a deployment's release command runs."""
    return f"{application_id}-{deployment_id}-release"


def one_off_command_name(application_id: str, run_id: str) -> str:
    """The container in which somebody runs a command of their own."""
    return f"{application_id}-{run_id}-run"


def application_labels(application_id: str) -> dict[str, str]:
    """What marks everything of an application."""
    return {**MANAGED, APPLICATION_LABEL: application_id}


def replica_labels(configuration: ApplicationConfiguration, release_id: str, number: int) -> dict[str, str]:
    """The owner's labels, and over them ours, which nobody may take for something else."""
    own = {key: value for key, value in configuration.runtime.labels if not key.startswith("seaway.")}
    return (
        own
        | application_labels(configuration.application_id)
        | {
            RELEASE_LABEL: release_id,
            ROLE_LABEL: REPLICA_ROLE,
            REPLICA_LABEL: str(number),
            GRACE_LABEL: str(configuration.runtime.stop_grace_seconds),
            PORTS_LABEL: ",".join(str(port) for port in serving_ports(configuration)),
        }
    )


def stop_grace_seconds(labels: Mapping[str, str]) -> int:
    """How long a replica may take to end, by its labels."""
    grace = labels.get(GRACE_LABEL, "")
    return int(grace) if grace.isdecimal() and grace.isascii() else RuntimeOptions().stop_grace_seconds


def release_command_labels(application_id: str) -> dict[str, str]:
    """What marks the container of a release command."""
    return application_labels(application_id) | NO_REPLICA | {ROLE_LABEL: RELEASE_COMMAND_ROLE}


def one_off_command_labels(application_id: str, owner: str) -> dict[str, str]:
    """What marks the container of a one-off command; `owner` is the process that removes it at the end."""
    return (
        application_labels(application_id)
        | NO_REPLICA
        | {ROLE_LABEL: ONE_OFF_COMMAND_ROLE, OWNER_LABEL: owner}
    )


def serving_ports(configuration: ApplicationConfiguration) -> tuple[int, ...]:
    """The container ports that visitors reach: the main one, and those that domains name."""
    ports = [domain.port for domain in configuration.routing.domains if domain.port is not None]
    return tuple(dict.fromkeys([configuration.runtime.port, *ports]))
