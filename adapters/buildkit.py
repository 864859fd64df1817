"""Builds images with BuildKit, by way of a client that reads the context here and talks to any engine."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import tempfile
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from adapters.build_clients import find_build_command
from adapters.build_commands import (
    BuildCommand,
    BuildRequest,
    build_arguments,
    build_environment,
    without_idle_arguments,
)
from adapters.docker.refusals import UNAUTHORIZED, login_refusal
from adapters.docker.registry_logins import client_configuration
from adapters.file_locks import owned_folder, remove_abandoned
from adapters.processes import Completed, OnLine, run
from domain.build_log import BuildFailureKind, failing_excerpt
from domain.build_registries import logins_needed
from domain.errors import (
    BuildFailed,
    DeadlineExceeded,
    DiskFull,
    EngineUnavailable,
    InvalidInput,
    RegistryUnavailable,
    SeawayError,
    StartUpError,
    TransientError,
)
from domain.redaction import Redactor

__all__ = ["BuildCommand", "BuildKit", "BuildRequest", "find_build_command"]

FOLDER_PREFIX: Final = "seaway-build-"
# Of a random text that a client makes for each machine, so that engines know a context again.
NODE_ID_FILE: Final = ".buildNodeID"
# Enough to hold the failing step even when steps run side by side.
KEPT_LINES: Final = 2000
LARGEST_DOCKERFILE: Final = 1 << 20
ENGINE_GONE: Final = re.compile(
    r"Cannot connect to the Docker daemon|error during connect|error reading from server|transport is closing"
    r"|code = Unavailable|failed to dial|connection error|use of closed network connection|dial unix"
    # Docker 20.10 takes an answer that ends too early for a whole one, and misses only the id.
    r"|server did not provide an image ID"
    r"|no active session|(?:^|: )(?:unexpected )?EOF$|connection reset by peer$|broken pipe$",
    re.IGNORECASE,
)
REGISTRY_TROUBLE: Final = re.compile(r"status(?: code)?:?(?: \[.*?\])?:? (?:5\d\d|429) |toomanyrequests")
CLIENT_TOO_OLD: Final = re.compile(r"client version \S+ is too old")
# Lines of steps, of their output in the final report, and of the report's own frame.
OF_A_STEP: Final = re.compile(r"#\d+ |\d+\.\d+ | > |-{6,}|\s*\d+ \| ")


class BuildKit:
    """Runs one client process for each build; the build ends when that process does."""

    def __init__(self, configuration: Path | None = None, *, command: BuildCommand | None = None) -> None:
        """`configuration` is the client's DOCKER_CONFIG; by default an empty folder for each build."""
        self._configuration = configuration
        self._command = command

    @staticmethod
    def remove_abandoned() -> None:
        """Removes what builds left behind whose worker was killed: ids of images, logins for registries."""
        remove_abandoned(Path(tempfile.gettempdir()), FOLDER_PREFIX)

    async def names_group(self) -> bool:
        """Whether a request's `group` reaches the engine. Raises StartUpError where there is no client."""
        return (await self._find_command()).names_group

    async def build(
        self,
        request: BuildRequest,
        *,
        engine_socket: str,
        on_line: OnLine,
        timeout: timedelta,  # noqa: ASYNC109 - it must also end the build, which a caller's timeout cannot
    ) -> str:
        """Builds and tags the image, and returns its id. Cancelling ends the build on the engine too.

        `on_line` gets the log as the client prints it: whatever the build prints, secrets included.
        Raises BuildFailed, DeadlineExceeded, EngineUnavailable, RegistryUnavailable, or InvalidInput for
        variables that no process can be given; RegistryRefused where one of the request's logins is
        refused; StartUpError where no client is installed.
        """
        command = await self._find_command()
        dockerfile = await asyncio.to_thread(_text, request.dockerfile)
        request = without_idle_arguments(request, dockerfile)
        await asyncio.to_thread(self.remove_abandoned)
        with owned_folder(Path(tempfile.gettempdir()), FOLDER_PREFIX) as folder:
            image_id_file = folder / "image-id"
            configuration = self._configuration or folder
            if request.context_name:
                await asyncio.to_thread(_write_context_name, folder, request.context_name)
            if request.logins:
                configuration = folder
                await asyncio.to_thread(_write_logins, folder, request, dockerfile)
            completed = await self._run(
                build_arguments(command, request, image_id_file),
                build_environment(command, request, engine_socket, configuration),
                on_line,
                timeout,
            )
            if completed.exit_code != 0:
                raise failure_of(completed, request)
            return (await asyncio.to_thread(image_id_file.read_text)).strip()

    async def _find_command(self) -> BuildCommand:
        if self._command is None:
            self._command = await find_build_command()
        return self._command

    async def _run(
        self, arguments: list[str], environment: dict[str, str], on_line: OnLine, limit: timedelta
    ) -> Completed:
        try:
            return await run(
                arguments, environment=environment, on_line=on_line, timeout=limit, kept_lines=KEPT_LINES
            )
        except DeadlineExceeded as error:
            raise DeadlineExceeded(
                f"The build took longer than {limit.total_seconds():g} s and was stopped.",
                detail="\n".join(error.detail.splitlines()[-20:]),
            ) from error
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            raise InvalidInput(
                "The build's variables are too large: one holds at most 128 KiB, all together about 2 MiB.",
                field="value",
            ) from error


