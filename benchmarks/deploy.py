"""How long a cached deployment takes, against the same steps done by hand.

Both sides release the sample application behind the same Traefik, in turn, and are timed until the new
version answers through the proxy. The floor does what nobody can leave out: fetch, check out, build, run,
wait until it is healthy, rewrite the route. Run it with `make bench` on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import docker
import httpx
from temporalio.client import Client

from tests.harness.http_connection import HttpConnection, Target
from tests.harness.images import ensure_base_images
from tests.harness.processes import ManagedProcess, free_port
from tests.harness.repositories import GitRepository

START_LIMIT_SECONDS = 60
ANSWER_LIMIT_SECONDS = 120
POLL_SECONDS = 0.005
RATIO_TARGET, FIRST_STEP_TARGET_MS, EVENTS_TARGET, MEMORY_TARGET_MB = 1.3, 150, 200, 450


@dataclass
class Ports:
    """Free ports, so that the benchmark runs beside anything."""

    api: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)
    proxy_api: int = field(default_factory=free_port)
    temporal: int = field(default_factory=free_port)
    temporal_ui: int = field(default_factory=free_port)


@dataclass
class Bench:
    """One running Seaway and what is needed to release on it."""

    ports: Ports
    folder: Path
    instance: str
    process: ManagedProcess
    api: httpx.AsyncClient


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Bench]:
    """`seaway up` on its own ports, ended and cleaned up afterwards."""
    ports, instance = Ports(), f"bench-{os.getpid()}"
    environment = os.environ | {
        "SEAWAY_DATA_DIR": str(folder / "data"),
        "SEAWAY_INSTANCE": instance,
        "SEAWAY_REQUESTS_PER_MINUTE": "100000",  # it polls more than a person would
        "SEAWAY_PORT": str(ports.api),
        "SEAWAY_HTTP_PORT": str(ports.http),
        "SEAWAY_HTTPS_PORT": str(ports.https),
        "SEAWAY_PROXY_API_PORT": str(ports.proxy_api),
        "SEAWAY_TEMPORAL_PORT": str(ports.temporal),
        "SEAWAY_TEMPORAL_UI_PORT": str(ports.temporal_ui),
    }
    process = ManagedProcess(
        [sys.executable, "-m", "seaway", "up"], log_path=folder / "seaway.log", env=environment
    )
    with process:
        await process.wait_for_output("Ready", START_LIMIT_SECONDS)
        credentials = json.loads((folder / "data" / "credentials.json").read_text())
        headers = {"Authorization": f"Bearer {credentials['token']}"}
        url = credentials["url"] + "/api/v1"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as api:
            yield Bench(ports, folder, instance, process, api)
        await process.terminate(30)


async def answers(bench: Bench, host: str, version: str) -> None:
    """Returns when the proxy gives this version for the host."""
    # Seaway is watched from the request on, the floor only at its end: a heavier client would slow one side.
    target = Target.of(f"http://{host}", address=("127.0.0.1", bench.ports.http))
    async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
        connection = await HttpConnection.open(target)
        try:
            while True:
                answer = await connection.get("/")
                if answer.status == 200 and answer.body.decode().strip() == version:
                    return
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await connection.close()


class Floor:
    """The same release by hand, with the fewest possible commands."""

    host = "floor.localhost"

    def __init__(self, bench: Bench, repository: GitRepository) -> None:
        self._bench = bench
        self._repository = repository
        self._mirror = bench.folder / "floor.git"
        self._tree = bench.folder / "floor-tree"
        self._routes = bench.folder / "data" / "proxy" / "dynamic" / "floor.yml"
        self._previous = ""
        run("git", "clone", "--quiet", "--bare", repository.url, str(self._mirror))

    async def release(self, version: str) -> float:
        """Seconds until the version answers; the old container is removed after the clock stopped."""
        began = time.perf_counter()
        await asyncio.to_thread(self._build, version)
        name = f"floor-{self._bench.instance}-{version}"
        await asyncio.to_thread(self._start, name)
        address = await asyncio.to_thread(self._address, name)
        await self._healthy(f"http://{address}:3000/health")
        self._route(name)
        await answers(self._bench, self.host, version)
        seconds = time.perf_counter() - began
        if self._previous:
            await asyncio.to_thread(run, "docker", "rm", "--force", self._previous)
        self._previous = name
        return seconds

    def _build(self, version: str) -> None:
        run("git", "--git-dir", str(self._mirror), "fetch", "--quiet", "origin", "main")
        self._tree.mkdir(exist_ok=True)
        run(
            "git", "--git-dir", str(self._mirror), "--work-tree", str(self._tree),
            "checkout", "--quiet", "--force", "FETCH_HEAD", "--", ".",
        )  # fmt: skip
        client = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
        run(
            client, "build", "--quiet", "--tag", f"floor:{version}", str(self._tree),
            environment={"DOCKER_BUILDKIT": "1"},
        )  # fmt: skip
        self._image = f"floor:{version}"

    def _start(self, name: str) -> None:
        run(
            "docker", "run", "--detach", "--init", "--name", name, "--network", self._bench.instance,
            "--env", "PORT=3000", self._image,
        )  # fmt: skip

    def _address(self, name: str) -> str:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return run("docker", "inspect", "--format", template, name).strip()

    async def _healthy(self, url: str) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            for _ in range(int(ANSWER_LIMIT_SECONDS / 0.02)):
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(url)).status_code == 200:
                        return
                await asyncio.sleep(0.02)
        raise TimeoutError(url)

    def _route(self, name: str) -> None:
        content = {
            "http": {
                "routers": {"floor": {"rule": f"Host(`{self.host}`)", "service": "floor"}},
                "services": {"floor": {"loadBalancer": {"servers": [{"url": f"http://{name}:3000"}]}}},
            }
        }
        # Written beside the watched folder: a half-written file must not be read.
        temporary = self._bench.folder / "data" / "floor.yml"
        temporary.write_text(json.dumps(content))
        temporary.rename(self._routes)

    def remove(self) -> None:
        """Takes the container and the route away."""
        self._routes.unlink(missing_ok=True)
        if self._previous:
            run("docker", "rm", "--force", self._previous)


class Seaway:
    """The release by one API call."""

    host = "bench.localhost"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._application = ""
        self.deployments: list[str] = []

    async def create(self, repository: GitRepository) -> None:
        """The application that is released again and again."""
        [project] = (await self._bench.api.get("/projects")).json()
        [server] = (await self._bench.api.get("/servers")).json()
        body = {
            "project_uuid": project["uuid"],
            "server_uuid": server["uuid"],
            "environment_name": "production",
            "name": "bench",
            "git_repository": repository.url,
            "git_branch": "main",
            "build_pack": "dockerfile",
            "ports_exposes": "3000",
            "domains": f"http://{self.host}",
            "health_check_path": "/health",
        }
        answer = await self._bench.api.post("/applications/public", json=body)
        answer.raise_for_status()
        self._application = answer.json()["uuid"]

    async def release(self, version: str) -> float:
        """Seconds until the version answers; waits for the end of the deployment after the clock stopped."""
        began = time.perf_counter()
        answer = await self._bench.api.post("/deploy", params={"uuid": self._application})
        answer.raise_for_status()
        deployment = answer.json()["deployments"][0]["deployment_uuid"]
        await answers(self._bench, self.host, version)
        seconds = time.perf_counter() - began
        await self._finished(deployment)
        self.deployments.append(deployment)
        return seconds

    async def _finished(self, deployment: str) -> None:
        while (await self.deployment(deployment))["status"] != "finished":  # noqa: ASYNC110 - an API to poll
            await asyncio.sleep(0.05)

    async def deployment(self, deployment: str) -> dict:
        """The deployment as the API shows it."""
        return (await self._bench.api.get(f"/deployments/{deployment}")).json()

    async def first_step_milliseconds(self) -> list[float]:
        """From the request to the start of the first step, for every measured deployment."""
        waits = []
        for one in self.deployments:
            shown = await self.deployment(one)
            first = min(step["started_at"] for step in shown["steps"] if step["started_at"])
            asked = datetime.fromisoformat(shown["created_at"])
            waits.append((datetime.fromisoformat(first) - asked).total_seconds() * 1000)
        return waits

    async def remove(self) -> None:
        """Deletes the application."""
        await self._bench.api.delete(f"/applications/{self._application}")
        while (await self._shown()).status_code != 404:  # noqa: ASYNC110 - an API to poll
            await asyncio.sleep(0.1)

    async def _shown(self) -> httpx.Response:
        return await self._bench.api.get(f"/applications/{self._application}")


def run(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        arguments,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return done.stdout


def resident_megabytes(process: ManagedProcess) -> dict[str, float]:
    """The proportional memory of Seaway's own processes (PSS: shared pages counted once), by name."""
    pids = [process.pid, *_children(process.pid)]
    sizes: dict[str, float] = {}
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        sizes[f"{name} ({pid})"] = kilobytes / 1024
    return sizes


