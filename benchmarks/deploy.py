"""How long a cached deployment takes, against the same steps done by hand.

Both sides release the sample application behind the same Traefik, in turn, and are timed until the new
version answers through the proxy. The floor does what nobody can leave out: fetch, check out, build, run,
wait until it is healthy, rewrite the route. Run it with `make bench` on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import docker
import httpx
from temporalio.client import Client

from benchmarks.floor import Floor
from benchmarks.installation import Bench, answers, percentile, run, running
from tests.harness.images import ensure_base_images
from tests.harness.processes import ManagedProcess
from tests.harness.repositories import GitRepository

RATIO_TARGET, FIRST_STEP_TARGET_MS, EVENTS_TARGET, MEMORY_TARGET_MB = 1.3, 150, 200, 450


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
