"""Servers to deploy to: containers with a Debian, an sshd and, unless they are bare, a Docker Engine inside.

Each has an address of its own, so that its links can be cut, and a disk that survives its death.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import socket
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import docker
import docker.errors
from docker.types import IPAMConfig, IPAMPool

from tests.harness.git_over_ssh import generate_key
from tests.harness.images import build, exists, import_debian
from tests.harness.locks import exclusive, shared_folder

TRIXIE = "seaway-test/debian:trixie"
# The tags change with the recipes.
BARE = "seaway-test/server-bare:1"
SERVER = "seaway-test/server:1"
TINY = "seaway-test/tiny:1"
OWNER_LABEL = "seaway-test.owner"
READY_LIMIT_SECONDS = 60.0
IMAGES_INSIDE = "/seaway-test-images"
BUILDX = "/usr/libexec/docker/cli-plugins/docker-buildx"

# `maintainer` is root by sudo, and not in the group docker; `deployer` is in that group, and has no sudo.
BARE_DOCKERFILE = f"""\
FROM {TRIXIE}
RUN apt-get update -qq \\
 && apt-get install -y -qq --no-install-recommends openssh-server sudo iptables iproute2 procps >/dev/null \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /etc/ssh/ssh_host_* \\
 && useradd -m -s /bin/bash maintainer \\
 && echo 'maintainer ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/maintainer \\
 && useradd -m -s /bin/bash deployer
COPY sshd.conf /etc/ssh/sshd_config.d/seaway-test.conf
COPY boot /usr/local/sbin/boot
CMD ["sh", "/usr/local/sbin/boot"]
"""
SERVER_DOCKERFILE = f"""\
FROM {BARE}
RUN apt-get update -qq \\
 && apt-get install -y -qq --no-install-recommends \\
    docker.io docker-cli docker-buildx docker-compose >/dev/null \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \\
 && usermod -aG docker deployer
"""
TINY_DOCKERFILE = f"""\
FROM {TRIXIE} AS full
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends busybox-static >/dev/null
RUN mkdir -p /root-of-tiny/bin /root-of-tiny/tmp /root-of-tiny/www \\
 && for name in $(busybox --list); do ln -s busybox /root-of-tiny/bin/$name; done \\
 && cp --remove-destination /bin/busybox /root-of-tiny/bin/
FROM scratch
COPY --from=full /root-of-tiny/ /
ENV PATH=/bin
"""
SSHD_CONFIGURATION = """\
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
PerSourcePenalties no
"""
# What an init system would do. A cgroup of its own keeps its containers apart from those of the outer engine.
START_ENGINE = 'dockerd --cgroup-parent "/seaway-test/$(hostname)" >>/var/log/dockerd.log 2>&1 &'
BOOT = f"""\
mount -o remount,rw /proc/sys
mkdir -p /run/sshd
if command -v dockerd >/dev/null; then
    {START_ENGINE}
