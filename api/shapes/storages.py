"""Volumes and files that are mounted into an application's replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from pydantic import Field, SecretStr

from api.shapes.answers import Answer, Body, Resource, number_of
from domain.configuration import Volume, VolumeKind
from domain.errors import InvalidInput
from domain.identifiers import derived_identifier
from domain.volumes import normalised_target, parse_volume, volume_name_for

Read = TypeVar("Read")

MAXIMUM_CONTENT_BYTES = 5 * 1024**2


class CreateStorage(Body):
    """`persistent`: a named volume, or a path of the host. `file`: a file with content, or a folder."""

    may_hold_null = frozenset({"content"})

    type: Literal["persistent", "file"]
    mount_path: str
    name: str | None = Field(default=None, description="The volume's name.")
    host_path: str | None = Field(default=None, description="A path of the host instead of a named volume.")
    content: SecretStr | None = Field(default=None, description="What the file holds.")
    is_directory: bool = False
    fs_path: str | None = Field(default=None, description="The host's folder, with is_directory.")
    is_read_only: bool = False


class StorageAnswer(Resource):
    """Something mounted. The content of a file is shown only to those who may see secrets."""

    type: Literal["persistent", "file"]
    name: str | None
    mount_path: str
    host_path: str | None
    fs_path: str | None
    content: str | None
    is_directory: bool
    is_read_only: bool

    @classmethod
    def of(cls, application_id: str, volume: Volume, *, with_secrets: bool) -> StorageAnswer:
        """The answer for a volume."""
        uuid = storage_uuid(application_id, volume)
        is_file = volume.kind is VolumeKind.FILE
        content = volume.content.get_secret_value() if volume.content and with_secrets else None
        return cls(
            id=number_of(uuid),
            uuid=uuid,
            type="file" if is_file else "persistent",
            name=volume.source if volume.kind is VolumeKind.NAMED else None,
            mount_path=volume.target,
            host_path=volume.source if volume.kind is VolumeKind.BIND else None,
            fs_path=volume.source if volume.kind is not VolumeKind.NAMED else None,
            content=content,
            is_directory=False,
            is_read_only=volume.read_only,
        )


class Storages(Answer):
    """Everything that is mounted."""

    persistent_storages: list[StorageAnswer]
    file_storages: list[StorageAnswer]


def storage_uuid(application_id: str, volume: Volume) -> str:
    """Two things cannot be mounted at one place, so the place makes the id."""
    return derived_identifier("storage", application_id, volume.target)


def volume_to_mount(application_id: str, body: CreateStorage) -> Volume:
    """The volume. Raises InvalidInput."""
    target = _under("mount_path", normalised_target, body.mount_path)
    if body.type == "file" and not body.is_directory:
        return _file(application_id, body, target)
    if body.type == "file":
        return _path("fs_path", body.fs_path, target, body)
    if body.host_path is not None:
        return _path("host_path", body.host_path, target, body)
    name = (body.name or "").strip()
    if not name:
        raise InvalidInput("A volume needs a name.", field="name")
    _under("name", lambda text: volume_name_for(application_id, text), name)
    return Volume(kind=VolumeKind.NAMED, source=name, target=target, read_only=body.is_read_only)


def _path(field: str, source: str | None, target: str, body: CreateStorage) -> Volume:
    if not source or not source.startswith("/") or ":" in source:
        raise InvalidInput("Give a path of the host that starts with a slash, without a colon.", field=field)
    volume = _under(field, parse_volume, f"{source}:{target}")
    return volume.model_copy(update={"read_only": body.is_read_only})


def _file(application_id: str, body: CreateStorage, target: str) -> Volume:
    content = body.content or SecretStr("")
    if len(content.get_secret_value().encode()) > MAXIMUM_CONTENT_BYTES:
        raise InvalidInput("A file has at most 5 MiB.", field="content")
    volume = Volume(
        kind=VolumeKind.FILE, source="", target=target, read_only=body.is_read_only, content=content
    )
    # Two files of the same name in different folders must not become one on the server.
    name = f"{storage_uuid(application_id, volume)[:8]}-{target.rpartition('/')[2]}"
    return volume.model_copy(update={"source": name})


def _under(field: str, read: Callable[[str], Read], text: str) -> Read:
    try:
        return read(text)
    except InvalidInput as error:
        raise InvalidInput(error.message, field=field) from error
