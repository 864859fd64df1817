"""A Docker Engine for the demo: the one that runs, or Debian's, installed and started where allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import requests

from domain.errors import StartUpError

START_LIMIT_SECONDS = 30.0
# An ordinary user's PATH lacks the folders of the system's daemons.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
# Command and the package that brings it. Debian before 13 has the client inside docker.io.
PROGRAMS = {"git": "git", "dockerd": "docker.io"}
CLIENT_PACKAGES = ("docker-cli", "docker-buildx")
DAEMON_LOG = Path("/var/log/dockerd.log")


@dataclass(frozen=True)
class Machine:
    """What decides how an engine can come to run here."""

    is_root: bool
    has_apt: bool
    has_systemd: bool
    missing_programs: frozenset[str]


def this_machine() -> Machine:
    """The facts of the machine that this runs on."""
    return Machine(
        is_root=os.geteuid() == 0,
        has_apt=shutil.which("apt-get") is not None,
        has_systemd=Path("/run/systemd/system").is_dir(),
        missing_programs=frozenset(
            name for name in (*PROGRAMS, "docker") if shutil.which(name, path=SEARCH_PATH) is None
        ),
    )


def packages_to_install(machine: Machine, *, engine_runs: bool, available: Iterable[str]) -> tuple[str, ...]:
    """Debian's packages that are missing, in a stable order; `available` are the client's that there are.

    Raises StartUpError with what to type, where this user may not install them.
    """
    client = tuple(package for package in CLIENT_PACKAGES if package in set(available))
    wanted: list[str] = []
    if "git" in machine.missing_programs:
        wanted.append(PROGRAMS["git"])
    if "dockerd" in machine.missing_programs and not engine_runs:
        wanted += [PROGRAMS["dockerd"], *client]
    elif "docker" in machine.missing_programs:
        wanted += client or (PROGRAMS["dockerd"],)
    if wanted and not (machine.is_root and machine.has_apt):
        raise StartUpError(
            f"Seaway needs {' and '.join(wanted)}, which only root can install. On Debian or Ubuntu: "
            f"sudo apt-get install {' '.join(wanted)}. Then run this again."
        )
    return tuple(wanted)


def ways_to_start(machine: Machine) -> tuple[tuple[str, ...], ...]:
    """Commands that start the engine, the best first. Raises StartUpError where only root could."""
    if not machine.is_root:
        raise StartUpError(
            "No Docker Engine answers, and only root can start one: sudo systemctl start docker. "
            "To use it without root: sudo adduser $USER docker, and log in again. Then run this again."
        )
    by_service = ("systemctl", "start", "docker") if machine.has_systemd else ("service", "docker", "start")
    return (by_service, ("dockerd",))


def ensure_engine() -> None:
    """Returns once a Docker Engine answers and its client is there. Raises StartUpError with the way out."""
    machine = this_machine()
    runs = answers()
    if not runs and "DOCKER_HOST" in os.environ:
        raise StartUpError(
            f"DOCKER_HOST names {os.environ['DOCKER_HOST']}, but no Docker Engine answers there."
        )
    missing = packages_to_install(machine, engine_runs=runs, available=CLIENT_PACKAGES)
    if missing:
        _apt("update", "-qq")
        missing = packages_to_install(machine, engine_runs=runs, available=_available(CLIENT_PACKAGES))
        print(f"Installing {', '.join(missing)} …", flush=True)
        _apt("install", "-qq", "-y", "--no-install-recommends", *missing)
    if runs or _answers_within(2.0):  # the package may have started its service
        return
    for command in ways_to_start(machine):
        print(f"Starting the Docker Engine ({' '.join(command)}) …", flush=True)
        if _start(command) and _answers_within(START_LIMIT_SECONDS):
            return
    raise StartUpError(f"The Docker Engine does not start; the reason should stand in {DAEMON_LOG}.")


def answers() -> bool:
    """Whether a Docker Engine answers within 5 s, where DOCKER_HOST says or at the usual socket."""
    try:
        client = docker.DockerClient.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, requests.RequestException):
        return False
    finally:
        client.close()


def _answers_within(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not answers():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def _start(command: Sequence[str]) -> bool:
    environment = {**os.environ, "PATH": SEARCH_PATH}
    if command[0] != "dockerd":
        try:
            return subprocess.run(command, env=environment, check=False, timeout=60).returncode == 0
        except (FileNotFoundError, subprocess.TimeoutExpired):
            return False
    # Meant to outlive this process: it is the machine's engine from now on, as a service would be.
    with DAEMON_LOG.open("ab") as log:
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    return True


def _available(packages: Sequence[str]) -> tuple[str, ...]:
    known = subprocess.run(
        ["apt-cache", "pkgnames", "docker-"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    return tuple(package for package in packages if package in known)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", *arguments]
    completed = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=900,
    )
    if completed.returncode != 0:
        raise StartUpError(
            f"{' '.join(command)} failed; its message stands above. Mend that and run this again."
        )