fi
exec /usr/sbin/sshd -D -e
"""
LINK_RULES = ("INPUT -i eth0", "OUTPUT -o eth0", "FORWARD -i eth0", "FORWARD -o eth0")


def ensure_server_images(client: docker.DockerClient) -> None:
    """Makes what is missing: about three minutes the first time."""
    with exclusive("server-images", timeout_seconds=1200):
        if not exists(client, TRIXIE):
            import_debian(client, "trixie", TRIXIE)
        boot = {"sshd.conf": SSHD_CONFIGURATION.encode(), "boot": BOOT.encode()}
        if not exists(client, BARE):
            build(client, {"Dockerfile": BARE_DOCKERFILE.encode(), **boot}, BARE)
        if not exists(client, SERVER):
            build(client, {"Dockerfile": SERVER_DOCKERFILE.encode()}, SERVER)
        if not exists(client, TINY):
            build(client, {"Dockerfile": TINY_DOCKERFILE.encode()}, TINY)


def copy_buildx(client: docker.DockerClient, folder: Path) -> Path:
    """The folder with the buildx of the servers' Debian in it; this machine may have none."""
    ensure_server_images(client)
    container = client.containers.create(SERVER, labels={OWNER_LABEL: str(os.getpid())})
    try:
        content = b"".join(container.get_archive(BUILDX)[0])
    finally:
        container.remove()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class SshServer:
    """One server. Its methods block: call them in a thread where an event loop has to go on."""

    def __init__(self, servers: SshServers, name: str, host: str, *, has_docker: bool) -> None:
        """`servers.add` makes one."""
        self.name = name
        self.host = host
        self.port = 22
        self._servers = servers
        private, public = generate_key(servers.folder / f"{name}_host_key", comment=name)
        self.host_key = " ".join(public.split()[:2])
        self._has_docker = has_docker
        self._container = self._create(private, public)

    @property
    def private_key(self) -> str:
        """Lets in `root`, `maintainer` (sudo) and `deployer` (group docker)."""
        return self._servers.private_key

    @property
    def pid(self) -> int:
        """Of its first process, as this machine sees it: the way to its network and its files."""
        self._container.reload()
        return int(self._container.attrs["State"]["Pid"])

    def start(self) -> Self:
        """It is up, with the disk that it had, when sshd listens and Docker answers."""
        self._container.start()
        self._wait_until(self._listens, "sshd does not listen")
        if self._has_docker:
            self._wait_until(lambda: self.run("docker", "version")[0] == 0, "dockerd does not answer")
        return self

    def stop(self) -> None:
        """It is shut down; `start` boots it again."""
        self._container.stop(timeout=5)

    def kill(self) -> None:
        """It loses its power: nobody is told, and what is connected to it hears nothing any more."""
        self.cut()  # a kernel that goes on would close the connections of the killed
        self._container.kill()

    def cut(self) -> None:
        """From now on every packet to and from it is lost, without an answer to anyone."""
        self._rules("-I")

    def heal(self) -> None:
        """The opposite of `cut`."""
        self._rules("-D")

    def give_ipv6(self) -> str:
        """An IPv6 address of its own, besides the other one."""
        address = self._servers.ipv6_address()
        self._servers.ipv6_network.connect(self._container, ipv6_address=address)
        return address

    def reset_links(self) -> None:
        """Its side of every SSH connection dies."""
        self.run("pkill", "-KILL", "-x", "sshd-session")

    def change_host_key(self) -> str:
        """It shows another host key from now on; the line of its public part. Connections are reset."""
        private, public = generate_key(
            self._servers.folder / f"{self.name}_{uuid.uuid4().hex[:8]}", comment=self.name
        )
        files = {"ssh_host_ed25519_key": (private, 0o600), "ssh_host_ed25519_key.pub": (public, 0o644)}
        self._container.put_archive("/etc/ssh", _archive(files))
        self.host_key = " ".join(public.split()[:2])
        # It reads its keys anew (sshd(8)).
        self.run("pkill", "-HUP", "-x", "sshd")
        self.reset_links()
        return self.host_key

    def stop_engine(self) -> None:
        """As `systemctl stop docker` would: its containers end with it."""
        self.run("pkill", "-TERM", "-x", "dockerd")
        self._wait_until(lambda: self.run("pgrep", "-x", "dockerd")[0] != 0, "dockerd does not end")

    def start_engine(self) -> None:
        """The opposite of `stop_engine`; Docker answers afterwards."""
        self.run("sh", "-c", START_ENGINE)
        self._wait_until(lambda: self.run("docker", "version")[0] == 0, "dockerd does not answer")

    def shrink_disk(self, megabytes: int) -> None:
        """Its engine begins anew on a disk of that size, which is in memory: no other disk gets full."""
        self.stop_engine()
        size = f"size={megabytes}m"
        code, output = self.run("mount", "-t", "tmpfs", "-o", size, "tmpfs", "/var/lib/docker")
        if code != 0:
            raise RuntimeError(f"{self.name} has no smaller disk: {output}")
        self.start_engine()

    @contextlib.contextmanager
    def dropping(self, *rule: str) -> Iterator[None]:
        """Packets that match the rule of iptables are lost on this server for as long as the block lasts."""
        self._rule("-I", *rule)
        try:
            yield
        finally:
            self._rule("-D", *rule)

    def run(self, *argv: str) -> tuple[int, str]:
        """Runs a command as root, past SSH and links that are cut; exit code and output."""
        done = self._container.exec_run(list(argv))
        return done.exit_code, done.output.decode(errors="replace")

    def log(self) -> str:
        """What its sshd has said."""
        return str(self._container.logs().decode(errors="replace"))

    def load(self, image: str) -> None:
        """Its engine has an image that the outer one has."""
        archive = self._servers.archive(image)
        code, output = self.run("docker", "load", "-q", "-i", f"{IMAGES_INSIDE}/{archive.name}")
        if code != 0:
            raise RuntimeError(f"{self.name} cannot load {image}:\n{output}")

    def remove(self) -> None:
        """It and its disk are gone."""
        with contextlib.suppress(docker.errors.NotFound):
            self._container.remove(v=True, force=True)
        _remove_cgroups(self.name)

    def _create(self, private: str, public: str) -> Any:
        shared = self._servers.shared
        container = self._servers.client.containers.create(
            SERVER if self._has_docker else BARE,
            name=self.name,
            hostname=self.name,
            labels={OWNER_LABEL: str(os.getpid())},
            init=True,
            cap_add=["ALL"],
            # The outer engine's own machine may lack it, and `--privileged` would ask for it.
            cap_drop=["SYS_RESOURCE"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            cgroupns="host",
            volumes={
                "/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"},
                str(self._servers.archives): {"bind": IMAGES_INSIDE, "mode": "ro"},
                **({str(shared): {"bind": str(shared), "mode": "rw"}} if shared else {}),
            },
            # A disk that overlayfs can use; a bare server gets its Docker later.
            mounts=[docker.types.Mount("/var/lib/docker", None, type="volume")],
            tmpfs={"/run": "exec,mode=755"},
            network=self._servers.network.name,
            networking_config={
                self._servers.network.name: self._servers.client.api.create_endpoint_config(
                    ipv4_address=self.host
                )
            },
        )
        files = {
            "ssh_host_ed25519_key": (private, 0o600),
            "ssh_host_ed25519_key.pub": (public, 0o644),
            "authorized_keys": (self._servers.public_key, 0o644),
        }
        container.put_archive("/etc/ssh", _archive(files))
        return container

    def _rules(self, action: str) -> None:
        # All at the same moment: nothing may get in that cannot get out.
        rules = "".join(f"{action} {rule} -j DROP\n" for rule in LINK_RULES)
        restore = f"printf '*filter\n{rules}COMMIT\n' | iptables-restore --wait --noflush"
        code, output = self.run("sh", "-c", restore)
        if code != 0:
            raise RuntimeError(f"iptables-restore on {self.name}: {output}")

    def _rule(self, action: str, *rule: str) -> None:
        code, output = self.run("iptables", "-w", action, *rule, "-j", "DROP")
        if code != 0:
            raise RuntimeError(f"iptables on {self.name}: {output}")

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _wait_until(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + READY_LIMIT_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                log = self._container.logs(tail=20).decode(errors="replace")
                raise RuntimeError(f"{self.name}: {complaint}\n{log}")
            time.sleep(0.1)


class SshServers:
    """Servers in a network of their own; leaving the block removes all of it."""

    def __init__(self, client: docker.DockerClient, folder: Path, *, shared: Path | None = None) -> None:
        """`folder` keeps their keys; each has the folder `shared` of this machine by the same path."""
        self.client = client
        self.folder = folder
        self.shared = shared
        self.archives = shared_folder() / "images"
        self.servers: list[SshServer] = []
        self._ipv6: Any = None
        self._prefix = f"fd21:{random.randrange(1, 0xFFFF):x}:{random.randrange(1, 0xFFFF):x}:"
        self._numbers = itertools.count(16)

    def __enter__(self) -> Self:
        ensure_server_images(self.client)
        remove_abandoned(self.client)
        self.archives.mkdir(exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.private_key, self.public_key = generate_key(self.folder / "user_key", comment="seaway-test")
        self.network, self._hosts = _make_network(self.client)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.remove()
        self.network.remove()
        if self._ipv6 is not None:
            self._ipv6.remove()

    def add(self, name: str = "server", *, docker: bool = True) -> SshServer:
        """A new server, which is up. Without `docker` it is a bare Debian."""
        server = SshServer(self, f"{name}-{uuid.uuid4().hex[:8]}", next(self._hosts), has_docker=docker)
        self.servers.append(server)
        return server.start()

    @property
    def ipv6_network(self) -> Any:
        """A network with IPv6 addresses, made when it is first asked for."""
        if self._ipv6 is None:
            self._ipv6 = self.client.networks.create(
                f"seaway-test-ipv6-{uuid.uuid4().hex[:8]}",
                driver="bridge",
                enable_ipv6=True,
                labels={OWNER_LABEL: str(os.getpid())},
                ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=f"{self._prefix}:/64")]),
            )
        return self._ipv6

    def ipv6_address(self) -> str:
        """One that no server has yet."""
        return f"{self._prefix}:{next(self._numbers):x}"

    def archive(self, image: str) -> Path:
        """The image as a file that the servers see; kept between runs."""
        found = self.client.images.get(image)
        path = self.archives / f"{found.id.rpartition(':')[2]}.tar"
        with exclusive("image-archives"):
            if not path.exists():
                unfinished = path.with_suffix(".part")
                with unfinished.open("wb") as file:
                    for chunk in found.save(named=True):
                        file.write(chunk)
                unfinished.rename(path)
        return path