def _children(pid: int) -> list[int]:
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in _children(child)]


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


async def measure(pairs: int, show: Callable[[str], None]) -> None:
    """Runs the pairs in turn and shows the numbers as they come out."""
    await asyncio.to_thread(ensure_base_images, docker.from_env())
    with tempfile.TemporaryDirectory(prefix="seaway-bench-") as name:
        folder = Path(name)
        repository = GitRepository(folder / "repository", "bench")
        repository.release("v0")
        async with running(folder) as bench:
            show(f"idle memory, MB: {_sizes(resident_megabytes(bench.process))}")
            seaway, floor = Seaway(bench), Floor(bench, repository)
            await seaway.create(repository)
            try:
                await _pairs(bench, repository, seaway, floor, pairs, show)
            finally:
                floor.remove()
                await seaway.remove()
        run("docker", "rm", "--force", f"{bench.instance}-proxy")
        run("docker", "network", "rm", bench.instance)


async def _pairs(
    bench: Bench,
    repository: GitRepository,
    seaway: Seaway,
    floor: Floor,
    pairs: int,
    show: Callable[[str], None],
) -> None:
    await seaway.release("v0")
    await floor.release("v0")
    seaway.deployments.clear()
    ours: list[float] = []
    floors: list[float] = []
    for number in range(1, pairs + 1):
        version = f"v{number}"
        repository.release(version)
        sides = [(ours, seaway.release), (floors, floor.release)]
        # Who goes second finds the layers of the other in the cache, so they take turns at it.
        for times, release in sides if number % 2 else reversed(sides):
            times.append(await release(version))
        show(
            f"pair {number:2}: Seaway {ours[-1]:.3f} s, floor {floors[-1]:.3f} s, {ours[-1] / floors[-1]:.2f}"
        )
    ratios = [one / other for one, other in zip(ours, floors, strict=True)]
    waits = await seaway.first_step_milliseconds()
    client = await Client.connect(f"127.0.0.1:{bench.ports.temporal}")
    history = await client.get_workflow_handle(f"deployment/{seaway.deployments[-1]}").fetch_history()
    show(f"Seaway median {statistics.median(ours):.3f} s, floor median {statistics.median(floors):.3f} s")
    show(f"ratio median {statistics.median(ratios):.3f} over {pairs} pairs (target {RATIO_TARGET})")
    show(
        f"first step after p50 {statistics.median(waits):.0f} ms, p95 {percentile(waits, 0.95):.0f} ms "
        f"(target {FIRST_STEP_TARGET_MS} ms)"
    )
    show(f"history: {len(history.events)} events (target {EVENTS_TARGET})")
    show(f"memory after, MB: {_sizes(resident_megabytes(bench.process))} (target {MEMORY_TARGET_MB})")


def _sizes(sizes: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    return f"{sum(sizes.values()):.0f} in all: {parts}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    options = parser.parse_args()
    asyncio.run(measure(options.pairs, lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
