"""Names and labels of an application's services in a Swarm: the same for every try."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from domain.configuration import ApplicationConfiguration
from domain.replicas import (
    APPLICATION_LABEL,
    GRACE_LABEL,
    MANAGED,
    NO_REPLICA,
    PORTS_LABEL,
    RELEASE_LABEL,
    REPLICA_ROLE,
    ROLE_LABEL,
    application_labels,
    serving_ports,
)
from domain.swarm import SwarmNode

SERVICE_ROLE = "service"
TASK_ROLE = "task"
TASK_OF_LABEL = "seaway.task-of"


def service_name(application_id: str, release_id: str) -> str:
    """The service of a release, which is also its name on the network (RFC 1035, 63 characters)."""
    return f"{application_id}-{release_id}"


def file_name(application_id: str, content: SecretStr) -> str:
    """What the Swarm calls a file of an application: another content is another file, as a rollback needs.

    At most 64 characters, as Docker wants it.
    """
    digest = hashlib.sha256(content.get_secret_value().encode()).hexdigest()
    return f"{application_id}-{digest[:32]}"


def service_labels(configuration: ApplicationConfiguration, release_id: str) -> dict[str, str]:
    """What marks a service as the replicas of a release."""
    return application_labels(configuration.application_id) | {
        RELEASE_LABEL: release_id,
        ROLE_LABEL: SERVICE_ROLE,
        GRACE_LABEL: str(configuration.runtime.stop_grace_seconds),
        PORTS_LABEL: ",".join(str(port) for port in serving_ports(configuration)),
    }


def task_labels(configuration: ApplicationConfiguration) -> dict[str, str]:
    """The owner's labels, and what tells that a container is the Swarm's to start and to remove.

    Without these, the labels that it inherits from its image would make it a container of the application,
    to be removed with everything that is of no release.
    """
    own = {key: value for key, value in configuration.runtime.labels if not key.startswith("seaway.")}
    ours = {**MANAGED, APPLICATION_LABEL: "", ROLE_LABEL: TASK_ROLE}
    return own | NO_REPLICA | ours | {TASK_OF_LABEL: configuration.application_id}


def application_of(labels: Mapping[str, str]) -> str:
    """The id of the application of which a container with these labels is a replica; nothing for others."""
    label = {REPLICA_ROLE: APPLICATION_LABEL, TASK_ROLE: TASK_OF_LABEL}.get(labels.get(ROLE_LABEL, ""))
    return labels.get(label, "") if label else ""


def names_of(nodes: Sequence[SwarmNode]) -> str:
    """The nodes for people."""
    return ", ".join(node.hostname or node.id for node in nodes) or "none"
