"""What a Swarm says about itself, its nodes, services and tasks, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.docker.states import (
    EXIT_CODES,
    LONGEST_FACT,
    LONGEST_NAME,
    MOST_NETWORKS,
    engine_time,
    own_labels,
)
from domain.errors import EngineUnavailable
from domain.swarm import SwarmMembership, SwarmNode, SwarmRole

ENDED = frozenset(["complete", "failed", "shutdown", "rejected", "remove", "orphaned"])
BROKEN = frozenset(["failed", "rejected"])
RUNNING = "running"
MOST_REPLICAS = 1000
"""Of one service; beyond what Seaway asks for."""


@dataclass(frozen=True)
class ServiceState:
    """How a service is meant to be."""

    id: str
    name: str
    replicas: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskState:
    """One task of a service: one container, once, on one node.

    `state` is what is, `desired` what shall be; both are Docker's words. `addresses` by network name.
    """

    id: str
    service_id: str
    slot: int
    node_id: str
    state: str
    desired: str
    message: str = ""
    container_id: str = ""
    exit_code: int = 0
    created_at: datetime | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_wanted(self) -> bool:
        """Whether the Swarm wants it to run."""
        return self.desired in ("running", "ready")

    @property
    def has_ended(self) -> bool:
        """Whether it will never run again; the Swarm makes new tasks instead."""
        return self.state in ENDED

    @property
    def end_reason(self) -> str:
        """Why it ended, in words."""
        if self.exit_code:
            reason = EXIT_CODES.get(self.exit_code, "")
            return f"ended with exit code {self.exit_code}" + (f": {reason}" if reason else "")
        return f"was {self.state}: {self.message}" if self.message else f"is {self.state}"


def membership(info: Mapping[str, Any]) -> SwarmMembership:
    """From the answer of `/info`."""
    swarm = info.get("Swarm") or {}
    if swarm.get("LocalNodeState") != "active":
        return SwarmMembership()
    role = SwarmRole.MANAGER if swarm.get("ControlAvailable") else SwarmRole.WORKER
    return SwarmMembership(role, str(swarm.get("NodeID", ""))[:LONGEST_FACT])


def node_state(answer: Mapping[str, Any]) -> SwarmNode:
    """From one of the answers of `/nodes`."""
    spec, description = answer.get("Spec") or {}, answer.get("Description") or {}
    status, manager = answer.get("Status") or {}, answer.get("ManagerStatus") or {}
    return SwarmNode(
        id=str(answer["ID"]),
        hostname=str(description.get("Hostname", ""))[:LONGEST_FACT],
        role=SwarmRole.MANAGER if spec.get("Role") == "manager" else SwarmRole.WORKER,
        state=str(status.get("State", "unknown"))[:LONGEST_FACT],
        availability=str(spec.get("Availability", ""))[:LONGEST_FACT],
        address=str(status.get("Addr", ""))[:LONGEST_FACT],
        is_leader=bool(manager.get("Leader")),
        labels=dict(spec.get("Labels") or {}),
        engine_labels=dict((description.get("Engine") or {}).get("Labels") or {}),
    )


def service_state(answer: Mapping[str, Any]) -> ServiceState:
    """From the answer of `/services/{name}`; of its labels only Seaway's are kept.

    Raises EngineUnavailable for a number of replicas that no service has.
    """
    spec = answer["Spec"]
    replicas = ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas", 0)
    if not isinstance(replicas, int) or not 0 <= replicas <= MOST_REPLICAS:
        raise EngineUnavailable(
            f"The Docker Engine tells of a service without a number of replicas up to {MOST_REPLICAS}. Look "
            "whether somebody else controls that server."
        )
    return ServiceState(
        id=str(answer["ID"])[:LONGEST_FACT],
        name=str(spec.get("Name", ""))[:LONGEST_NAME],
        replicas=replicas,
        labels=own_labels(spec.get("Labels")),
    )


def task_state(answer: Mapping[str, Any]) -> TaskState:
    """From one of the answers of `/tasks`."""
    status = answer.get("Status") or {}
    container = status.get("ContainerStatus") or {}
    return TaskState(
        id=str(answer["ID"])[:LONGEST_FACT],
        service_id=str(answer.get("ServiceID", ""))[:LONGEST_FACT],
        slot=int(answer.get("Slot", 0)),
        node_id=str(answer.get("NodeID", ""))[:LONGEST_FACT],
        state=str(status.get("State", ""))[:LONGEST_FACT],
        desired=str(answer.get("DesiredState", ""))[:LONGEST_FACT],
        message=str(status.get("Err") or status.get("Message") or "")[:LONGEST_FACT],
        container_id=str(container.get("ContainerID", ""))[:LONGEST_FACT],
        exit_code=int(container.get("ExitCode") or 0),
        created_at=engine_time(str(answer.get("CreatedAt", ""))),
        addresses=_addresses(answer),
    )


def _addresses(answer: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for attachment in (answer.get("NetworksAttachments") or ())[:MOST_NETWORKS]:
        name = str(((attachment.get("Network") or {}).get("Spec") or {}).get("Name", ""))[:LONGEST_NAME]
        for address in (attachment.get("Addresses") or ())[:1]:
            found[name] = str(address).partition("/")[0][:LONGEST_FACT]
    return found
