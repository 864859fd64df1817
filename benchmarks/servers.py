"""What a server over SSH costs: a cached deployment there against one on the local server, and bytes sent.

Both applications come from the same repository and are released in turn. The server is a machine of its own
in a container, with an engine inside; what goes to it is counted on its network card. Run it on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx

from benchmarks.installation import ANSWER_LIMIT_SECONDS, POLL_SECONDS, Bench, percentile, run, running
from tests.harness.http_connection import HttpConnection, Target
from tests.harness.images import SAMPLE_APPLICATION_FOLDER, ensure_base_images
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers

USABLE_LIMIT_SECONDS = 120
RATIO_TARGET = 1.25
LARGE_REPOSITORY_MB, LARGE_FILES = 200, 200


@dataclass
class Place:
    """An application on one server, and where its visitors go."""

    bench: Bench
    uuid: str
    target: Target

    async def release(self, version: str) -> float:
        """Seconds until the version answers; waits for the end of the deployment after the clock stopped."""
        began = time.perf_counter()
        answer = await self.bench.api.post("/deploy", params={"uuid": self.uuid})
        answer.raise_for_status()
        deployment = answer.json()["deployments"][0]["deployment_uuid"]
        async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
            await self._answers(version)
        seconds = time.perf_counter() - began
        while (shown := await self._shown(deployment))["outcome"] is None:  # noqa: ASYNC110 - an API
            await asyncio.sleep(0.05)
        if shown["outcome"] != "finished":
            raise RuntimeError(f"deployment {deployment}: {shown['error']}")
        return seconds

    async def _shown(self, deployment: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.bench.api.get(f"/deployments/{deployment}")).json()
        return shown

    async def _answers(self, version: str) -> None:
        connection = await HttpConnection.open(self.target)
        try:
            while True:
                answer = await connection.get("/")
                if answer.status == 200 and answer.body.decode().strip() == version:
                    return
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await connection.close()


async def place(
    bench: Bench, repository: GitRepository, server: str, name: str, address: tuple[str, int]
) -> Place:
    """A new application on the server."""
    [project] = (await bench.api.get("/projects")).json()
    host = f"{name}.localhost"
    body = {
        "project_uuid": project["uuid"],
        "server_uuid": server,
        "environment_name": "production",
        "name": name,
        "git_repository": repository.url,
        "git_branch": "main",
        "build_pack": "dockerfile",
        "ports_exposes": "3000",
        "domains": f"http://{host}",
        "health_check_path": "/health",
    }
    answer = await bench.api.post("/applications/public", json=body)
    answer.raise_for_status()
    return Place(bench, answer.json()["uuid"], Target.of(f"http://{host}", address=address))


async def add_server(bench: Bench, machine: SshServer, private_key: str) -> str:
    """The machine as a usable server; its id."""
    key = (await bench.api.post("/security/keys", json={"name": "bench", "private_key": private_key})).json()
    body = {
        "name": "remote",
        "ip": machine.host,
        "user": "root",
        "private_key_uuid": key["uuid"],
        "instant_validate": True,
    }
    answer = await bench.api.post("/servers", json=body)
    answer.raise_for_status()
    uuid: str = answer.json()["uuid"]
    async with asyncio.timeout(USABLE_LIMIT_SECONDS):
        while not (await bench.api.get(f"/servers/{uuid}")).json()["is_usable"]:  # noqa: ASYNC110 - an API
            await asyncio.sleep(0.2)
    return uuid


def received_bytes(machine: SshServer) -> int:
    """What the machine's network card has received so far."""
    _, output = machine.run("cat", "/sys/class/net/eth0/statistics/rx_bytes")
    return int(output)


