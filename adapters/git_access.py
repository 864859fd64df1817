"""How Git proves who it is, without a secret in an argument, in a mirror or on the disk."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from adapters.git_commands import CONFIGURATION
from domain.errors import RepositoryRefused
from domain.git_references import RepositoryAddress, RepositoryScheme

# Git asks "Username for 'https://host': " and "Password for 'https://user@host': ". Only this host is
# answered: not a host that a redirect or a submodule leads to.
ASKPASS: Final = """\
#!/bin/sh
case "$1" in
*"://$SEAWAY_GIT_HOST'"* | *"@$SEAWAY_GIT_HOST'"*) ;;
*) exit 1 ;;
esac
case "$1" in
Username*) printf '%s\\n' "$SEAWAY_GIT_USERNAME" ;;
*) printf '%s\\n' "$SEAWAY_GIT_PASSWORD" ;;
esac
"""
# What a firewall needs (proxies, own authorities) and nothing else of the worker's environment.
PASSED_ON: Final = (
    "PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
    "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip
# https must not be led down to http.
ALLOWED_PROTOCOLS: Final[Mapping[RepositoryScheme, str]] = {
    RepositoryScheme.HTTPS: "https",
    RepositoryScheme.HTTP: "http:https",
    RepositoryScheme.SSH: "ssh",
    RepositoryScheme.GIT: "git",
    RepositoryScheme.FILE: "file",
}
WEB: Final = (RepositoryScheme.HTTPS, RepositoryScheme.HTTP)


@dataclass(frozen=True)
class GitCredential:
    """A deploy key, or a name with a password or token; `id` keeps mirrors of different keys apart.

    With `known_hosts` only these host keys are accepted; without it, the one of the first contact is
    pinned.
    """

    private_key: SecretStr | None = None
    username: str = ""
    password: SecretStr | None = None
    known_hosts: str | None = None
    id: str = ""

    def for_submodule(self, parent: RepositoryAddress, address: RepositoryAddress) -> GitCredential | None:
        """What of it a submodule may use: a password only on the same server."""
        if (parent.scheme, parent.host, parent.port) == (address.scheme, address.host, address.port):
            return self
        return GitCredential(private_key=self.private_key, id=self.id) if self.private_key else None


class GitHome:
    """The folder with the few fixed files that Git needs around it: configuration, askpass, known hosts."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        self.empty = root / "home"
        self.empty.mkdir(mode=0o700, exist_ok=True)
        self.known_hosts = root / "known_hosts"
        self.configuration = _write(root / "gitconfig", CONFIGURATION, 0o600)
        self.askpass = _write(root / "askpass", ASKPASS, 0o700)

    @contextlib.contextmanager
    def access(
        self, address: RepositoryAddress, credential: GitCredential | None
    ) -> Iterator[dict[str, str]]:
        """The environment for Git to reach this address; keys live in memory until the context ends.

        Raises RepositoryRefused for the mirrors themselves: they hold what others had the keys to.
        """
        credential = credential or GitCredential()
        self._refuse_own(address)
        with contextlib.ExitStack() as files:
            environment = self.environment(address.scheme)
            if address.scheme is RepositoryScheme.SSH:
                key = hosts = None
                if credential.private_key is not None:
                    key = files.enter_context(file_in_memory(_key_text(credential.private_key)))
                if credential.known_hosts:
                    hosts = files.enter_context(file_in_memory(credential.known_hosts))
                environment["GIT_SSH_COMMAND"] = shlex.join(ssh_command(key, hosts, self.known_hosts))
            elif address.scheme in WEB:
                environment |= web_credentials(address, credential)
            yield environment

    def _refuse_own(self, address: RepositoryAddress) -> None:
        if address.scheme is not RepositoryScheme.FILE:
            return
        # Two slashes at the start would be kept (POSIX), and then compare as another folder.
        path = Path("/" + address.path.lstrip("/")).resolve()
        if path.is_relative_to(self.root.resolve()):
            raise RepositoryRefused(f"{address.display} is a mirror of Seaway's own; name the repository.")

    def environment(self, scheme: RepositoryScheme = RepositoryScheme.FILE) -> dict[str, str]:
        """The environment for Git to talk to this kind of repository only, without credentials."""
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "HOME": str(self.empty),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.configuration),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": str(self.askpass),
            "GIT_ALLOW_PROTOCOL": ALLOWED_PROTOCOLS[scheme],
        }


def ssh_command(key: Path | None, pinned_hosts: Path | None, known_hosts: Path) -> list[str]:
    """OpenSSH without any configuration or key of the user that the worker runs as (ssh_config(5))."""
    identity = ["-i", str(key), "-o", "IdentitiesOnly=yes"] if key else ["-o", "PubkeyAuthentication=no"]
    hosts = pinned_hosts or known_hosts
    options = {
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes" if pinned_hosts else "accept-new",
        "UserKnownHostsFile": str(hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "2",
        "LogLevel": "ERROR",
    }
    settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "/dev/null", *identity, *settings]


def web_credentials(address: RepositoryAddress, credential: GitCredential) -> dict[str, str]:
    """What the askpass program answers, from the credential or else from the address itself."""
    host = address.display.partition("://")[2].partition("/")[0]
    username, password = address.user, address.password
    if credential.password is not None:
        # Every large forge takes a token as password with any user name.
        username, password = credential.username or "x-access-token", credential.password.get_secret_value()
    if not username and not password:
        return {}
    return {
        "SEAWAY_GIT_HOST": host,
        "SEAWAY_GIT_USERNAME": username,
        "SEAWAY_GIT_PASSWORD": password,
    }


@contextlib.contextmanager
def file_in_memory(content: str) -> Iterator[Path]:
    """A file for this user only, on no disk and gone with this process (memfd_create(2))."""
    with os.fdopen(os.memfd_create("seaway"), "wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content.encode())
        yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


def _key_text(key: SecretStr) -> str:
    # OpenSSH refuses a key with Windows line ends or without a final line feed ("error in libcrypto").
    return "\n".join(key.get_secret_value().strip().splitlines()) + "\n"


def _write(path: Path, content: str, mode: int) -> Path:
    """Writes by rename, because another worker may read the same file at this moment."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(content)
    temporary.chmod(mode)
    return temporary.replace(path)
