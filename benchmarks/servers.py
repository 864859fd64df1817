"""What a server over SSH costs: cached deployments there and on local servers, bytes sent, and 100 watched.

The applications come from the same repository and are released in turn. The server is a machine of its own
in a container, with an engine inside; what goes to it is counted on its network card. Its very engine is also
the local one of a second Seaway, which runs in the network of that machine: the difference between these two
is SSH and nothing else. The third place is the local server with this machine's engine, which may be older.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
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
from tests.harness.processes import free_port
from tests.harness.repositories import GitRepository
from tests.harness.ssh_servers import SshServer, SshServers

USABLE_LIMIT_SECONDS = 120
RATIO_TARGET = 1.25
SSH, SAME, LOCAL = "over SSH", "the same engine without SSH", "this machine's engine"
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


@dataclass
class Installations:
    """A Seaway with a server over SSH, and one whose local server is that very machine."""

    bench: Bench
    machine: SshServer
    remote_id: str
    beside: Bench


@asynccontextmanager
async def installations() -> AsyncIterator[Installations]:
    """Both, with an engine that has the base image."""
    engine = docker.from_env()
    images = await asyncio.to_thread(ensure_base_images, engine)
    with tempfile.TemporaryDirectory(prefix="seaway-bench-") as name:
        folder, shared = Path(name), Path(name) / "beside"
        shared.mkdir()
        async with running(folder) as bench:
            with SshServers(engine, folder / "servers", shared=shared) as servers:
                machine = await asyncio.to_thread(servers.add)
                await asyncio.to_thread(machine.load, images.python)
                remote_id = await add_server(bench, machine, servers.private_key)
                async with beside(machine, shared) as other:
                    yield Installations(bench, machine, remote_id, other)
        run("docker", "rm", "--force", f"{bench.instance}-proxy")
        run("docker", "network", "rm", bench.instance)


@asynccontextmanager
async def beside(machine: SshServer, folder: Path) -> AsyncIterator[Bench]:
    """A Seaway of this machine's files in the network of that one, with the engine there as its own.

    The engine mounts the proxy's folder, so it has to be there by the same path.
    """
    pid = machine.pid
    settings = {
        "SEAWAY_DOCKER_SOCKET": f"/proc/{pid}/root/run/docker.sock",
        "SEAWAY_EDGE_PORT": str(free_port()),
    }
    within = ("nsenter", "--target", str(pid), "--net")
    async with running(
        folder, name="beside", within=within, host=machine.host, environment=settings
    ) as bench:
        yield bench


async def compare(rounds: int, show: Callable[[str], None]) -> None:
    """Cached deployments, in all places in turn; then one changed file in a large repository."""
    async with installations() as made:
        bench, machine = made.bench, made.machine
        repository = GitRepository(bench.folder / "repository", "bench")
        repository.release("v0")
        local_id = await _local_server(bench)
        remote = await place(bench, repository, made.remote_id, "far", (machine.host, 80))
        same = await place(
            made.beside,
            repository,
            await _local_server(made.beside),
            "same",
            (machine.host, made.beside.ports.http),
        )
        local = await place(bench, repository, local_id, "near", ("127.0.0.1", bench.ports.http))
        show(f"engines: {engine_version()} here, {engine_version(machine)} there")
        try:
            await _rounds({SSH: remote, SAME: same, LOCAL: local}, repository, rounds, show)
            await _large(bench, machine, made.remote_id, show)
        finally:
            await _delete_all(bench)
            await _delete_all(made.beside)


def engine_version(machine: SshServer | None = None) -> str:
    """What the engine there, or here, is."""
    command = ("docker", "version", "--format", "{{.Server.Version}}")
    return (machine.run(*command)[1] if machine else run(*command)).strip()


async def _local_server(bench: Bench) -> str:
    servers = (await bench.api.get("/servers")).json()
    return str(next(one["uuid"] for one in servers if one["is_coolify_host"]))


async def _rounds(
    places: dict[str, Place], repository: GitRepository, rounds: int, show: Callable[[str], None]
) -> None:
    for one in places.values():
        await one.release("v0")
    times: dict[str, list[float]] = {name: [] for name in places}
    for number in range(1, rounds + 1):
        repository.release(f"v{number}")
        for name in list(places) if number % 2 else reversed(places):
            times[name].append(await places[name].release(f"v{number}"))
        taken = ", ".join(f"{name} {times[name][-1]:.3f} s" for name in places)
        show(f"round {number:2}: {taken}")
    show(", ".join(f"{name} median {statistics.median(times[name]):.3f} s" for name in places))
    for other in (SAME, LOCAL):
        ratios = [there / here for there, here in zip(times[SSH], times[other], strict=True)]
        show(
            f"{SSH} to {other}: ratio median {statistics.median(ratios):.3f}, p95 "
            f"{percentile(ratios, 0.95):.3f} over {rounds} rounds (target {RATIO_TARGET})"
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
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--watched", type=int, default=100, help="servers; 0 skips this part")
    parser.add_argument("--seconds", type=int, default=60, help="for which they are watched")
    options = parser.parse_args()
    if options.rounds:
        asyncio.run(compare(options.rounds, lambda line: print(line, flush=True)))
    if options.watched:
        # In a process of its own, whose memory and processor time are those of watching alone.
        watch = (sys.executable, "-m", "benchmarks.watch")
        watched = ("--servers", str(options.watched), "--seconds", str(options.seconds))
        print(run(*watch, *watched).strip(), flush=True)


if __name__ == "__main__":
    main()
