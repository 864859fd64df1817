"""What a release takes by hand, with nothing that can be left out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path

import httpx

from benchmarks.installation import ANSWER_LIMIT_SECONDS, Bench, answers, run
from tests.harness.repositories import GitRepository


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
