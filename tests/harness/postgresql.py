"""PostgreSQL servers for tests."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.processes import ManagedProcess, free_port

POSTGRESQL = "/usr/lib/postgresql"


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps them out of the PATH."""
    beside = sorted(Path(POSTGRESQL).glob(f"*/bin/{name}"))
    found = str(beside[-1]) if beside else shutil.which(name)
    assert found, "the tests need PostgreSQL (scripts/system-packages installs it)"
    return found


def as_postgres(argv: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return argv
    pwd.getpwnam("postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *argv]


@asynccontextmanager
async def serve_postgresql(folder: Path) -> AsyncIterator[str]:
    """The address of an empty database on a server of its own, whose data is in the folder."""
    data, port = _data_folder(folder), free_port()
    argv = [program("initdb"), "--pgdata", str(data), "--username=seaway", "--auth=trust", "--no-sync"]
    process = await asyncio.create_subprocess_exec(*as_postgres(argv), stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={data}", "fsync=off"]
    options = [part for setting in settings for part in ("-c", setting)]
    argv = as_postgres([program("postgres"), "-D", str(data), *options])
    with ManagedProcess(argv, log_path=folder / "log") as server:
        await server.wait_for_output("ready to accept connections")
        yield f"postgresql://seaway@127.0.0.1:{port}/postgres"


def _data_folder(folder: Path) -> Path:
    for parent in (folder, *folder.parents):
        if parent.owner() == pwd.getpwuid(os.geteuid()).pw_name and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    data = folder / "data"
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    return data
