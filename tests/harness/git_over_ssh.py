"""Git over SSH: a real OpenSSH server that lets deploy keys in, for Git alone."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness.engine import SEARCH_PATH
from tests.harness.processes import ManagedProcess, free_port

START_LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class GitSshServer:
    """A running server. `private_key` is a deploy key that it accepts."""

    port: int
    user: str
    private_key: str
    private_key_path: Path
    public_key: str
    host_key: str
    authorized_keys_path: Path
    process: ManagedProcess

    def url(self, bare_repository: Path) -> str:
        """The `ssh://` URL of a bare repository."""
        return f"ssh://{self.user}@127.0.0.1:{self.port}{bare_repository.resolve()}"

    @property
    def known_hosts_line(self) -> str:
        """The server's key as `known_hosts` has it."""
        return f"[127.0.0.1]:{self.port} {self.host_key}"

    def authorize(self, public_key: str) -> None:
        """Lets another deploy key in."""
        with self.authorized_keys_path.open("a") as keys:
            keys.write(f"{public_key.strip()}\n")

    def revoke_all(self) -> None:
        """Lets no key in any more."""
        self.authorized_keys_path.write_text("")


def generate_key(path: Path, comment: str = "deploy key") -> tuple[str, str]:
    """Makes an Ed25519 key pair at `path` and `path.pub`; private and public text."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    return path.read_text(), path.with_name(f"{path.name}.pub").read_text().strip()


@contextlib.contextmanager
def serve_ssh(folder: Path) -> Iterator[GitSshServer]:
    """Runs a server on 127.0.0.1, its files in `folder`; it serves each repository that this user reads."""
    daemon = shutil.which("sshd", path=SEARCH_PATH)
    if daemon is None:
        raise RuntimeError("Git over SSH needs sshd (Debian, Ubuntu: apt-get install -y openssh-server)")
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root does not start without it
    private_key, public_key = generate_key(folder / "deploy_key")
    _, host_key = generate_key(folder / "host_key", comment="host")
    keys = folder / "authorized_keys"
    keys.write_text(f"{public_key}\n")
    port = free_port()
    configuration = folder / "sshd_config"
    configuration.write_text(server_configuration(folder, port, uses_pam=account_is_locked()))
    with ManagedProcess([daemon, "-D", "-e", "-f", str(configuration)], log_path=folder / "log") as process:
        wait_until_it_listens(process, port)
        yield GitSshServer(
            port=port,
            user=getpass.getuser(),
            private_key=private_key,
            private_key_path=folder / "deploy_key",
            public_key=public_key,
            host_key=" ".join(host_key.split()[:2]),
            authorized_keys_path=keys,
            process=process,
        )


def server_configuration(folder: Path, port: int, *, uses_pam: bool) -> str:
    """The text of `sshd_config`: keys only, and nothing but Git commands."""
    return "\n".join(
        [
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {folder}/host_key",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "PidFile none",
            "StrictModes no",
            f"UsePAM {'yes' if uses_pam else 'no'}",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitTTY no",
            "DisableForwarding yes",
            "AcceptEnv GIT_PROTOCOL",
            "MaxStartups 100",
            "LogLevel VERBOSE",
            'ForceCommand git-shell -c "$SSH_ORIGINAL_COMMAND"',
            "",
        ]
    )


def account_is_locked() -> bool:
    """Whether sshd lets this user in only by way of PAM."""
    # Without PAM, sshd refuses an account whose password field starts with "!" even by key.
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{getpass.getuser()}:!") for line in lines)


def wait_until_it_listens(process: ManagedProcess, port: int, host: str = "127.0.0.1") -> None:
    """Returns when sshd accepts connections; a RuntimeError with its output when it does not."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            if not process.is_running or time.monotonic() > deadline:
                raise RuntimeError(f"sshd does not listen:\n{process.tail()}") from None
            time.sleep(0.02)
