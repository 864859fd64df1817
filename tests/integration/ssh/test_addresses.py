"""A server whose name has two addresses, of which one never answers: it is reached by the other one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from adapters.ssh.addresses import open_socket
from tests.harness.processes import REPOSITORY_ROOT, free_port
from tests.harness.ssh_daemon import SshDaemon, serve_sshd

NAME = "twin.seaway.test"
ADDRESSES = ("127.0.0.1", "127.0.0.2")
LIMIT_SECONDS = 60
LOGIN_SECONDS = 20
# The names of this machine stay as they are: who asks has a file of hosts of its own (unshare(1)).
WITH_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/hosts && shift && exec "$@"', "sh")
VISITOR = """
import asyncio, json, sys, time
from datetime import timedelta
from pydantic import SecretStr
from adapters.ssh.connection import ServerAddress, SshConnection, SshSettings, SshTarget
from adapters.ssh.first_contact import first_contact

async def visit(way):
    settings = SshSettings(login_seconds=way["login_seconds"])
    address = ServerAddress(way["host"], way["port"], way["user"])
    target = SshTarget(address, SecretStr(way["private_key"]), host_key=way["host_key"])
    began = time.monotonic()
    shown = await first_contact(address, settings=settings)
    connection = SshConnection(target, settings)
    said = await connection.run(["echo", "let in"], timeout=timedelta(seconds=way["login_seconds"]))
    seconds = time.monotonic() - began
    await connection.close()
    print(json.dumps({"shown": shown.text, "said": said.stdout.strip(), "seconds": seconds}))

asyncio.run(visit(json.load(sys.stdin)))
"""


@dataclass(frozen=True)
class Way:
    """What a visitor needs to know, by a name."""

    port: int
    user: str
    private_key: str
    host_key: str
    host: str = NAME
    login_seconds: float = LOGIN_SECONDS

    @classmethod
    def to(cls, daemon: SshDaemon) -> Way:
        """The way to this server."""
        return cls(daemon.port, daemon.user, daemon.private_key, daemon.host_key)


@contextlib.contextmanager
def deaf(address: str, port: int) -> Iterator[None]:
    """Whoever connects there hears nothing: the queue is full, so the kernel drops what comes (listen(2))."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filling.connect((address, port))
        yield


async def visit(way: Way, hosts: Path) -> dict[str, str | float]:
    """What somebody hears who finds these addresses under the name."""
    process = await asyncio.create_subprocess_exec(
        *WITH_HOSTS, str(hosts), sys.executable, "-c", VISITOR,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=REPOSITORY_ROOT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            output, errors = await process.communicate(json.dumps(asdict(way)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    heard: dict[str, str | float] = json.loads(output)
    return heard


# The system chooses which of them comes first, so each of them is the deaf one once.
@pytest.mark.parametrize(("answering", "silent"), [ADDRESSES, ADDRESSES[::-1]])
async def test_a_name_is_reached_by_whichever_of_its_addresses_answers(
    tmp_path: Path, answering: str, silent: str
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{address} {NAME}\n" for address in ADDRESSES))
    with serve_sshd(tmp_path / "sshd", answering, port=free_port()) as daemon, deaf(silent, daemon.port):
        heard = await visit(Way.to(daemon), hosts)
        assert (heard["shown"], heard["said"]) == (daemon.host_key, "let in")
        assert float(heard["seconds"]) < LOGIN_SECONDS


async def test_an_address_that_refuses_is_told_and_one_that_accepts_is_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        async with asyncio.timeout(10):
            with await open_socket("127.0.0.1", port) as connected:
                assert connected.getpeername() == ("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        await open_socket("127.0.0.1", port)
