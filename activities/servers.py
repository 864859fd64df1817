"""How activities get at a server: the same parts, wherever it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.connections import ConnectionCounter
from adapters.docker.engine import DockerEngine
from adapters.host_commands import HostCommands
from adapters.host_files import HostFiles
from adapters.proxy import Proxy
from adapters.reach import Reach
from adapters.ssh.connection import SshConnection
from adapters.traefik.tunnels import ProxyTunnels
from domain.build_limits import BuildShares


@dataclass(frozen=True)
class SwarmParts:
    """What a manager of a Docker Swarm has besides: a way to tasks on all nodes, by way of its proxy."""

    tunnels: ProxyTunnels
    proxy_container: str


@dataclass(frozen=True)
class ServerParts:
    """One server: its engine, proxy, network and files; `is_local` when its processes are ours to see.

    With `swarm`, applications are services of that Swarm, and `network` spans its nodes.
    """

    engine: DockerEngine
    proxy: Proxy
    reach: Reach
    files: HostFiles
    network: str
    commands: HostCommands
    connections: ConnectionCounter
    is_local: bool = True
    swarm: SwarmParts | None = None


class Servers(Protocol):
    """Finds the parts of a server by its id and keeps its connection open."""

    async def parts(self, server_id: str) -> ServerParts:
        """The server's parts. Raises NotFound, ServerUnreachable, AuthenticationRefused, HostKeyChanged."""
        ...

    async def link(self, server_id: str) -> SshConnection:
        """The connection to a server over SSH. Raises NotFound, NotPossibleNow for the local server."""
        ...

    async def forget(self, server_id: str) -> None:
        """Ends the connection to a server, so that the next use logs in anew; unknown is fine."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What activities need to know about this installation."""

    work_folder: Path
    http_port: int = 80
    https_port: int = 443
    """On which the proxy of Seaway's own machine serves; all others have the usual ports."""
    minimum_free_disk_bytes: int = 0
    edge_port: int = 9480
    """On which servers over SSH take what an application's edge sends them."""
    instance: str = "seaway"
    build_shares: BuildShares | None = None
    """What builds may use; None looks at nothing."""

    @property
    def file_times_folder(self) -> Path:
        """Where this machine's builds write down since when files are as they are."""
        return self.work_folder / "file-times"
