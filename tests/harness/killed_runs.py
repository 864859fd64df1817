"""What test runs that were killed left on an engine: containers, networks, volumes and images.

Replicas and proxies have restart policies, so the next start of the engine starts them all before it answers.
A run that was killed every day would in the end leave an engine that takes minutes to start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container

# Names of the networks that installations, test servers and tests make for themselves.
PREFIXES_OF_TESTS = ("seaway-test-", "e2e-")
APPLICATION_LABEL = "seaway.application"
AT_ONCE = 8


def of_tests(networks: Iterable[str]) -> bool:
    """Whether a container in these networks is a test's: all are, and there is one."""
    names = list(networks)
    return bool(names) and all(name.startswith(PREFIXES_OF_TESTS) for name in names)


def remove_left_over(client: docker.DockerClient, before: datetime) -> int:
    """Removes what tests made before this time; returns how many containers that were.

    For an engine that has just been started: no test that runs can have anything on it from before.
    Containers and networks of anybody else stay, and so do the images that all tests share.
    """
    left = [container for container in _containers(client) if _is_left_over(container, before)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(_remove, left))
    # What has gone by itself, or is in use by somebody else, is no reason to run no tests.
    for network in client.networks.list():
        if of_tests([network.name]) and _made(network.attrs) < before:
            with contextlib.suppress(docker.errors.APIError):
                network.remove()
    for volume in {name for container in left for name in _volumes(container)}:
        with contextlib.suppress(docker.errors.APIError):
            client.volumes.get(volume).remove()
    for application in {container.labels.get(APPLICATION_LABEL) for container in left} - {None}:
        for tag in _tags(client, f"seaway/{application}"):
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(tag)
    return len(left)


def _containers(client: docker.DockerClient) -> list[Container]:
    return client.containers.list(all=True, ignore_removed=True)


def _is_left_over(container: Container, before: datetime) -> bool:
    return of_tests(container.attrs["NetworkSettings"]["Networks"]) and _made(container.attrs) < before


def _made(attributes: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(attributes["Created"])


def _volumes(container: Container) -> list[str]:
    return [mount["Name"] for mount in container.attrs["Mounts"] if mount["Type"] == "volume"]


def _tags(client: docker.DockerClient, repository: str) -> list[str]:
    # By tag and not by id: the image may have a name that all tests share, too.
    images = client.images.list(repository)
    return [tag for image in images for tag in image.tags if tag.startswith(f"{repository}:")]


def _remove(container: Container) -> None:
    try:
        container.remove(force=True)
    except docker.errors.NotFound:
        return  # made with --rm: it went by itself