def _write_logins(folder: Path, request: BuildRequest, dockerfile: str) -> None:
    # The engine may ask the client for any login that it has, whatever the build needs.
    logins = logins_needed(request.logins, dockerfile, request.arguments)
    path = folder / "config.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(client_configuration(logins))


def _write_context_name(configuration: Path, name: str) -> None:
    """What clients mix into the name of a context: `docker` reads it here, buildx in its own folder."""
    for folder in (configuration, configuration / "buildx"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / NODE_ID_FILE).write_text(name)


def _text(dockerfile: Path) -> str:
    try:
        with dockerfile.open(errors="replace") as file:
            return file.read(LARGEST_DOCKERFILE)
    except OSError:
        return ""  # the client tells what is wrong with it


def failure_of(completed: Completed, request: BuildRequest) -> SeawayError:
    """The error for a build client that ended with another exit code than 0, without the build's secrets."""
    passwords = [login.password for login in request.logins]
    redact = Redactor(secret.get_secret_value() for secret in [*request.secrets.values(), *passwords])
    lines = [redact(line) for line in completed.output.splitlines()]
    last_words = _last_words(lines)
    if any(CLIENT_TOO_OLD.search(line) for line in last_words):
        return StartUpError(
            "The Docker client of this machine is too old for the engine. Install buildx: "
            "apt-get install docker-buildx, or docker-buildx-plugin of Docker's own packages.",
            detail="\n".join(last_words),
        )
    failure = failing_excerpt(lines)
    if failure.kind is BuildFailureKind.NO_SPACE:
        return DiskFull(failure.summary, detail=failure.excerpt)
    if failure.kind is BuildFailureKind.REGISTRY:
        return RegistryUnavailable(failure.summary, detail=failure.excerpt)
    if failure.kind is BuildFailureKind.IMAGE and REGISTRY_TROUBLE.search("\n".join(last_words)):
        message = "An image cannot be fetched: its registry is in trouble at the moment."
        return RegistryUnavailable(message, detail=failure.excerpt)
    if failure.kind is BuildFailureKind.IMAGE and UNAUTHORIZED.search(failure.excerpt):
        # The excerpt begins with the step, which names the image with its registry.
        for login in request.logins:
            if f"{login.host}/" in failure.excerpt:
                return login_refusal("an image that the build starts from", login, failure.excerpt)
    if completed.exit_code < 0:
        return TransientError(f"The build client was killed by signal {-completed.exit_code}.")
    if any(ENGINE_GONE.search(line) for line in last_words):
        return EngineUnavailable(
            "The connection to the Docker Engine broke off during the build.", detail="\n".join(last_words)
        )
    line = f" (line {failure.dockerfile_line} of the Dockerfile)" if failure.dockerfile_line else ""
    return BuildFailed(f"The build failed{line}: {failure.summary}", detail=failure.excerpt)


def _last_words(lines: Sequence[str]) -> list[str]:
    """What the client itself said at the end, as opposed to what the steps of the build printed."""
    said: deque[str] = deque()
    for line in reversed(lines):
        if line.startswith("#"):
            break
        if line and not OF_A_STEP.match(line):
            said.appendleft(line)
    return list(said)
