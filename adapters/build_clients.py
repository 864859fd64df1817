"""Finds a client on this machine that can build with BuildKit."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from adapters.build_commands import BuildCommand, client_environment
from adapters.file_locks import owned_folder, remove_abandoned
from adapters.processes import Completed, run
from domain.errors import DeadlineExceeded, StartUpError

FOLDER_PREFIX: Final = "seaway-docker-"
PROBE_LIMIT: Final = timedelta(seconds=20)
# Where Docker looks for plugins besides the user's own folder (docker/cli, manager_unix.go).
PLUGIN_FOLDERS: Final = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
# A client there may still build where the first on the PATH cannot.
DOCKER_FOLDERS: Final = ("/usr/bin", "/usr/local/bin")
# Docker 23 moved BuildKit's client out of `docker build` into the plugin buildx.
FIRST_WITHOUT_BUILDKIT: Final = 23
VERSION: Final = re.compile(r"Docker version (\d+)\.")
BUILDX_VERSION: Final = re.compile(r"buildx v?(\d+)\.(\d+)\.(\d+)")
FIRST_TO_NAME_GROUPS: Final = (0, 8, 0)
# Takes the option and forgets it (docker/buildx#1913).
FORGETS_GROUPS: Final = (0, 11, 0)
MISSING: Final = (
    "Docker cannot build images on this machine: no buildx was found, nor a Docker client before version 23. "
    "Install buildx (Debian 13, Ubuntu: apt-get install docker-buildx; Docker's own packages: "
    "docker-buildx-plugin) or Debian 12's docker.io."
)


async def find_build_command(
    search_path: str | None = None,
    plugin_folders: Sequence[str] = PLUGIN_FOLDERS,
    docker_folders: Sequence[str] = DOCKER_FOLDERS,
) -> BuildCommand:
    """The best client of this machine: buildx run by itself, buildx by way of `docker`, an old `docker`.

    buildx by itself comes first because a plugin that `docker` starts would outlive a killed worker, and
    because a private DOCKER_CONFIG hides the plugins of the user's own folder. `search_path` is PATH by
    default; the folders are looked through after it. Raises StartUpError.
    """
    search_path = os.environ.get("PATH", os.defpath) if search_path is None else search_path
    temporary = Path(tempfile.gettempdir())
    await asyncio.to_thread(remove_abandoned, temporary, FOLDER_PREFIX)
    with owned_folder(temporary, FOLDER_PREFIX) as folder:
        environment = client_environment(folder)
        for program in _standalone(search_path, plugin_folders):
            probed = await _probe([program, "version"], environment)
            if probed.exit_code == 0:
                return BuildCommand((program, "build", "--load"), names_group=_names_group(probed.output))
        dockers = list(_programs("docker", [*search_path.split(os.pathsep), *docker_folders]))
        for docker in dockers:
            probed = await _probe([docker, "buildx", "version"], environment)
            if probed.exit_code == 0:
                beginning = (docker, "buildx", "build", "--load")
                return BuildCommand(beginning, names_group=_names_group(probed.output))
        for docker in dockers:
            version = VERSION.match((await _probe([docker, "--version"], environment)).output)
            if version and int(version[1]) < FIRST_WITHOUT_BUILDKIT:
                return BuildCommand((docker, "build"), {"DOCKER_BUILDKIT": "1"})
    raise StartUpError(MISSING)


def _names_group(output: str) -> bool:
    """Whether this buildx tells an engine the control group of a build."""
    found = BUILDX_VERSION.search(output)
    version = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
    return version >= FIRST_TO_NAME_GROUPS and version != FORGETS_GROUPS


def _standalone(search_path: str, plugin_folders: Sequence[str]) -> Iterator[str]:
    own = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
    folders = [*search_path.split(os.pathsep), f"{own}/cli-plugins", *plugin_folders]
    yield from _programs("docker-buildx", folders)
    yield from _programs("buildx", search_path.split(os.pathsep))


def _programs(name: str, folders: list[str]) -> Iterator[str]:
    """Programs of this name, each once, in the order of the folders."""
    seen = set()
    for folder in folders:
        path = Path(folder or ".", name).absolute()
        if os.access(path, os.X_OK) and path.is_file() and path.resolve() not in seen:
            seen.add(path.resolve())
            yield str(path)


async def _probe(arguments: list[str], environment: dict[str, str]) -> Completed:
    try:
        return await run(arguments, environment=environment, timeout=PROBE_LIMIT)
    except (DeadlineExceeded, OSError) as error:  # OSError: a program for another processor
        return Completed(1, str(error))
