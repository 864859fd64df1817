"""A Seaway of a benchmark’s own, and what the benchmarks measure it with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.harness.http_connection import HttpConnection, Target
from tests.harness.processes import ManagedProcess, free_port

START_LIMIT_SECONDS = 60


ANSWER_LIMIT_SECONDS = 120


POLL_SECONDS = 0.005


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
async def running(
    folder: Path,
    *,
    name: str = "bench",
    within: Sequence[str] = (),
    host: str = "127.0.0.1",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Bench]:
    """`seaway up` on its own ports, ended and cleaned up afterwards.

    `within` is put before the command, and `host` is where it then listens for us.
    """
    ports, instance = Ports(), f"{name}-{os.getpid()}"
    settings = os.environ | {
        "SEAWAY_DATA_DIR": str(folder / "data"),
        "SEAWAY_INSTANCE": instance,
        "SEAWAY_REQUESTS_PER_MINUTE": "100000",  # it polls more than a person would
        "SEAWAY_HOST": host,
        "SEAWAY_PORT": str(ports.api),
        "SEAWAY_HTTP_PORT": str(ports.http),
        "SEAWAY_HTTPS_PORT": str(ports.https),
        "SEAWAY_PROXY_API_PORT": str(ports.proxy_api),
        "SEAWAY_TEMPORAL_PORT": str(ports.temporal),
        "SEAWAY_TEMPORAL_UI_PORT": str(ports.temporal_ui),
        **environment,
    }
    process = ManagedProcess(
        [*within, sys.executable, "-m", "seaway", "up"], log_path=folder / "seaway.log", env=settings
    )
    with process:
        await process.wait_for_output("Ready", START_LIMIT_SECONDS)
        credentials = json.loads((folder / "data" / "credentials.json").read_text())
        headers = {"Authorization": f"Bearer {credentials['token']}"}
        url = f"http://{host}:{ports.api}/api/v1"
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


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
