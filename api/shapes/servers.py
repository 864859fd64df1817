"""Servers."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.shapes.answers import Answer, Body, Resource, number_of
from store.tables import Server


class CreateServer(Body):
    """A server to reach over SSH."""

    name: str | None = None
    description: str | None = None
    ip: str | None = None
    port: int | None = None
    user: str | None = None
    private_key_uuid: str | None = None
    is_build_server: bool | None = None
    instant_validate: bool | None = None
    proxy_type: str | None = None


class ValidateServer(Body):
    """How to look at a server."""

    install: bool = Field(default=False, description="Install what is missing. Nothing is, on the local one.")


class ServerSettings(Answer):
    """How a server stands."""

    is_reachable: bool
    is_usable: bool
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
    is_reachable: bool
    is_usable: bool
    settings: ServerSettings
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
            is_reachable=server.is_reachable,
            is_usable=server.is_usable,
            settings=ServerSettings(
                is_reachable=server.is_reachable,
                is_usable=server.is_usable,
                wildcard_domain=server.wildcard_domain or None,
            ),
            created_at=server.created_at,
            updated_at=server.updated_at,
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
