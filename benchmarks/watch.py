"""What it costs one worker to watch many servers: `python -m benchmarks.watch --servers 100 --seconds 60`.

The servers are stand-ins that answer as a real one does: commands after a while, with a real one's output,
and the Docker API over unix sockets, from a process of its own, so that its work is not counted. What is
counted is the worker: parsing, the Docker client, the database (SQLite), roll-ups.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.docker.engine import DockerEngine
from adapters.host_commands import Completed
from domain.metrics import Point
from domain.servers import ServerStatus
from seaway.watcher import Watcher, WatchSettings
from store.database import Database
from store.encryption import KeyRing
from store.metrics import Subject
from store.store import Store
from store.tables import Server, Team

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWER_SECONDS = 0.02
REPLICAS = 3
PERIOD = timedelta(seconds=10)


class StandInEngine:
    """Answers the calls of the watch for as many engines as there are sockets, as Docker 20.10 does."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._cpu = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while request := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                path = request.split()[1].decode()
                if "/events" in path:
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    await writer.drain()
                    await asyncio.Event().wait()
                body = json.dumps(self._body(path)).encode()
                writer.write(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _body(self, path: str) -> Any:
        if path.endswith("/version"):
            return {"ApiVersion": "1.41", "Version": "20.10.24"}
        if "/containers/json" in path:
            return [self._listed(number) for number in range(self._replicas)]
        if "/stats" in path:
            self._cpu += 10**7
            counters = {f"counter_{number}": number for number in range(40)}
            return {
                "read": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "cpu_stats": {"cpu_usage": {"total_usage": self._cpu, "percpu_usage": [1] * 8}},
                "memory_stats": {"usage": 5 * 10**7, "limit": 10**9, "stats": counters},
                "networks": {"eth0": {"rx_bytes": self._cpu // 100, "tx_bytes": self._cpu // 200}},
            }
        return {"DockerRootDir": "/var/lib/docker"}

    def _listed(self, number: int) -> dict[str, Any]:
        labels = {"seaway.managed": "true", "seaway.role": "replica", "seaway.application": "shop"}
        return {"Id": f"{number:064x}", "Names": [f"/shop-{number}"], "State": "running", "Labels": labels}


def serve_engines(folder: Path, count: int, replicas: int) -> None:
    """Runs until it is ended."""

    async def serve() -> None:
        engine = StandInEngine(replicas)
        for number in range(count):
            await asyncio.start_unix_server(engine.answer, folder / f"{number}.sock")
        await asyncio.Event().wait()

    asyncio.run(serve())


class StandInCommands:
    """Answers as a server with two processors does, after a while."""

    def __init__(self) -> None:
        self._jiffies = 0

    async def run(self, arguments: Sequence[str], **limits: object) -> Completed:
        """See `adapters.host_commands.HostCommands`."""
        await asyncio.sleep(ANSWER_SECONDS)
        self._jiffies += 1000
        busy, idle = self._jiffies // 4, self._jiffies
        lines = [f"cpu{name} {busy} 0 0 {idle} 0 0 0 0 0 0" for name in ("", "0", "1")]
        lines += [f"Mem{name}: 4000000 kB" for name in ("Total", "Free", "Available")]
        lines += ["load 0.42", "/dev/vda1 100000000 40000000 60000000 40% /"] * 2
        return Completed(0, "\n".join(lines), "")


@dataclass
class Moments:
    """When samples of a server came."""

    by_server: dict[str, list[float]]

    def lags(self) -> list[float]:
        """By how much each came later after the one before than it should."""
        return [
            later - earlier - PERIOD.total_seconds()
            for moments in self.by_server.values()
            for earlier, later in pairwise(moments)
        ]


class ObservedWatcher(Watcher):
    """Notes when samples of servers come."""

    def __init__(self, store: Store, servers: Any) -> None:
        super().__init__(store, servers, WatchSettings(period=PERIOD))
        self.moments = Moments({})

    def used(self, subject: Subject, point: Point) -> None:
        """See `Watcher`."""
        if not subject.replica:
            self.moments.by_server.setdefault(subject.server_id, []).append(time.monotonic())
        super().used(subject, point)


class StandInServers:
    """See `activities.servers.Servers`."""

    def __init__(self, folder: Path, count: int) -> None:
        self._parts = {
            str(number): SimpleNamespace(
                commands=StandInCommands(), engine=DockerEngine(str(folder / f"{number}.sock"))
            )
            for number in range(count)
        }

    async def parts(self, server_id: str) -> Any:
        """See `Servers`."""
        return self._parts[server_id]

    async def close(self) -> None:
        """Ends the connections."""
        await asyncio.gather(*(one.engine.close() for one in self._parts.values()))


def resident_megabytes() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds() -> float:
    """What this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def make_store(folder: Path, count: int) -> Store:
    """A SQLite database with the servers."""
    database = Database(f"sqlite:///{folder / 'seaway.db'}")
    await database.migrate()
    async with database.writing() as session:
        session.add(Team(id="team", name="Team"))
        await session.flush()
        for number in range(count):
            server = Server(id=str(number), team_id="team", name=f"server-{number}", data_folder="/data")
            server.status, server.port = ServerStatus.USABLE, 10_000 + number
            session.add(server)
    return Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))


async def measure(folder: Path, count: int, seconds: float) -> dict[str, object]:
    """Watches for a while after a warm-up, and says what it took."""
    async with AsyncExitStack() as stack:
        store = await make_store(folder, count)
        stack.push_async_callback(store.database.close)
        servers = StandInServers(folder, count)
        stack.push_async_callback(servers.close)
        before_watching = resident_megabytes()
        watcher = await stack.enter_async_context(ObservedWatcher(store, servers))
        await asyncio.sleep(2 * PERIOD.total_seconds() + 5)
        began, used, memory = time.monotonic(), processor_seconds(), resident_megabytes()
        watcher.moments.by_server.clear()
        await asyncio.sleep(seconds)
        elapsed, used = time.monotonic() - began, processor_seconds() - used
        lags = watcher.moments.lags()
        samples = sum(map(len, watcher.moments.by_server.values()))
        since, until = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
        written = await store.metrics.of_server("0", step_seconds=0, since=since, until=until)
        return {
            "servers": count,
            "replicas": REPLICAS * count,
            "seconds": round(elapsed, 1),
            "samples_of_servers": samples,
            "samples_written_of_one_server": len(written),
            "processor_seconds": round(used, 2),
            "processor_percent_of_one": round(100 * used / elapsed, 1),
            "memory_before_watching_mb": round(before_watching, 1),
            "memory_mb": round(resident_megabytes(), 1),
            "memory_growth_mb": round(resident_megabytes() - memory, 2),
            "lag_p50_seconds": round(statistics.median(lags), 3),
            "lag_p95_seconds": round(statistics.quantiles(lags, n=20)[-1], 3),
            "lag_max_seconds": round(max(lags), 3),
        }


def main() -> None:
    """Prints the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="seaway-watch-"))
    engines = multiprocessing.get_context("spawn").Process(
        target=serve_engines, args=(folder, chosen.servers, REPLICAS), daemon=True
    )
    engines.start()
    try:
        while not (folder / f"{chosen.servers - 1}.sock").exists():
            time.sleep(0.05)
        numbers = asyncio.run(measure(folder, chosen.servers, chosen.seconds))
        sys.stdout.write(json.dumps(numbers, indent=2) + "\n")
    finally:
        engines.kill()
        engines.join()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
