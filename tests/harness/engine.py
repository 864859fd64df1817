"""A Docker Engine for the tests: the one that runs already, or one that is started here and left running."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import docker
import docker.errors
import requests

from tests.harness.killed_runs import remove_left_over
from tests.harness.locks import exclusive, shared_folder

DEFAULT_SOCKET = Path("/var/run/docker.sock")
# An engine that was killed takes its time: it starts what runs on it, and cleans up, before it answers.
START_LIMIT_SECONDS = 300.0
# A login shell of an ordinary user lacks the folders of the system's daemons.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class EngineMissing(RuntimeError):
    """No Docker Engine answers and none can be started; the message says what to do."""


def ensure_engine(
    socket: Path = DEFAULT_SOCKET, extra_arguments: Sequence[str] = (), wrapper: Sequence[str] = ()
) -> str:
    """The address of an engine that answers, for `DOCKER_HOST`; starts `dockerd` where none does.

    What `DOCKER_HOST` names is used and never started here. A started engine is left running for
    later runs; its pid and log are `dockerd.pid` and `dockerd.log` in `shared_folder()`. What killed runs
    left on it is removed. Several processes may call this at the same time. Raises EngineMissing.

    A second engine beside another needs a `wrapper` such as `unshare --net`: every dockerd takes `docker0`
    for its own, and one that is told to have no bridge deletes it.
    """
    named = os.environ.get("DOCKER_HOST")
    if named and socket == DEFAULT_SOCKET:
        if not answers(named):
            raise EngineMissing(f"DOCKER_HOST names {named}, but no Docker Engine answers there")
        return named
    address = f"unix://{socket}"
    if answers(address):
        return address
    with exclusive("engine", timeout_seconds=START_LIMIT_SECONDS + 60):
        if not answers(address):  # another process may have started it meanwhile
            started_at = datetime.now(UTC)
            _start(address, extra_arguments, wrapper)
            _forget_killed_runs(address, started_at)
    return address


def connect(address: str) -> docker.DockerClient:
    """A client of the engine at this address; the caller closes it."""
    return docker.DockerClient(base_url=address, timeout=120)


def answers(address: str) -> bool:
    """Whether an engine answers there within 5 s."""
    try:
        client = docker.DockerClient(base_url=address, timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, requests.RequestException):
        return False
    finally:
        client.close()


def daemon_path(search_path: str = SEARCH_PATH) -> str:
    """Where `dockerd` is. Raises EngineMissing with the way to install it."""
    found = shutil.which("dockerd", path=search_path)
    if found is None:
        raise EngineMissing(
            "no Docker Engine answers and `dockerd` is not installed; "
            "install it (Debian, Ubuntu: apt-get install -y docker.io) and try again"
        )
    return found


def _forget_killed_runs(address: str, before: datetime) -> None:
    client = connect(address)
    try:
        remove_left_over(client, before)
    finally:
        client.close()


def _start(address: str, extra_arguments: Sequence[str], wrapper: Sequence[str]) -> None:
    daemon = daemon_path()
    if os.geteuid() != 0:
        raise EngineMissing(
            "no Docker Engine answers and only root can start one; start it (sudo systemctl start docker) "
            "and allow this user to use it (sudo adduser $USER docker)"
        )
    log_path = shared_folder() / "dockerd.log"
    pid = _spawn_detached([*wrapper, daemon, "--host", address, *extra_arguments], log_path)
    (shared_folder() / "dockerd.pid").write_text(f"{pid}\n")
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not answers(address):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() >= deadline:
            state = f"ended with {os.waitstatus_to_exitcode(status)}" if ended else "does not answer"
            tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-20:])
            raise EngineMissing(f"dockerd {state}; the end of {log_path}:\n{tail}")
        time.sleep(0.1)


def _spawn_detached(argv: Sequence[str], log_path: Path) -> int:
    # posix_spawn instead of subprocess, whose object would complain about a child that outlives it.
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        argv[0],
        list(argv),
        {**os.environ, "PATH": SEARCH_PATH},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_path), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
