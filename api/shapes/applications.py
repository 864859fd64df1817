"""Applications as the API takes and answers them. The models are made from the table of fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Field, create_model

from api.shapes.answers import Answer, Body, Resource, number_of
from api.shapes.application_changes import show_fields
from api.shapes.application_fields import FIELDS, SOURCE_FIELDS
from domain.configuration import ApplicationConfiguration
from store.tables import Application, Environment, Project

_FOR_IMAGES_ONLY = {"docker_registry_image_name", "docker_registry_image_tag"}
_FOR_REPOSITORIES_ONLY = ({field.name for field in SOURCE_FIELDS} - _FOR_IMAGES_ONLY) | {
    "build_pack",
    "base_directory",
    "dockerfile_location",
    "dockerfile_target_build",
    "publish_directory",
    "is_spa",
    "disable_build_cache",
}
_SETTINGS = (
    "is_static",
    "is_spa",
    "is_git_submodules_enabled",
    "is_git_lfs_enabled",
    "is_git_shallow_clone_enabled",
    "is_auto_deploy_enabled",
    "is_force_https_enabled",
    "is_gzip_enabled",
    "is_stripprefix_enabled",
    "is_preview_deployments_enabled",
    "disable_build_cache",
    "docker_images_to_keep",
    "stop_grace_period",
)


ServerIds = Annotated[list[str], Field(min_length=1, max_length=50)]


class Naming(Body):
    """What a person calls the application, and whether to deploy it at once."""

    name: str | None = None
    description: str | None = None
    instant_deploy: bool = False


class Creation(Naming):
    """Where a new application lives. Without an environment it is `production`."""

    project_uuid: str
    server_uuid: str | None = Field(default=None, description="Without one, the team's first usable server.")
    server_uuids: ServerIds | None = Field(default=None, description="All servers, where there are several.")
    environment_name: str | None = None
    environment_uuid: str | None = None
    autogenerate_domain: bool = Field(
        default=True, description="Without domains, make one below the server's wildcard domain."
    )


class Change(Naming):
    """An application may go to other servers. Its project and environment stay."""

    project_uuid: str | None = None
    server_uuid: str | None = Field(
        default=None, description="The one server to live on; the first of the present ones changes nothing."
    )
    server_uuids: ServerIds | None = Field(default=None, description="The servers to live on from now on.")
    environment_name: str | None = None


class ApplicationServer(Answer):
    """A server of an application, and what it has of it."""

    uuid: str
    name: str
    deployment_uuid: str | None = Field(description="The deployment whose release it has.")
    since: datetime | None = Field(description="Since when; null where it has none, or that is not known.")
    is_behind: bool = Field(
        description="What serves elsewhere is not here: a release went on without it, or none came yet."
    )


class ApplicationHead(Resource):
    """What an answer has besides the fields that can be written."""

    name: str
    description: str | None
    status: str = Field(description="`running:healthy`, `exited`, `unknown:unknown` and the like.")
    fqdn: str | None = Field(description="The domains.")
    urls: list[str] = Field(description="What visitors open, with the proxy's ports.")
    desired_state: str = Field(description="never_deployed, running, stopped or deleting.")
    environment_id: int
    environment_uuid: str
    environment_name: str
    project_uuid: str
    server_uuid: str = Field(description="The first of its servers.")
    server_uuids: list[str]
    servers: list[ApplicationServer] = Field(description="The same servers, each with what it has.")
    current_deployment_uuid: str | None = Field(description="The deployment that serves.")
    deployment_uuid: str | None = Field(default=None, description="With instant_deploy: the one just queued.")
    settings: dict[str, bool | int | str | None]
    created_at: datetime
    updated_at: datetime


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _body_fields(names: Iterable[str], required: Iterable[str] = ()) -> dict[str, Any]:
    return {
        name: (
            FIELDS[name].type,
            Field(
                default=... if name in required else None,
                description=FIELDS[name].description or None,
                json_schema_extra=None if name in required else _without_default,
            ),
        )
        for name in names
    }


def _loose(kind: Any) -> Any:
    """The type without its bounds, and with null, for answers."""
    if get_origin(kind) is Annotated:
        return _loose(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, (_loose(one) for one in get_args(kind)))
    return int | float | None if kind is float else kind | None if isinstance(kind, type) else kind


_from_public = [name for name in FIELDS if name != "private_key_uuid"]
_from_image = [name for name in FIELDS if name not in _FOR_REPOSITORIES_ONLY]

CreatePublicApplication = create_model(
    "CreatePublicApplication", __base__=Creation, **_body_fields(_from_public, ["git_repository"])
)
CreateDeployKeyApplication = create_model(
    "CreateDeployKeyApplication",
    __base__=Creation,
    **_body_fields(FIELDS, ["git_repository", "private_key_uuid"]),
)
CreateImageApplication = create_model(
    "CreateImageApplication",
    __base__=Creation,
    **_body_fields(_from_image, ["docker_registry_image_name"]),
)
ChangeApplication = create_model("ChangeApplication", __base__=Change, **_body_fields(FIELDS))
_answer_fields: dict[str, Any] = {name: (_loose(field.type), None) for name, field in FIELDS.items()}
ApplicationAnswer = create_model("Application", __base__=ApplicationHead, **_answer_fields)


@dataclass(frozen=True)
class ShownApplication:
    """An application with all that its answer tells."""

    row: Application
    configuration: ApplicationConfiguration
    written: Mapping[str, Any]
    environment: Environment
    project: Project
    status: str
    urls: Sequence[str] = ()
    servers: Sequence[ApplicationServer] = ()


def show_application(
    shown: ShownApplication, *, with_secrets: bool, deployment_id: str | None = None
) -> dict[str, Any]:
    """The answer."""
    row, configuration = shown.row, shown.configuration
    fields = show_fields(configuration, shown.written, with_secrets=with_secrets)
    return {
        "id": number_of(row.id),
        "uuid": row.id,
        "name": row.name,
        "description": row.description or None,
        "status": shown.status,
        "fqdn": fields["domains"] or None,
        "urls": list(shown.urls),
        "desired_state": row.desired_state,
        "environment_id": number_of(shown.environment.id),
        "environment_uuid": shown.environment.id,
        "environment_name": shown.environment.name,
        "project_uuid": shown.project.id,
        "server_uuid": configuration.server_ids[0],
        "server_uuids": list(configuration.server_ids),
        "servers": list(shown.servers),
        "current_deployment_uuid": row.current_deployment_id,
        "deployment_uuid": deployment_id,
        "settings": {name: fields[name] for name in _SETTINGS},
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        **fields,
    }
