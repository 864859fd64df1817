"""Docker Swarm as a place for applications: its nodes, its placement rules, and what it cannot do.

The words are those of Docker (`docker service create --constraint`, `docker node ls`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import SecretStr

from domain.configuration import ApplicationConfiguration, Volume, VolumeKind
from domain.errors import InvalidInput, NotPossibleNow

LONGEST_CONSTRAINTS = 4096
LARGEST_FILE_BYTES = 500 * 1024
"""What a secret of a Swarm may hold, and not less than one byte (`docker secret create`)."""

CONSTRAINTS_FIELD = "swarm_placement_constraints"
PINS = frozenset(["node.id", "node.hostname", "node.ip"])
_CONSTRAINT = re.compile(
    r"(?P<key>node\.(?:id|hostname|role|ip|platform\.os|platform\.arch|labels\.[A-Za-z0-9_.-]+)"
    r"|engine\.labels\.[A-Za-z0-9_.-]+)"
    r"\s*(?P<operator>==|!=)\s*(?P<value>[A-Za-z0-9_][A-Za-z0-9_.:/ -]*)"
)
# In Coolify the field is a part of a Compose file, whose keys say nothing more.
_COMPOSE_KEYS = frozenset(["", "placement:", "constraints:", "deploy:"])


class SwarmRole(StrEnum):
    """What an engine is in a Swarm."""

    NONE = "none"
    WORKER = "worker"
    MANAGER = "manager"


@dataclass(frozen=True)
class SwarmMembership:
    """What an engine says about its own part in a Swarm."""

    role: SwarmRole = SwarmRole.NONE
    node_id: str = ""


@dataclass(frozen=True)
class SwarmNode:
    """One machine of a Swarm. `state` and `availability` are Docker's words: ready, down; active, drain."""

    id: str
    hostname: str
    role: SwarmRole
    state: str
    availability: str
    address: str = ""
    is_leader: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    engine_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_up(self) -> bool:
        """Whether the managers hear of it."""
        return self.state == "ready"

    @property
    def takes_tasks(self) -> bool:
        """Whether the Swarm puts new tasks there."""
        return self.is_up and self.availability == "active"


@dataclass(frozen=True)
class Constraint:
    """A rule for where tasks may run."""

    key: str
    is_equal: bool
    value: str

    def __str__(self) -> str:
        """As Docker reads it."""
        return f"{self.key}{'==' if self.is_equal else '!='}{self.value}"

    def admits(self, node: SwarmNode) -> bool:
        """Whether a node satisfies it, as far as we know its facts; platforms are left to Docker."""
        known = _fact(self.key, node)
        return known is None or (known.lower() == self.value.lower()) is self.is_equal


def parse_constraints(text: str, field: str = CONSTRAINTS_FIELD) -> tuple[str, ...]:
    """Constraints, one a line or separated by commas, in the order given. Raises InvalidInput.

    Coolify's form is understood too: a Compose file's `placement` in base64.
    """
    if len(text) > LONGEST_CONSTRAINTS:
        raise InvalidInput(f"At most {LONGEST_CONSTRAINTS} characters.", field=field)
    found = []
    for line in re.split(r"[\n,]", _decoded(text)):
        bare = line.strip().removeprefix("-").strip().strip("'\"").strip()
        if bare not in _COMPOSE_KEYS:
            found.append(str(constraint_of(bare, field)))
    return tuple(dict.fromkeys(found))


def constraint_of(text: str, field: str = CONSTRAINTS_FIELD) -> Constraint:
    """One constraint. Raises InvalidInput."""
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"'{text[:80]}' is no placement constraint. Write for example node.role==worker, "
            "node.hostname!=db1 or node.labels.disk==ssd, one a line.",
            field=field,
        )
    return Constraint(match["key"], match["operator"] == "==", match["value"].strip())


def admitted(nodes: Sequence[SwarmNode], constraints: Sequence[str]) -> tuple[SwarmNode, ...]:
    """The nodes on which the Swarm may put tasks under these constraints."""
    rules = [constraint_of(one) for one in constraints]
    return tuple(node for node in nodes if node.takes_tasks and all(rule.admits(node) for rule in rules))


