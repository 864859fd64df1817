"""Servers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.shapes.answers import Answer, Body, Resource, number_of
from api.swarm_access import SwarmFacts
from domain.builders import BuildState
from domain.host_keys import HostKey, fingerprint_of
from domain.servers import SERVER_STEP_TITLES, ServerStatus, ServerStepName
from store.builds import ServerBuild
from store.tables import Server, ServerStep

Builds = Annotated[int, Field(ge=1, le=100)]
Percent = Annotated[int, Field(ge=0, le=100)]


class ServerFields(Body):
    """What can be said about a server."""

    name: str | None = Field(default=None, description="Its address, if not given.")
    description: str | None = None
    ip: str | None = Field(default=None, description="A name, an IPv4 or an IPv6 address.")
    port: int | None = Field(default=None, description="The port of its SSH server; 22.")
    user: str | None = Field(
        default=None, description="root, or a user with passwordless sudo or in the group docker; root."
    )
    private_key_uuid: str | None = Field(default=None, description="One of /security/keys.")
    jump_server_uuid: str | None = Field(
        default=None, description="The server that the way there leads over."
    )
    host_key: str | None = Field(
        default=None,
        description="'ssh-ed25519 AAAA…'; without it, the key that is shown at first contact is pinned.",
    )
    is_build_server: bool | None = None
    is_swarm_manager: bool | None = Field(
        default=None,
        description="It manages a Docker Swarm, begun where its engine is in none; applications on it are "
        "services of that Swarm.",
    )
    is_swarm_worker: bool | None = Field(
        default=None,
        description="It is a node of a manager's Swarm, joined where its engine is in none: images are sent "
        "there, no application is put there.",
    )
    concurrent_builds: Builds | None = Field(default=None, description="How many builds run at once; 2.")
    build_cpu_percent: Percent | None = Field(
        default=None,
        description="How much of its processors all builds use at most; 0: no limit, null: the usual 90.",
    )
    build_memory_percent: Percent | None = Field(
        default=None,
        description="How much of its memory all builds use at most; 0: no limit, null: the usual 75.",
    )
    wildcard_domain: str | None = Field(
        default=None, description="Applications without a domain get one below it: http://apps.example.com."
    )
    instant_validate: bool | None = Field(default=None, description="Make it usable at once.")
    proxy_type: Literal["traefik"] | None = None


class CreateServer(ServerFields):
    """A server to reach over SSH. `ip` and `private_key_uuid` are needed."""


class ChangeServer(ServerFields):
    """What to change; what is left out stays."""


class ValidateServer(Body):
    """How to look at a server."""

    install: bool = Field(
        default=True,
        description="What is missing is always installed where Seaway knows how; false is refused.",
    )


class AcceptHostKey(Body):
    """The fingerprint that a person has compared, as `ssh-keygen -l` writes it."""

    fingerprint: str = Field(examples=["SHA256:uNiVztksCsDhcc0u9e8BrrphDcgcfyvW2ALAEgnU5Ps"])


class ServerSettings(Answer):
    """How a server stands."""

    is_reachable: bool
    is_usable: bool
    is_build_server: bool
    is_swarm_manager: bool
    is_swarm_worker: bool
    concurrent_builds: int
    build_cpu_percent: int | None
    build_memory_percent: int | None
    wildcard_domain: str | None


class ServerAnswer(Resource):
    """A server."""

    name: str
    description: str | None
    ip: str
    port: int
    user: str
    proxy_type: str
    is_coolify_host: bool = Field(description="Whether Seaway itself runs on it.")
    private_key_uuid: str | None
    jump_server_uuid: str | None
    status: ServerStatus
    status_message: str | None = Field(description="Why it stands so, and what to do about it.")
    host_key_fingerprint: str | None = Field(description="The pinned host key; null before first contact.")
    shown_host_key_fingerprint: str | None = Field(
        description="Another key that the server shows instead. Nothing goes there until a person accepts it."
    )
    is_build_server: bool
    is_swarm_manager: bool
    is_swarm_worker: bool
    concurrent_builds: int
    build_cpu_percent: int | None
    build_memory_percent: int | None
    wildcard_domain: str | None = Field(description="Applications without a domain get one below it.")
    data_folder: str | None = Field(
        description="Where Seaway keeps its own things there; null before the first contact."
    )
    system: str | None
    architecture: str | None
    engine_version: str | None
    processors: int | None
    memory_bytes: int | None
    is_reachable: bool
    is_usable: bool
    settings: ServerSettings
    checked_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, server: Server) -> ServerAnswer:
        """The answer for a server."""
        return cls(
            id=number_of(server.id),
            uuid=server.id,
            name=server.name,
            description=server.description or None,
            ip=server.address,
            port=server.port,
            user=server.user,
            proxy_type="traefik",
            is_coolify_host=server.is_local,
            private_key_uuid=server.private_key_id,
            jump_server_uuid=server.jump_server_id,
            status=ServerStatus(server.status),
            status_message=server.status_message or None,
            host_key_fingerprint=fingerprint_of(server.host_key) or None,
            shown_host_key_fingerprint=fingerprint_of(server.shown_host_key) or None,
            is_build_server=server.is_build_server,
            is_swarm_manager=server.is_swarm_manager,
            is_swarm_worker=server.is_swarm_worker,
            concurrent_builds=server.concurrent_builds,
            build_cpu_percent=server.build_cpu_percent,
            build_memory_percent=server.build_memory_percent,
            wildcard_domain=server.wildcard_domain or None,
            data_folder=server.data_folder or None,
            system=server.system or None,
            architecture=server.architecture or None,
            engine_version=server.engine_version or None,
            processors=server.processors or None,
            memory_bytes=server.memory_bytes or None,
            is_reachable=server.is_reachable,
            is_usable=server.is_usable,
            settings=ServerSettings(
                is_reachable=server.is_reachable,
                is_usable=server.is_usable,
                is_build_server=server.is_build_server,
                is_swarm_manager=server.is_swarm_manager,
                is_swarm_worker=server.is_swarm_worker,
                concurrent_builds=server.concurrent_builds,
                build_cpu_percent=server.build_cpu_percent,
                build_memory_percent=server.build_memory_percent,
                wildcard_domain=server.wildcard_domain or None,
            ),
            checked_at=server.checked_at,
            created_at=server.created_at,
            updated_at=server.updated_at,
        )


class ServerStepAnswer(Answer):
    """One step of making a server usable, as it went the last time."""

    name: str
    title: str
    status: str
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None
    message: str
    detail: str | None = Field(description="Evidence (what a command said), for those who may see secrets.")

    @classmethod
    def of(cls, step: ServerStep, *, with_evidence: bool) -> ServerStepAnswer:
        """The answer for a step."""
        return cls(
            name=step.name,
            title=title_of(step),
            status=step.status,
            attempt=step.attempt,
            started_at=step.started_at,
            finished_at=step.finished_at,
            message=step.message,
            detail=step.detail or None if with_evidence else None,
        )


def title_of(step: ServerStep) -> str:
    """The step's name for people; one that this version does not know, as it is."""
    known = step.name in set(ServerStepName)
    return SERVER_STEP_TITLES[ServerStepName(step.name)] if known else step.name


