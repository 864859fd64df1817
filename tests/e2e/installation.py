"""One whole Seaway as its user has it: `seaway up` with a folder, ports and containers of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import docker.errors
import httpx
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from tests.harness.processes import REPOSITORY_ROOT, ManagedProcess, SeawayProcess, free_port
from tests.harness.waiting import eventually

START_LIMIT_SECONDS = 60.0
COMMAND_LIMIT_SECONDS = 90.0
REMOVERS = 6
ENDPOINTS_LIMIT_SECONDS = 10.0
# What the tests answer to; nothing of the user's own settings may reach a Seaway under test.
INHERITED = {
    name: value for name, value in os.environ.items() if not name.startswith(("SEAWAY_", "TEMPORAL_"))
}
TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s+File \"[^\"]+\", line \d+", re.MULTILINE)


@dataclass
class CommandResult:
    """How one run of the `seaway` command ended."""

    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The one JSON document of `--json`."""
        return json.loads(self.output)


@dataclass
class Ports:
    """Ports on which nothing listens, so that any number of Seaways run side by side."""

    api: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)
    proxy_api: int = field(default_factory=free_port)
    temporal: int = field(default_factory=free_port)
    temporal_ui: int = field(default_factory=free_port)


class Installation:
    """A data folder with its settings. It may be started, ended and killed again and again."""

    def __init__(self, folder: Path, docker_client: docker.DockerClient, **settings: str) -> None:
        self.folder = folder
        self.docker = docker_client
        self.ports = Ports()
        self.instance = f"e2e-{uuid4().hex[:8]}"
        self.data = folder / "data"
        self.log = folder / "seaway.log"
        self.settings = {
            "SEAWAY_DATA_DIR": str(self.data),
            "SEAWAY_INSTANCE": self.instance,
            "SEAWAY_PORT": str(self.ports.api),
            "SEAWAY_HTTP_PORT": str(self.ports.http),
            "SEAWAY_HTTPS_PORT": str(self.ports.https),
            "SEAWAY_PROXY_API_PORT": str(self.ports.proxy_api),
            "SEAWAY_TEMPORAL_PORT": str(self.ports.temporal),
            "SEAWAY_TEMPORAL_UI_PORT": str(self.ports.temporal_ui),
            "SEAWAY_REQUESTS_PER_MINUTE": "1000000",
            **settings,
        }
        self.applications: set[str] = set()
        self.api = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.ports.api}/api/v1",
            timeout=60,
            trust_env=False,
            event_hooks={"response": [refuse_faults]},
        )
        self.proxy = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.ports.http}", timeout=10, trust_env=False
        )
        self.process: ManagedProcess | None = None
        self.project = self.server = ""

    async def start(self, *arguments: str, ready: str = "Ready") -> float:
        """Runs `seaway up` (or what is given) and returns the seconds until it said that it is ready."""
        began = time.monotonic()
        self.process = SeawayProcess(arguments or ["up"], log_path=self.log, env=self.settings)
        await self.process.wait_for_output(ready, START_LIMIT_SECONDS)
        seconds = time.monotonic() - began
        await self.log_in()
        return seconds

    @property
    def running(self) -> ManagedProcess:
        """The process of the last start."""
        if self.process is None:
            raise RuntimeError("this Seaway was not started")
        return self.process

    @property
    def credentials(self) -> dict[str, Any]:
        """What `seaway up` wrote for the command of the same user."""
        known: dict[str, Any] = json.loads((self.data / "credentials.json").read_text())
        return known

    async def log_in(self) -> None:
        """Uses the token of the first account, and finds where applications go."""
        self.api.headers["Authorization"] = f"Bearer {self.credentials['token']}"
        self.project = (await self.ask("GET", "/projects"))[0]["uuid"]
        self.server = (await self.ask("GET", "/servers"))[0]["uuid"]

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = await self.api.request(method, path, **request)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def refused(self, method: str, path: str, **request: Any) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer that must be a refusal."""
        answer = await self.api.request(method, path, **request)
        assert 400 <= answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.status_code, answer.json()

    async def command(self, *arguments: str, environment: dict[str, str] | None = None) -> CommandResult:
        """Runs the `seaway` command of this checkout against this Seaway."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "seaway", *arguments,
            env=INHERITED
            | {
                "PYTHONPATH": str(REPOSITORY_ROOT),
                "SEAWAY_URL": f"http://127.0.0.1:{self.ports.api}",
                "SEAWAY_TOKEN": self.credentials["token"],
            }
            | (environment or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            output, errors = await asyncio.wait_for(process.communicate(), COMMAND_LIMIT_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        result = CommandResult(process.returncode, output.decode(), errors.decode())
        assert not TRACEBACK.search(result.output + result.errors), result
        return result

    async def temporal(self) -> Client:
        """A client of the embedded Temporal server."""
        return await Client.connect(
            f"127.0.0.1:{self.ports.temporal}", data_converter=pydantic_data_converter
        )

    async def interrupt(self, limit_seconds: float = 40) -> int:
        """Ctrl-C, and the exit code."""
        self.running.send_signal(signal.SIGINT)
        return await self.running.wait(limit_seconds)

    async def remove(self) -> None:
        """Ends the process and removes all that it and its applications left on the engine."""
        if self.process is not None and self.process.is_running:
            if self.api.headers.get("Authorization"):
                try:
                    self.applications |= {one["uuid"] for one in await self.ask("GET", "/applications")}
                except (httpx.HTTPError, AssertionError):
                    self.process.kill_group()
            self.process.send_signal(signal.SIGTERM)
            try:
                await self.process.wait(40)
            finally:
                self.process.kill_group()
        await self.api.aclose()
        await self.proxy.aclose()
        await asyncio.to_thread(self._remove_from_engine)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_from_engine(self) -> None:
        attached = self.docker.containers.list(
            all=True, filters={"network": self.instance}, ignore_removed=True
        )
        named = self.docker.containers.list(all=True, filters={"name": f"^/{self.instance}-proxy$"})
        with ThreadPoolExecutor(REMOVERS) as removers:
            list(removers.map(remove_container, {one.id: one for one in [*attached, *named]}.values()))
            list(removers.map(self._remove_application, self.applications))
        for network in self.docker.networks.list(names=[self.instance]):
            self._remove_network(network)

    def _remove_network(self, network: Any) -> None:
        """The engine lets go of a container's end a moment after the container is gone.

        Docker 20.10 sometimes never does: then the network shows no container, and is in use all the same.
        """
        deadline = time.monotonic() + ENDPOINTS_LIMIT_SECONDS
        while True:
            try:
                network.remove()
                return
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                network.reload()
                is_late = time.monotonic() > deadline
                if is_late and not network.attrs["Containers"]:
                    return
                if error.status_code != 403 or is_late:
                    raise
            time.sleep(0.2)

    def _remove_application(self, application: str) -> None:
        for container in containers_of(self.docker, application):
            remove_container(container)
        for image in images_of(self.docker, application):
            self.docker.images.remove(image, force=True)
        for volume in self.docker.volumes.list(filters={"label": f"seaway.application={application}"}):
            volume.remove(force=True)


@asynccontextmanager
async def installed(
    folder: Path, docker_client: docker.DockerClient, **settings: str
) -> AsyncIterator[Installation]:
    """An installation that is not started yet and that leaves nothing behind."""
    installation = Installation(folder, docker_client, **settings)
    try:
        yield installation
    finally:
        await installation.remove()


async def refuse_faults(response: httpx.Response) -> None:
    """No answer of the API may be a fault of its own, or tell of its insides."""
    if response.request.url.path.endswith("/stream"):
        return
    await response.aread()
    asked = f"{response.request.method} {response.request.url}"
    assert response.status_code not in (500, 502, 504), f"{asked}: {response.status_code} {response.text}"
    assert not TRACEBACK.search(response.text), f"{asked} shows a stack trace: {response.text}"


def containers_of(client: docker.DockerClient, application: str) -> list[Any]:
    """Every container of an application, running or not."""
    label = f"seaway.application={application}"
    return list(client.containers.list(all=True, filters={"label": label}, ignore_removed=True))


def images_of(client: docker.DockerClient, application: str) -> list[str]:
    """The names of the images that Seaway keeps for an application."""
    found = client.images.list(filters={"reference": f"seaway/{application}"})
    return sorted(tag for image in found for tag in image.tags if tag.startswith(f"seaway/{application}:"))


def volumes_of(client: docker.DockerClient, application: str) -> list[str]:
    """The names of an application's volumes."""
    return [one.name for one in client.volumes.list(filters={"label": f"seaway.application={application}"})]


def remove_container(container: Any) -> None:
    """Ends and removes a container; gone already is fine."""
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        return


def children_of(pid: int) -> list[int]:
    """Every process below this one."""
    try:
        children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return []
    return children + [grandchild for child in children for grandchild in children_of(child)]


def command_of(pid: int) -> str:
    """The arguments of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def running_commands() -> list[str]:
    """The arguments of every process of this machine."""
    return [command_of(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def memory_megabytes(pids: Sequence[int]) -> float:
    """The proportional memory of processes (PSS: pages that several share count once)."""
    kilobytes = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kilobytes += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


async def is_gone(pid: int, limit_seconds: float = 10) -> None:
    """Returns when no process has this id any more."""
    await eventually(
        lambda: not Path(f"/proc/{pid}").exists(), limit_seconds, describe=f"the end of process {pid}"
    )