def without(nodes: Sequence[SwarmNode], has_image: Collection[str]) -> tuple[str, ...]:
    """Constraints that keep tasks off the nodes whose ids are not among `has_image`, which lack the image."""
    return tuple(f"node.id!={node.id}" for node in nodes if node.id not in has_image)


def check_fits(configuration: ApplicationConfiguration) -> None:
    """Raises InvalidInput that names the field for what a service of a Swarm cannot have."""
    runtime = configuration.runtime
    if len(configuration.server_ids) > 1:
        raise InvalidInput(
            "A Swarm spreads the replicas over its own nodes: choose its manager as the only server.",
            field="server_uuids",
        )
    if runtime.port_mappings:
        raise InvalidInput(
            "On a Swarm the proxy leads visitors to the replicas; ports of the nodes are not published. "
            "Remove ports_mappings and give the application a domain.",
            field="ports_mappings",
        )
    for limit, name in (
        (runtime.limits.cpu_set, "limits_cpuset"),
        (runtime.limits.cpu_shares, "limits_cpu_shares"),
        (runtime.limits.memory_swap_bytes, "limits_memory_swap"),
    ):
        if limit:
            raise InvalidInput(
                "Docker Swarm has no such limit; limits_memory, limits_memory_reservation and limits_cpus "
                "work there.",
                field=name,
            )
    for volume in runtime.volumes:
        _check_volume(volume, is_pinned=is_pinned(runtime.placement_constraints))


def is_pinned(constraints: Sequence[str]) -> bool:
    """Whether the constraints leave one node only, so that what is on its disk is always there."""
    rules = [constraint_of(one) for one in constraints]
    return any(rule.is_equal and rule.key in PINS for rule in rules)


def require_role(
    role: SwarmRole, *, is_manager: bool, is_worker: bool, again: str = "validate it again"
) -> None:
    """Raises NotPossibleNow where an engine is not what its server is said to be.

    `again` is what to do once it is.
    """
    if is_manager and role is not SwarmRole.MANAGER:
        raise NotPossibleNow(
            "Its engine is no manager of a Docker Swarm. Run `docker swarm init --advertise-addr ADDRESS` on "
            "it, or make it a manager with `docker node promote` on another one; "
            f"then {again}."
        )
    if is_worker and role is SwarmRole.NONE:
        raise NotPossibleNow(
            "Its engine is in no Docker Swarm. Run on it the command that `docker swarm join-token worker` "
            f"prints on a manager; then {again}."
        )


def _check_volume(volume: Volume, *, is_pinned: bool) -> None:
    if volume.kind is VolumeKind.FILE:
        content = (volume.content or SecretStr("")).get_secret_value().encode()
        if not 0 < len(content) <= LARGEST_FILE_BYTES:
            raise InvalidInput(
                f"A Swarm keeps files of 1 to {LARGEST_FILE_BYTES:,} bytes; the one at {volume.target} has "
                f"{len(content):,}. Put it into the image.",
                field="volumes",
            )
        return
    if volume.kind is VolumeKind.BIND and volume.source[:1] != "/":
        raise InvalidInput(
            f"What is mounted at {volume.target} is kept on one server, and a Swarm may start replicas on "
            "another. Put it into the image, or make it a file with content, which the Swarm keeps.",
            field="volumes",
        )
    if not is_pinned:
        raise InvalidInput(
            f"The volume at {volume.target} is on the disk of one node, and a Swarm may start replicas on "
            "another, where it is empty. Pin the application with a constraint such as node.hostname==db1.",
            field=CONSTRAINTS_FIELD,
        )


def _fact(key: str, node: SwarmNode) -> str | None:
    facts = {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.role": node.role.value,
        "node.ip": node.address,
    }
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    if key.startswith("engine.labels."):
        return node.engine_labels.get(key.removeprefix("engine.labels."), "")
    return facts.get(key)


def _decoded(text: str) -> str:
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text
    return decoded if all(one.isprintable() or one in "\r\n\t" for one in decoded) else text
