"""A real OpenSSH server on this machine, for its own user, with everything that a server of ours has."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness.engine import SEARCH_PATH
from tests.harness.git_over_ssh import account_is_locked, generate_key, wait_until_it_listens
from tests.harness.processes import ManagedProcess, free_port


@dataclass(frozen=True)
class SshDaemon:
    """A running server. `private_key` is one that it lets in."""

    host: str
    port: int
    user: str
    private_key: str
    host_key: str
    folder: Path
    process: ManagedProcess

    def sessions(self) -> list[int]:
        """The processes that serve its connections."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill_sessions(self) -> None:
        """Every connection breaks, and the server runs on."""
        self.signal_sessions(signal.SIGKILL)

    def signal_sessions(self, number: signal.Signals) -> None:
        """SIGSTOP makes connections that stay open and say nothing."""
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def log_ins(self) -> int:
        """How many connections have been let in so far."""
        return self.process.output.count("Accepted publickey")

    def authorize(self, public_key: str) -> None:
        """Lets another key in."""
        with (self.folder / "authorized_keys").open("a") as keys:
            keys.write(f"{public_key.strip()}\n")


@contextlib.contextmanager
def serve_sshd(
    folder: Path, host: str = "127.0.0.1", options: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[SshDaemon]:
    """Runs a server with its files in `folder`; the same folder again gives the same host key.

    `options` of sshd_config(5) stand in place of ours.
    """
    daemon = shutil.which("sshd", path=SEARCH_PATH)
    if daemon is None:
        raise RuntimeError("these tests need sshd (Debian, Ubuntu: apt-get install -y openssh-server)")
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root does not start without it
    for name in ("user_key", "host_key"):
        if not (folder / name).exists():
            generate_key(folder / name, comment=name)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    port = port or free_port()
    configuration = folder / "sshd_config"
    configuration.write_text(_configuration(folder, host, port, options or {}))
    with ManagedProcess([daemon, "-D", "-e", "-f", str(configuration)], log_path=folder / "log") as process:
        served = SshDaemon(
            host=host,
            port=port,
            user=getpass.getuser(),
            private_key=(folder / "user_key").read_text(),
            host_key=" ".join((folder / "host_key.pub").read_text().split()[:2]),
            folder=folder,
            process=process,
        )
        try:
            wait_until_it_listens(process, port, host)
            yield served
        finally:
            # They lead sessions of their own, which the end of the process group does not reach.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                served.kill_sessions()


def _configuration(folder: Path, host: str, port: int, options: Mapping[str, str]) -> str:
    lines = [
        f"Port {port}",
        f"ListenAddress {host}",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "StrictModes no",
        f"UsePAM {'yes' if account_is_locked() else 'no'}",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "MaxStartups 100",
        "LogLevel VERBOSE",
        "Subsystem sftp internal-sftp",
    ]
    lines = [line for line in lines if line.split()[0] not in options]
    return "\n".join([*(f"{name} {value}" for name, value in options.items()), *lines, ""])
