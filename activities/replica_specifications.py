"""The containers of a release, as its configuration wants them."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from pydantic import SecretStr

from activities.servers import ServerParts
from adapters.docker.specifications import ContainerSpecification, MountSpecification
from domain.configuration import ApplicationConfiguration, Volume, VolumeKind
from domain.names import slug
from domain.replicas import (
    application_labels,
    one_off_command_labels,
    release_command_labels,
    release_command_name,
    replica_labels,
    replica_name,
    serving_ports,
)
from domain.terminals import Start
from domain.volumes import volume_name_for, with_absolute_source


def files_folder(application_id: str) -> PurePosixPath:
    """Where an application's files are, within Seaway's folder on a server."""
    return PurePosixPath("applications") / application_id


async def prepare_mounts(
    parts: ServerParts, configuration: ApplicationConfiguration
) -> tuple[MountSpecification, ...]:
    """Makes the volumes and writes the files that the containers mount."""
    return tuple([await _prepare(parts, configuration, volume) for volume in configuration.runtime.volumes])


async def _prepare(
    parts: ServerParts, configuration: ApplicationConfiguration, volume: Volume
) -> MountSpecification:
    application_id = configuration.application_id
    source = volume.source
    if volume.kind is VolumeKind.NAMED:
        source = volume_name_for(application_id, volume.source)
        await parts.engine.ensure_volume(source, application_labels(application_id))
    elif volume.kind is VolumeKind.FILE:
        content = (volume.content or SecretStr("")).get_secret_value().encode()
        # By its hash, so that a rollback mounts the content of then and a running replica keeps its own.
        digest = hashlib.sha256(content).hexdigest()[:16]
        name = PurePosixPath(volume.target).name
        source = await parts.files.write(files_folder(application_id) / "files" / digest / name, content)
    elif not source.startswith("/"):
        folder = files_folder(application_id) / "binds"
        kept = await parts.files.write(folder / ".keep", b"")
        source = with_absolute_source(volume, str(PurePosixPath(kept).parent)).source
    return MountSpecification(
        kind=volume.kind, source=source, target=volume.target, read_only=volume.read_only
    )


def replica_specification(
    configuration: ApplicationConfiguration,
    *,
    release_id: str,
    number: int,
    image: str,
    network: str,
    mounts: tuple[MountSpecification, ...],
    environment: dict[str, SecretStr],
) -> ContainerSpecification:
    """One replica. All replicas answer to the application's name and aliases on the network."""
    runtime = configuration.runtime
    return ContainerSpecification(
        name=replica_name(configuration.application_id, release_id, number),
        image=image,
        command=runtime.command,
        entrypoint=runtime.entrypoint,
        environment=environment,
        labels=replica_labels(configuration, release_id, number),
        network=network,
        aliases=tuple(dict.fromkeys([slug(configuration.name), *runtime.network_aliases])),
        mounts=mounts,
        limits=runtime.limits,
        restart_policy=runtime.restart_policy,
        stop_grace_seconds=runtime.stop_grace_seconds,
        port_mappings=runtime.port_mappings,
        exposed_ports=tuple(dict.fromkeys([*serving_ports(configuration), *runtime.exposed_ports])),
    )


def release_command_specification(
    configuration: ApplicationConfiguration,
    *,
    deployment_id: str,
    image: str,
    network: str,
    mounts: tuple[MountSpecification, ...],
    environment: dict[str, SecretStr],
) -> ContainerSpecification:
    """The one container of the release command: the new image, without ports and never restarted."""
    return ContainerSpecification(
        name=release_command_name(configuration.application_id, deployment_id),
        image=image,
        entrypoint=("/bin/sh", "-c"),
        command=(configuration.hooks.release,),
        environment=environment,
        labels=release_command_labels(configuration.application_id),
        network=network,
        mounts=mounts,
        limits=configuration.runtime.limits,
    )


def one_off_command_specification(
    configuration: ApplicationConfiguration,
    *,
    name: str,
    owner: str,
    image: str,
    network: str,
    mounts: tuple[MountSpecification, ...],
    environment: dict[str, SecretStr],
    start: Start,
) -> ContainerSpecification:
    """The container of a command that somebody runs by hand; it takes the place of the image's entrypoint."""
    terminal = {"TERM": SecretStr(start.terminal.type)} if start.terminal else {}
    return ContainerSpecification(
        name=name,
        image=image,
        entrypoint=start.command[:1],
        command=start.command[1:],
        environment={**terminal, **environment},
        labels=one_off_command_labels(configuration.application_id, owner),
        network=network,
        mounts=mounts,
        limits=configuration.runtime.limits,
        has_input=start.interactive,
        has_terminal=start.terminal is not None,
    )