@asynccontextmanager
async def installation() -> AsyncIterator[tuple[Bench, SshServer, str]]:
    """A Seaway with one server over SSH, whose engine has the base image."""
    engine = docker.from_env()
    images = await asyncio.to_thread(ensure_base_images, engine)
    with tempfile.TemporaryDirectory(prefix="seaway-bench-") as name:
        folder = Path(name)
        async with running(folder) as bench:
            with SshServers(engine, folder / "servers") as servers:
                machine = await asyncio.to_thread(servers.add)
                await asyncio.to_thread(machine.load, images.python)
                yield bench, machine, await add_server(bench, machine, servers.private_key)
        run("docker", "rm", "--force", f"{bench.instance}-proxy")
        run("docker", "network", "rm", bench.instance)


async def compare(pairs: int, show: Callable[[str], None]) -> None:
    """Cached deployments, here and there in turn; then one changed file in a large repository."""
    async with installation() as (bench, machine, remote_id):
        servers = (await bench.api.get("/servers")).json()
        local_id = next(one["uuid"] for one in servers if one["uuid"] != remote_id)
        repository = GitRepository(bench.folder / "repository", "bench")
        repository.release("v0")
        local = await place(bench, repository, local_id, "near", ("127.0.0.1", bench.ports.http))
        remote = await place(bench, repository, remote_id, "far", (machine.host, 80))
        try:
            await _pairs(local, remote, repository, pairs, show)
            await _large(bench, machine, remote_id, show)
        finally:
            await _delete_all(bench)


async def _pairs(
    local: Place, remote: Place, repository: GitRepository, pairs: int, show: Callable[[str], None]
) -> None:
    for one in (local, remote):
        await one.release("v0")
    near: list[float] = []
    far: list[float] = []
    for number in range(1, pairs + 1):
        repository.release(f"v{number}")
        sides = [(near, local), (far, remote)]
        for times, one in sides if number % 2 else reversed(sides):
            times.append(await one.release(f"v{number}"))
        show(f"pair {number:2}: local {near[-1]:.3f} s, remote {far[-1]:.3f} s, {far[-1] / near[-1]:.2f}")
    ratios = [there / here for there, here in zip(far, near, strict=True)]
    show(f"local median {statistics.median(near):.3f} s, remote median {statistics.median(far):.3f} s")
    show(
        f"ratio median {statistics.median(ratios):.3f}, p95 {percentile(ratios, 0.95):.3f} "
        f"over {pairs} pairs (target {RATIO_TARGET})"
    )


async def _large(bench: Bench, machine: SshServer, server: str, show: Callable[[str], None]) -> None:
    repository = GitRepository(bench.folder / "large", "large")
    content: dict[str, str | bytes] = {
        f"assets/{number:03}.bin": os.urandom(LARGE_REPOSITORY_MB * 1_000_000 // LARGE_FILES)
        for number in range(LARGE_FILES)
    }
    dockerfile = (SAMPLE_APPLICATION_FOLDER / "Dockerfile").read_text() + "COPY assets /assets\n"
    repository.release("v0", files={**content, "Dockerfile": dockerfile})
    large = await place(bench, repository, server, "large", (machine.host, 80))
    for version in ("v0", "v1"):
        if version != "v0":
            asset = {"assets/000.bin": os.urandom(1_000_000)}
            repository.release(version, files={"Dockerfile": dockerfile, **asset})
        before = await asyncio.to_thread(received_bytes, machine)
        seconds = await large.release(version)
        sent = await asyncio.to_thread(received_bytes, machine) - before
        what = "first deployment" if version == "v0" else "one changed file"
        show(f"{LARGE_REPOSITORY_MB} MB repository, {what}: {sent / 1e6:.2f} MB sent, {seconds:.2f} s")


async def _delete_all(bench: Bench) -> None:
    for one in (await bench.api.get("/applications")).json():
        await bench.api.delete(f"/applications/{one['uuid']}")
    async with asyncio.timeout(ANSWER_LIMIT_SECONDS):
        while await _left(bench.api):  # noqa: ASYNC110 - an API to poll
            await asyncio.sleep(0.2)


async def _left(api: httpx.AsyncClient) -> list[Any]:
    found: list[Any] = (await api.get("/applications")).json()
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    options = parser.parse_args()
    asyncio.run(compare(options.pairs, lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
