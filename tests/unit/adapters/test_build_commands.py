"""Command lines and environments of builds, whole."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.build_commands import BuildCommand, BuildRequest, build_arguments, build_environment
from adapters.buildkit import FOLDER_PREFIX, BuildKit, failure_of
from adapters.file_locks import owned_folder
from adapters.processes import Completed
from domain.errors import (
    BuildFailed,
    DiskFull,
    EngineUnavailable,
    InvalidInput,
    RegistryUnavailable,
    SeawayError,
    StartUpError,
    TransientError,
)

BUILDX = BuildCommand(("/plugins/docker-buildx", "build", "--load"))
OLD = BuildCommand(("/usr/bin/docker", "build"), {"DOCKER_BUILDKIT": "1"})
PLAIN = BuildRequest(
    context=Path("/source"),
    dockerfile=Path("/source/Dockerfile"),
    tag="app:1",
    target="",
    arguments={},
    secrets={},
    labels={},
    use_cache=True,
    pull=False,
)
FULL = replace(
    PLAIN,
    target="web",
    arguments={"VERSION": "1.2 three", "EMPTY": ""},
    secrets={"TOKEN": SecretStr("t0ken"), "KEY": SecretStr("k3y")},
    labels={"seaway.application": "abc"},
    use_cache=False,
    pull=True,
)
ID_FILE = Path("/private/image-id")


def test_the_least_that_a_build_needs() -> None:
    assert build_arguments(OLD, PLAIN, ID_FILE) == [
        "/usr/bin/docker", "build", "--progress=plain", "--file=/source/Dockerfile", "--tag=app:1",
        "--iidfile=/private/image-id", "/source",
    ]  # fmt: skip


def test_everything_that_a_build_can_have_with_values_named_but_not_told() -> None:
    assert build_arguments(BUILDX, FULL, ID_FILE) == [
        "/plugins/docker-buildx", "build", "--load", "--progress=plain", "--file=/source/Dockerfile",
        "--tag=app:1", "--iidfile=/private/image-id", "--target=web", "--no-cache", "--pull",
        "--build-arg", "EMPTY", "--build-arg", "VERSION",
        "--secret", "id=KEY,env=SEAWAY_BUILD_SECRET_0", "--secret", "id=TOKEN,env=SEAWAY_BUILD_SECRET_1",
        "--label", "seaway.application=abc", "/source",
    ]  # fmt: skip


@pytest.mark.parametrize("command", [BUILDX, OLD])
def test_a_build_names_the_group_that_it_is_held_in(command: BuildCommand) -> None:
    held = build_arguments(command, replace(PLAIN, group="harbour-builds"), ID_FILE)
    assert "--cgroup-parent=harbour-builds" in held
    assert not any("cgroup" in argument for argument in build_arguments(command, PLAIN, ID_FILE))


def test_the_environment_holds_the_values_and_nothing_of_the_worker() -> None:
    assert build_environment(OLD, FULL, "/run/engine.sock", Path("/private/docker")) == {
        "EMPTY": "",
        "VERSION": "1.2 three",
        "SEAWAY_BUILD_SECRET_0": "k3y",
        "SEAWAY_BUILD_SECRET_1": "t0ken",
        "DOCKER_BUILDKIT": "1",
        "DOCKER_CONFIG": "/private/docker",
        "HOME": "/private/docker",
        "PATH": "/private/docker",
        "LC_ALL": "C.UTF-8",
        "DOCKER_HOST": "unix:///run/engine.sock",
    }


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_BUILDKIT", "LD_PRELOAD", "BUILDKIT_INLINE_CACHE",
     "GODEBUG", "SEAWAY_BUILD_SECRET_0", "GIT_SSH_COMMAND", "LC_ALL"],
)  # fmt: skip
def test_a_build_argument_that_the_client_would_obey_never_reaches_its_environment(name: str) -> None:
    request = replace(FULL, arguments={name: "theirs"})
    arguments = build_arguments(OLD, request, ID_FILE)
    assert arguments[arguments.index("--build-arg") + 1] == f"{name}=theirs"
    environment = build_environment(OLD, request, "unix:///run/engine.sock", Path("/private"))
    assert environment.get(name) != "theirs"
    assert environment["DOCKER_HOST"] == "unix:///run/engine.sock"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "GIT_COMMIT", "GOOGLE_KEY", "PATH_PREFIX", "NPM_TOKEN"])
def test_other_build_arguments_have_their_values_in_the_environment_only(name: str) -> None:
    request = replace(PLAIN, arguments={name: "theirs"})
    assert not any("theirs" in argument for argument in build_arguments(OLD, request, ID_FILE))
    assert build_environment(OLD, request, "/run/engine.sock", Path("/private"))[name] == "theirs"


@pytest.mark.parametrize("name", ["", "A=B", "A,src=/etc/shadow", "1A", "A B", 'A"', "-A"])
def test_names_that_would_say_more_than_a_name_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a build variable"):
        build_arguments(OLD, replace(PLAIN, arguments={name: "x"}), ID_FILE)
    with pytest.raises(InvalidInput, match="cannot be a build variable"):
        build_arguments(OLD, replace(PLAIN, secrets={name: SecretStr("x")}), ID_FILE)


def test_a_null_byte_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(InvalidInput, match="TOKEN cannot hold a null byte"):
        build_arguments(OLD, replace(PLAIN, secrets={"TOKEN": SecretStr("a\0b")}), ID_FILE)


NO_HOST = (
    'failed to do request: Head "https://registry.example.com/v2/": dial tcp: '
    "lookup registry.example.com: no such host"
)


STEP_WITH_DOCKER = """\
#5 [2/2] RUN docker ps
#5 0.2 Cannot connect to the Docker daemon
#5 ERROR: exit code: 1
------
 > [2/2] RUN docker ps:
