"""The service of a release, as its configuration wants it."""

from __future__ import annotations

from pydantic import SecretStr

from adapters.docker.engine import DockerEngine
from adapters.docker.service_specifications import FileSpecification, HealthCommand, ServiceSpecification
from adapters.docker.specifications import MountSpecification
from domain.configuration import ApplicationConfiguration, HealthCheckKind, Volume, VolumeKind
from domain.names import slug
from domain.replicas import application_labels
from domain.services import file_name, service_labels, service_name, task_labels
from domain.volumes import volume_name_for


async def keep_files(
    engine: DockerEngine, configuration: ApplicationConfiguration
) -> tuple[FileSpecification, ...]:
    """The Swarm keeps the application's files afterwards, for whichever node needs them."""
    application_id = configuration.application_id
    labels = application_labels(application_id)
    kept = []
    for volume in configuration.runtime.volumes:
        if volume.kind is VolumeKind.FILE:
            content = volume.content or SecretStr("")
            name = file_name(application_id, content)
            secret_id = await engine.ensure_secret(name, content, labels)
            kept.append(FileSpecification(name, secret_id, volume.target))
    return tuple(kept)


def service_specification(
    configuration: ApplicationConfiguration,
    *,
    release_id: str,
    replicas: int,
    image_id: str,
    network: str,
    constraints: tuple[str, ...],
    files: tuple[FileSpecification, ...],
    environment: dict[str, SecretStr],
) -> ServiceSpecification:
    """All replicas answer to the service's name, and to the application's name and aliases."""
    runtime = configuration.runtime
    return ServiceSpecification(
        name=service_name(configuration.application_id, release_id),
        image=image_id,
        replicas=replicas,
        network=network,
        command=runtime.command,
        entrypoint=runtime.entrypoint,
        environment=environment,
        labels=service_labels(configuration, release_id),
        container_labels=task_labels(configuration),
        aliases=tuple(dict.fromkeys([slug(configuration.name), *runtime.network_aliases])),
        mounts=tuple(
            _mount(configuration.application_id, volume)
            for volume in runtime.volumes
            if volume.kind is not VolumeKind.FILE
        ),
        files=files,
        volume_labels=application_labels(configuration.application_id),
        limits=runtime.limits,
        restart_policy=runtime.restart_policy,
        stop_grace_seconds=runtime.stop_grace_seconds,
        constraints=constraints,
        health=_health(configuration),
    )


def _mount(application_id: str, volume: Volume) -> MountSpecification:
    # `domain.swarm.check_fits` has let nothing pass that only the manager's disk would have.
    named = volume.kind is VolumeKind.NAMED
    source = volume_name_for(application_id, volume.source) if named else volume.source
    return MountSpecification(volume.kind, source, volume.target, volume.read_only)


def _health(configuration: ApplicationConfiguration) -> HealthCommand | None:
    health = configuration.health
    if health.kind is not HealthCheckKind.COMMAND:
        return None
    return HealthCommand(
        health.command,
        health.interval_seconds,
        health.timeout_seconds,
        health.retries,
        health.start_period_seconds,
    )
