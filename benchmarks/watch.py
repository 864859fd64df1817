"""What it costs one worker to watch many servers: `python -m benchmarks.watch --servers 100 --seconds 60`.

The servers are stand-ins behind one SSH server, in a process of its own, so that its work is not counted.
What is counted is the worker: a link to each server with its keepalives and channels, parsing, the Docker
client, the database (SQLite), roll-ups.
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
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncssh
from cryptography.fernet import Fernet
from pydantic import SecretStr

from adapters.docker.engine import DockerEngine
from adapters.ssh.connection import ServerAddress, SshConnection, SshTarget
from adapters.ssh.forwarding import DockerSocketForward
from benchmarks.stand_in_servers import APPLICATION, PORT_FILE, serve
from domain.metrics import Point
from domain.servers import ServerStatus
from seaway.watcher import Watcher, WatchSettings
from store.database import Database
from store.encryption import KeyRing
from store.metrics import Subject
from store.store import Store
from store.tables import Application, Server, Team

REPLICAS = 3
PERIOD = timedelta(seconds=10)
START_LIMIT_SECONDS = 30.0


@dataclass(frozen=True)
class Keys:
    """Of the stand-ins and of who logs in there, as OpenSSH writes them."""

    host: str
    host_public: str
    user: str
    user_public: str

    @classmethod
    def generate(cls) -> Keys:
        """New ones."""
        host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        exported = [
            text.decode().strip()
            for key in (host, user)
            for text in (key.export_private_key(), key.export_public_key())
        ]
        return cls(*exported)


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
    """See `activities.servers.Servers`. Each has a link of its own, and its engine's socket comes over it."""

    def __init__(self, keys: Keys, port: int, count: int) -> None:
        self._parts: dict[str, SimpleNamespace] = {}
        self._keys, self._port, self._count = keys, port, count

    async def open(self, stack: AsyncExitStack) -> None:
        """The links are made when they are needed first."""
        for number in range(self._count):
            address = ServerAddress("127.0.0.1", self._port, f"server-{number}")
            target = SshTarget(address, SecretStr(self._keys.user), host_key=self._keys.host_public)
            connection = SshConnection(target)
            stack.push_async_callback(connection.close)
            forward = await stack.enter_async_context(DockerSocketForward(connection))
            engine = DockerEngine(forward.socket_path)
            stack.push_async_callback(engine.close)
            self._parts[str(number)] = SimpleNamespace(commands=connection, engine=engine)

    async def parts(self, server_id: str) -> Any:
        """See `Servers`."""
        return self._parts[server_id]

    @property
    def linked(self) -> int:
        """How many links there are at this moment."""
        return sum(one.commands.is_connected for one in self._parts.values())


def resident_megabytes() -> float:
    """What this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds() -> float:
    """What this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def make_store(folder: Path, count: int) -> Store:
    """A SQLite database with the servers, and the application that has replicas on each."""
    database = Database(f"sqlite:///{folder / 'seaway.db'}")
    await database.migrate()
    async with database.writing() as session:
        session.add(Team(id="team", name="Team"))
        await session.flush()
        for number in range(count):
            server = Server(id=str(number), team_id="team", name=f"server-{number}", data_folder="/data")
            server.status, server.port = ServerStatus.USABLE, 10_000 + number
            session.add(server)
    store = Store(database, KeyRing([SecretStr(Fernet.generate_key().decode())]))
    project = await store.projects.create(team_id="team", name="Project")
    [environment] = await store.projects.environments(project.id)
    async with database.writing() as session:
        row = Application(
            team_id="team", environment_id=environment.id, name=APPLICATION, configuration_sealed=""
        )
        session.add(row.sqlmodel_update({"id": APPLICATION}))
    return store


async def measure(folder: Path, keys: Keys, count: int, seconds: float) -> dict[str, object]:
    """Watches for a while after a warm-up, and says what it took."""
    async with AsyncExitStack() as stack:
        store = await make_store(folder, count)
        stack.push_async_callback(store.database.close)
        servers = StandInServers(keys, int((folder / PORT_FILE).read_text()), count)
        await servers.open(stack)
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
        of_replicas = await store.metrics.of_application(
            APPLICATION, step_seconds=0, since=since, until=until
        )
        return {
            "servers": count,
            "links": servers.linked,
            "replicas": REPLICAS * count,
            "seconds": round(elapsed, 1),
            "samples_of_servers": samples,
            "samples_written_of_one_server": len(written),
            "replicas_with_samples": len(of_replicas),
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
    folder, keys = Path(tempfile.mkdtemp(prefix="seaway-watch-")), Keys.generate()
    servers = multiprocessing.get_context("spawn").Process(
        target=serve, args=(folder, REPLICAS, keys.host, keys.user_public), daemon=True
    )
    servers.start()
    try:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while not (folder / PORT_FILE).exists():
            if time.monotonic() > deadline or not servers.is_alive():
                raise RuntimeError("the stand-ins do not listen")
            time.sleep(0.05)
        numbers = asyncio.run(measure(folder, keys, chosen.servers, chosen.seconds))
        sys.stdout.write(json.dumps(numbers, indent=2) + "\n")
    finally:
        servers.kill()
        servers.join()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
