"""Logins for image registries."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, SecretStr

from api.shapes.answers import Answer, Body, Resource, number_of
from domain.registries import RegistryCheck, RegistryState
from store.tables import Registry, Server


class CreateRegistry(Body):
    """A login for a registry."""

    host: str = Field(description="Host and, if need be, port: `registry.example.com:5000`, `docker.io`.")
    username: str
    password: SecretStr = Field(description="The password or, better, a token that may only pull.")
    name: str | None = None
    project_uuid: str | None = Field(
        default=None, description="For this project only, where it wins over the team's. For good."
    )


class ChangeRegistry(Body):
    """What to change; what is left out stays. Another host needs the password again."""

    host: str | None = None
    username: str | None = None
    password: SecretStr | None = None
    name: str | None = None


class CheckRegistry(Body):
    """Where to try it."""

    server_uuid: str | None = Field(
        default=None, description="The server to log in from; Seaway's own where the team has it."
    )


class RegistryAnswer(Resource):
    """A login. The password is shown only to those who may see secrets."""

    name: str
    host: str
    username: str
    password: str | None
    project_uuid: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, registry: Registry, password: SecretStr | None) -> RegistryAnswer:
        """The answer for a login."""
        return cls(
            id=number_of(registry.id),
            uuid=registry.id,
            name=registry.name,
            host=registry.host,
            username=registry.username,
            password=password.get_secret_value() if password else None,
            project_uuid=registry.project_id,
            created_at=registry.created_at,
            updated_at=registry.updated_at,
        )


class RegistryCheckAnswer(Answer):
    """How logging in went. `detail` is the engine's own text."""

    state: RegistryState
    message: str
    detail: str | None
    server_uuid: str

    @classmethod
    def of(cls, check: RegistryCheck, server: Server) -> RegistryCheckAnswer:
        """The answer for a try from a server."""
        return cls(
            state=check.state, message=check.message, detail=check.detail or None, server_uuid=server.id
        )
