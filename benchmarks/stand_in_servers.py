"""Servers that are none: one SSH server that answers for as many as are asked for, and for their engines.

Commands are answered after a while, with a real server's output, and the Docker API over the forwarded
socket, as Docker 20.10 does. It runs in a process of its own, so that its work is not counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWER_SECONDS = 0.02
PORT_FILE = "port"
APPLICATION = "shop"
"""Has replicas on each of them."""


class StandInEngine:
    """Answers the calls of the watch, for as many engines as there are servers."""

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._cpu = 0

    async def answer(self, reader: Any, writer: Any) -> None:
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
        except (ConnectionError, asyncssh.Error):
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
        labels = {"seaway.managed": "true", "seaway.role": "replica", "seaway.application": APPLICATION}
        return {"Id": f"{number:064x}", "Names": [f"/shop-{number}"], "State": "running", "Labels": labels}


class StandInServer(asyncssh.SSHServer):
    """One connection; who has the key is let in, whatever the name, and finds an engine."""

    def __init__(self, key: asyncssh.SSHKey, engine: StandInEngine) -> None:
        self._key = key
        self._engine = engine

    def public_key_auth_supported(self) -> bool:
        """See `asyncssh.SSHServer`."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """See `asyncssh.SSHServer`."""
        return key == self._key

    def unix_connection_requested(self, dest_path: str) -> Any:
        """Every path is that of the engine's socket."""
        return self._engine.answer


def serve(folder: Path, replicas: int, host_key: str, user_key: str) -> None:
    """Runs until it is ended; the port is in the file of that name, which appears when somebody listens."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # of answers to those that have gone
    engine, jiffies = StandInEngine(replicas), Counter[str]()
    key = asyncssh.import_public_key(user_key)

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await asyncio.sleep(ANSWER_SECONDS)
        name = str(process.get_extra_info("username"))
        jiffies[name] += 1000
        process.stdout.write(host_answer(jiffies[name]).encode())
        process.exit(0)

    async def run() -> None:
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: StandInServer(key, engine),
            server_host_keys=[asyncssh.import_private_key(host_key)],
            process_factory=answer,
            encoding=None,
            backlog=512,
        )
        unfinished = folder / f"{PORT_FILE}.new"
        unfinished.write_text(str(listener.get_port()))
        unfinished.rename(folder / PORT_FILE)
        await asyncio.Event().wait()

    asyncio.run(run())


def host_answer(jiffies: int) -> str:
    """What a server with two processors says of itself when it has run for so long."""
    busy, idle = jiffies // 4, jiffies
    lines = [f"cpu{name} {busy} 0 0 {idle} 0 0 0 0 0 0" for name in ("", "0", "1")]
    lines += [f"Mem{name}: 4000000 kB" for name in ("Total", "Free", "Available")]
    lines += ["load 0.42", "/dev/vda1 100000000 40000000 60000000 40% /"] * 2
    return "\n".join(lines)