def remove_abandoned(client: docker.DockerClient) -> None:
    """Removes servers and networks whose test process is gone."""
    filters = {"label": OWNER_LABEL}
    # Another process may be removing its own at this moment.
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        if not Path(f"/proc/{container.labels[OWNER_LABEL]}").exists():
            with contextlib.suppress(docker.errors.APIError):
                container.remove(v=True, force=True)
            _remove_cgroups(container.name)
    for network in client.networks.list(filters=filters):
        if not Path(f"/proc/{network.attrs['Labels'][OWNER_LABEL]}").exists():
            with contextlib.suppress(docker.errors.APIError):
                network.remove()


def _make_network(client: docker.DockerClient) -> tuple[Any, Iterator[str]]:
    # A subnet of ours, because only then may addresses be chosen, and a server keeps its address.
    for third in random.sample(range(256), 20):
        subnet = f"10.213.{third}"
        pool = IPAMPool(subnet=f"{subnet}.0/24", gateway=f"{subnet}.1")
        try:
            network = client.networks.create(
                f"seaway-test-servers-{uuid.uuid4().hex[:8]}",
                driver="bridge",
                labels={OWNER_LABEL: str(os.getpid())},
                ipam=IPAMConfig(pool_configs=[pool]),
            )
        except docker.errors.APIError as error:
            if "overlaps" not in str(error):
                raise
            continue
        return network, (f"{subnet}.{last}" for last in range(2, 255))
    raise RuntimeError("no free subnet for the test servers below 10.213.0.0/16")


def _remove_cgroups(name: str) -> None:
    # Its containers died with it, but their groups stay in the hierarchy of the machine.
    for root in _cgroups_of(name):
        # Groups of others come and go meanwhile, and `find` goes on without them.
        subprocess.run(
            ["find", str(root), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"],
            check=False,
            stderr=subprocess.DEVNULL,
        )


def _cgroups_of(name: str, hierarchies: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    # `Path.glob` fails where a folder vanishes under it, as every container that ends makes one do.
    return [
        Path(folder, name)
        for folder, folders, _ in os.walk(hierarchies)
        if Path(folder).name == "seaway-test" and name in folders
    ]


def _archive(files: dict[str, tuple[str, int]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, (text, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), mode
            archive.addfile(entry, io.BytesIO(text.encode()))
    return content.getvalue()