class HostKeysAnswer(Answer):
    """What a server shows now, next to what is pinned."""

    pinned_fingerprint: str | None
    pinned_key: str | None
    shown_fingerprint: str
    shown_key: str
    is_pinned: bool = Field(description="Whether they are the same key.")

    @classmethod
    def of(cls, server: Server, shown: HostKey) -> HostKeysAnswer:
        """The answer for a server."""
        return cls(
            pinned_fingerprint=fingerprint_of(server.host_key) or None,
            pinned_key=server.host_key or None,
            shown_fingerprint=shown.fingerprint,
            shown_key=shown.text,
            is_pinned=server.host_key == shown.text,
        )


class SwarmNodeAnswer(Answer):
    """A node of a Swarm, in Docker's words."""

    id: str
    hostname: str
    role: str
    state: str = Field(description="ready, down, disconnected or unknown.")
    availability: str = Field(description="active, pause or drain.")
    address: str
    is_leader: bool
    server_uuid: str | None = Field(
        description="The server that it is in Seaway, to which images are sent; null where it is none."
    )


class SwarmAnswer(Answer):
    """What a server is in a Docker Swarm."""

    role: str = Field(description="none, worker or manager.")
    node_id: str | None
    nodes: list[SwarmNodeAnswer] = Field(description="As a manager sees them; a worker knows none.")

    @classmethod
    def of(cls, facts: SwarmFacts) -> SwarmAnswer:
        """The answer."""
        return cls(
            role=facts.membership.role,
            node_id=facts.membership.node_id or None,
            nodes=[
                SwarmNodeAnswer(
                    id=node.id,
                    hostname=node.hostname,
                    role=node.role,
                    state=node.state,
                    availability=node.availability,
                    address=node.address,
                    is_leader=node.is_leader,
                    server_uuid=facts.known.get(node.id),
                )
                for node in facts.nodes
            ],
        )


class ServerBuildAnswer(Answer):
    """A build that runs on a server or waits to."""

    deployment_uuid: str
    application_uuid: str
    application_name: str
    state: BuildState = Field(description="building, or waiting for a slot.")
    message: str = Field(description="For one that waits: its place in the queue, and who builds.")
    started_at: datetime | None = Field(description="Since when it builds or waits.")

    @classmethod
    def of(cls, build: ServerBuild) -> ServerBuildAnswer:
        """The answer for a build."""
        return cls(
            deployment_uuid=build.deployment_id,
            application_uuid=build.application_id,
            application_name=build.application_name,
            state=build.state,
            message=build.message,
            started_at=build.started_at,
        )


class ServerResource(Resource):
    """Something that runs on a server."""

    name: str
    type: str
    status: str
    created_at: datetime
    updated_at: datetime


class ServerDomains(Answer):
    """Which hosts lead to a server."""

    ip: str
    domains: list[str]
