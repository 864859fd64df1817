"""The argument list and the environment of a build. Nothing runs here.

Values travel in the environment and never in an argument, because every user of the machine can list the
arguments of every process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from domain.errors import InvalidInput
from domain.registries import RegistryLogin

SECRET_VARIABLE: Final = "SEAWAY_BUILD_SECRET_"  # noqa: S105 - the name of a variable
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

# Names that the client, its runtime, the loader or a program that it starts would take for their own. Build
# arguments of these names must not stand in its environment: LD_PRELOAD would run code of the application's
# owner on the worker, DOCKER_HOST would build on another engine.
READ_BY_THE_CLIENT: Final = re.compile(
    r"PATH|HOME|USER|TMPDIR|TERM|TZ|LANG|LC_\w+|LD_\w+|GLIBC_\w+|MALLOC_\w+|NO_COLOR|XDG_\w+|SSH_\w+"
    r"|GODEBUG|GOGC|GOMAXPROCS|GOMEMLIMIT|GOTRACEBACK|GOCOVERDIR|GRPC_\w+|OTEL_\w+|SSL_CERT_\w+"
    r"|DOCKER_\w+|BUILDX_\w+|BUILDKIT_\w+|COMPOSE_\w+|EXPERIMENTAL_\w+|SEAWAY_BUILD_SECRET_\w+"
    r"|GIT_(?:DIR|WORK_TREE|SSH\w*|CONFIG\w*|EXEC_PATH|ASKPASS|PROXY_COMMAND|EXTERNAL_DIFF|TRACE\w*)"
)


@dataclass(frozen=True)
class BuildCommand:
    """A build client that works on this machine: how its command line begins, and what it needs to be set.

    `names_group`: it tells the engine the control group for the steps of a build.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    names_group: bool = False


@dataclass(frozen=True)
class BuildRequest:
    """One image to build. `secrets` reach only `RUN --mount=type=secret,id=NAME`, and `logins` none.

    Builds with the same `context_name` and the same context folder send only what has changed between them.
    Its steps run in the control group `group`, if there is one.
    """

    context: Path
    dockerfile: Path
    tag: str
    target: str
    arguments: Mapping[str, str]
    secrets: Mapping[str, SecretStr]
    labels: Mapping[str, str]
    use_cache: bool
    pull: bool
    logins: Sequence[RegistryLogin] = ()
    context_name: str = ""
    group: str = ""


def without_idle_arguments(request: BuildRequest, dockerfile: str) -> BuildRequest:
    """The request without arguments that do nothing but would have to show in the command line.

    Of the names that the client reads itself, only those stay that the Dockerfile mentions: BuildKit passes
    over the others, and a variable such as OTEL_EXPORTER_OTLP_HEADERS holds a key as often as not. What a
    Dockerfile takes by ARG is in the image's history anyway. BuildKit's own need no mention.
    """
    arguments = {
        name: value
        for name, value in request.arguments.items()
        if not READ_BY_THE_CLIENT.fullmatch(name)
        or name.startswith("BUILDKIT_")
        or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", dockerfile)
    }
    return replace(request, arguments=arguments)


def build_arguments(command: BuildCommand, request: BuildRequest, image_id_file: Path) -> list[str]:
    """The command line. A build argument whose name the client reads itself is the only one with its value.

    Raises InvalidInput for names and values that no variable can have.
    """
    arguments = [
        *command.arguments,
        "--progress=plain",
        f"--file={request.dockerfile}",
        f"--tag={request.tag}",
    ]
    arguments.append(f"--iidfile={image_id_file}")
    if request.group:
        arguments.append(f"--cgroup-parent={request.group}")
    if request.target:
        arguments.append(f"--target={request.target}")
    if not request.use_cache:
        arguments.append("--no-cache")
    if request.pull:
        arguments.append("--pull")
    for name, value in sorted(request.arguments.items()):
        _check(name, value)
        arguments += ["--build-arg", f"{name}={value}" if READ_BY_THE_CLIENT.fullmatch(name) else name]
    for number, name in enumerate(sorted(request.secrets)):
        _check(name, request.secrets[name].get_secret_value())
        arguments += ["--secret", f"id={name},env={SECRET_VARIABLE}{number}"]
    for name, value in sorted(request.labels.items()):
        arguments += ["--label", f"{name}={value}"]
    return [*arguments, str(request.context)]


def build_environment(
    command: BuildCommand, request: BuildRequest, engine_socket: str, configuration: Path
) -> dict[str, str]:
    """The whole environment of the client. `engine_socket` is a path or an address for DOCKER_HOST."""
    arguments = {
        name: value for name, value in request.arguments.items() if not READ_BY_THE_CLIENT.fullmatch(name)
    }
    secrets = {
        f"{SECRET_VARIABLE}{number}": request.secrets[name].get_secret_value()
        for number, name in enumerate(sorted(request.secrets))
    }
    return {
        **arguments,
        **secrets,
        **command.environment,
        **client_environment(configuration),
        "DOCKER_HOST": engine_socket if "://" in engine_socket else f"unix://{engine_socket}",
    }


def client_environment(configuration: Path) -> dict[str, str]:
    """What keeps a client away from the settings, credentials and programs of the worker's user."""
    return {
        "DOCKER_CONFIG": str(configuration),
        "HOME": str(configuration),
        # buildx asks Git about the context, which is none of its business; it finds no Git here.
        "PATH": str(configuration),
        "LC_ALL": "C.UTF-8",
    }


def _check(name: str, value: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be a build variable: use letters, digits and underscores.", field="key"
        )
    if "\0" in value:
        raise InvalidInput(f"The build variable {name} cannot hold a null byte.", field="value")
