"""What there is of an application on the machine, seen from outside of Seaway."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors

from domain.replicas import APPLICATION_LABEL


@dataclass(frozen=True)
class Remains:
    """One application's containers (state by name), image tags, upstreams that the proxy's file names,

    and the files that are left in folders for builds and for temporary files.
    """

    containers: dict[str, str]
    images: frozenset[str]
    upstreams: frozenset[str]
    files: tuple[str, ...]


def remains_of(
    engine: docker.DockerClient,
    application_id: str,
    deployment_ids: Iterable[str],
    data_folder: Path,
    temporary_folder: Path,
) -> Remains:
    """Looks at the engine, the proxy's files and the folders. Blocks for some milliseconds."""
    deployment_ids = tuple(deployment_ids)
    containers = {
        container.name: container.status
        for container in engine.containers.list(
            all=True, filters={"label": f"{APPLICATION_LABEL}={application_id}"}, ignore_removed=True
        )
    }
    files = [
        path
        for folder, prefixes in (
            (data_folder / "builds", (application_id, *deployment_ids)),
            (data_folder / "proxy" / "staging", (application_id,)),
            (temporary_folder, ("",)),
        )
        if folder.is_dir()
        for path in folder.iterdir()
        if path.name.startswith(prefixes)
    ]
    return Remains(
        containers,
        frozenset(_image_tags(engine, application_id)),
        _upstreams(data_folder / "proxy" / "dynamic" / f"{application_id}.yml"),
        tuple(str(path) for path in files),
    )


def _upstreams(file: Path) -> frozenset[str]:
    """The servers in a file of Traefik's, which is JSON below a first line of comment."""
    with contextlib.suppress(FileNotFoundError):
        http = json.loads(file.read_text().partition("\n")[2])["http"]
        servers = [server for one in http["services"].values() for server in one["loadBalancer"]["servers"]]
        return frozenset(server["url"] for server in servers)
    return frozenset()


def remove_everything_of(engine: docker.DockerClient, application_id: str) -> None:
    """Containers, volumes and image tags of an application."""
    label = {"label": f"{APPLICATION_LABEL}={application_id}"}
    for container in engine.containers.list(all=True, filters=label, ignore_removed=True):
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
    for volume in engine.volumes.list(filters=label):
        volume.remove(force=True)
    for tag in _image_tags(engine, application_id):
        engine.images.remove(tag, force=True)


def _image_tags(engine: docker.DockerClient, application_id: str) -> list[str]:
    name = f"seaway/{application_id}"
    # Another application may have the same image, with a tag of its own.
    return [tag for image in engine.images.list(name=name) for tag in image.tags if tag.startswith(name)]


def processes_with(text: str) -> list[int]:
    """The processes of this machine, those in containers too, that have this text among their arguments."""
    return [pid for pid, arguments in _command_lines() if text.encode() in arguments]


def _command_lines() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ")
