"""How many connections a container has open, for an exact drain (proc(5), `/proc/net/tcp`)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

from adapters.docker.engine import DockerEngine
from adapters.host_commands import HostCommands
from domain.errors import CommandFailed, DeadlineExceeded

ESTABLISHED = "01"
LOOK_LIMIT = timedelta(seconds=20)
NO_PROCESS = 3
_LOOK = f"""
[ -d "$1" ] || exit {NO_PROCESS}
cat "$1/net/tcp" || {{ [ -d "$1" ] && exit 1; exit {NO_PROCESS}; }}
[ ! -e "$1/net/tcp6" ] || cat "$1/net/tcp6"
"""
# What reading the table of a process that ends gives, depending on how far it has got.
GONE = (errno.ENOENT, errno.ESRCH, errno.EINVAL)


def established_connections(proc_net_tcp: str, port: int, excluded: Collection[str] = ()) -> int:
    """The established connections to a local port in the text of `/proc/net/tcp` or `tcp6`.

    `excluded` are remote addresses that do not count; an IPv4 address is also meant in its mapped IPv6 form.
    Lines that are cut short are passed over.
    """
    wanted = f"{port:04X}"
    count = 0
    for line in proc_net_tcp.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or fields[3] != ESTABLISHED or fields[1].rpartition(":")[2] != wanted:
            continue
        if not excluded or _address(fields[2].partition(":")[0]) not in excluded:
            count += 1
    return count


def connections_to(proc_net_tcp: str, targets: Collection[tuple[str, int]]) -> int:
    """The established connections from there to any of these addresses and ports, in the same text."""
    count = 0
    for line in proc_net_tcp.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[3] != ESTABLISHED or ":" not in fields[2]:
            continue
        address, _, port = fields[2].partition(":")
        count += (_address(address), int(port, 16)) in targets
    return count


async def outgoing_connections(
    commands: HostCommands, pid: int, targets: Collection[tuple[str, int]]
) -> int | None:
    """The same for a process of a server, such as its proxy's; None when its tables cannot be read.

    Raises ServerUnreachable.
    """
    if pid <= 0:
        return None
    looked = await commands.run(["sh", "-c", _LOOK, "seaway", f"/proc/{pid}"], timeout=LOOK_LIMIT, sudo=True)
    return connections_to(looked.stdout, targets) if looked.exit_code == 0 else None


class ConnectionCounter(Protocol):
    """Counts what is open to a port of a process on one server."""

    async def open_connections(self, pid: int, port: int) -> int | None:
        """The established connections; 0 when the process is gone, None when they cannot be seen."""
        ...


class LocalConnections:
    """The server is this machine."""

    async def open_connections(self, pid: int, port: int) -> int | None:
        """See `ConnectionCounter`."""
        return await open_connections(pid, port)


class RemoteConnections:
    """Looks by a command on the server, as root where its user may."""

    def __init__(self, commands: HostCommands) -> None:
        self._commands = commands

    async def open_connections(self, pid: int, port: int) -> int | None:
        """See `ConnectionCounter`. Raises ServerUnreachable."""
        if pid <= 0:
            return 0
        folder = f"/proc/{pid}"
        # In one go, so that an absent process and tables that may not be read are told apart.
        looked = await self._commands.run(
            ["sh", "-c", _LOOK, "seaway", folder], timeout=LOOK_LIMIT, sudo=True
        )
        if looked.exit_code == NO_PROCESS:
            return 0
        return established_connections(looked.stdout, port) if looked.exit_code == 0 else None


async def connections_inside(engine: DockerEngine, container: str, port: int) -> int | None:
    """The same, by a command in the container itself, for who may not look from the server.

    None where the image lacks `sh` or `cat`, or the container does not run.
    """
    lines: list[str] = []
    tables = ["/proc/net/tcp", "/proc/net/tcp6"]
    try:
        await engine.execute(container, ["cat", *tables], lines.append, LOOK_LIMIT.total_seconds())
    except (CommandFailed, DeadlineExceeded):
        return None
    # A kernel without IPv6 lacks the second one, so the exit code tells nothing.
    has_table = any(line.split()[:1] == ["sl"] for line in lines)
    return established_connections("\n".join(lines), port) if has_table else None


async def open_connections(pid: int, port: int, excluded: Collection[str] = ()) -> int | None:
    """The established connections to a port in the network of a process of this machine.

    0 when the process is gone, None when its tables cannot be read.
    """
    return await asyncio.to_thread(_open_connections, pid, port, excluded)


def _open_connections(pid: int, port: int, excluded: Collection[str]) -> int | None:
    count = 0
    # An engine gives a container that does not run the pid 0.
    for name in ("tcp", "tcp6") if pid > 0 else ():
        try:
            text = Path(f"/proc/{pid}/net/{name}").read_text("ascii", errors="replace")
        except OSError as error:
            if error.errno in GONE and not Path(f"/proc/{pid}/net/tcp").exists():
                return 0
            if name == "tcp6" and error.errno == errno.ENOENT:
                continue  # a kernel without IPv6
            return None if error.errno not in GONE else 0
        count += established_connections(text, port, excluded)
    return count


def _address(text: str) -> str:
    """An address as people write it; the kernel prints it as 32-bit words in the machine's byte order."""
    if len(text) == 8:
        return str(IPv4Address(_little_endian(text)))
    address = IPv6Address(b"".join(_little_endian(text[start : start + 8]) for start in range(0, 32, 8)))
    return str(address.ipv4_mapped or address)


def _little_endian(word: str) -> bytes:
    return bytes.fromhex(word)[::-1]