0.2 Cannot connect to the Docker daemon
------
ERROR: failed to solve: executor failed running [/bin/sh -c docker ps]: exit code: 1"""
UNREACHABLE_REGISTRY = f"""\
#3 [internal] load metadata for registry.example.com/x:1
#3 ERROR: {NO_HOST}
------
failed to solve with frontend dockerfile.v0: {NO_HOST}"""
UNKNOWN_IMAGE = """\
#3 [internal] load metadata for docker.io/library/nothing:1
#3 ERROR: docker.io/library/nothing:1: not found
------
ERROR: failed to solve: docker.io/library/nothing:1: not found"""
ENGINE_DIED = """\
#5 [2/2] RUN make
#5 0.2 working
error reading from server: EOF"""
DISK_FULL = """#5 [2/2] RUN make
#5 ERROR: failed to copy: write /var/lib/docker/tmp/x: no space left on device"""
TOO_OLD = "Error response from daemon: client version 1.41 is too old. Minimum supported is 1.44"


@pytest.mark.parametrize(
    ("output", "exit_code", "kind"),
    [
        ("Cannot connect to the Docker daemon at unix:///x. Is it running?", 1, EngineUnavailable),
        ("ERROR: Cannot connect to the Docker daemon at unix:///x.", 1, EngineUnavailable),
        (ENGINE_DIED, 1, EngineUnavailable),
        ("cannot write /x because server did not provide an image ID", 1, EngineUnavailable),
        (STEP_WITH_DOCKER, 1, BuildFailed),
        (UNREACHABLE_REGISTRY, 1, RegistryUnavailable),
        (UNKNOWN_IMAGE, 1, BuildFailed),
        (TOO_OLD, 1, StartUpError),
        (DISK_FULL, 1, DiskFull),
        ("", -9, TransientError),
        ("", 1, BuildFailed),
    ],
)
def test_each_failure_goes_to_whom_can_mend_it(output: str, exit_code: int, kind: type[SeawayError]) -> None:
    assert type(failure_of(Completed(exit_code, output), PLAIN)) is kind


def test_a_secret_that_the_build_printed_is_in_no_error() -> None:
    output = (
        "#5 [2/2] RUN deploy --token t0ken\n#5 0.2 using t0ken\n#5 ERROR: exit code: 1\n------\n"
        "executor failed running [/bin/sh -c deploy --token t0ken]: exit code: 1"
    )
    error = failure_of(Completed(1, output), FULL)
    assert "t0ken" not in error.message + error.detail
    assert "deploy --token" in error.message + error.detail


def test_what_a_killed_worker_left_of_a_build_is_removed_and_a_running_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{FOLDER_PREFIX}left"
    left.mkdir()
    (left / "config.json").write_text("a login")
    with owned_folder(tmp_path, FOLDER_PREFIX) as running:
        BuildKit.remove_abandoned()
        assert list(tmp_path.iterdir()) == [running]
