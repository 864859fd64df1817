"""Where servers are and what lets us in. No input or output here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr

from domain.host_keys import host_key_of

DEFAULT_PORT: Final = 22
ROOT: Final = "root"

# Best first. SHA-1 signatures (`ssh-rsa`) are left out: OpenSSH refuses them since 8.8.
HOST_KEY_ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
# One type of key may sign in several ways (RFC 8332).
SIGNATURES: Final = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True)
class ServerAddress:
    """Where a server listens and who logs in. `host` is a name or an address; IPv6 without brackets."""

    host: str
    port: int = DEFAULT_PORT
    user: str = ROOT

    @property
    def endpoint(self) -> str:
        """`host:port` for people, with brackets around IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.user}@{self.endpoint}"


@dataclass(frozen=True)
class SshTarget:
    """A server with the way in. Two equal targets are the same connection.

    `host_key` is the pinned key ("ssh-ed25519 AAAA…"); without one nobody logs in. `jump` is the server that
    we go through.
    """

    address: ServerAddress
    private_key: SecretStr
    passphrase: SecretStr | None = None
    host_key: str | None = None
    jump: SshTarget | None = None

    @property
    def jumps(self) -> tuple[SshTarget, ...]:
        """The servers on the way, the nearest to it first."""
        return (self.jump, *self.jump.jumps) if self.jump else ()


@dataclass(frozen=True)
class SshSettings:
    """Limits of a connection.

    A link that does not answer is given up after `keepalive_seconds * (keepalive_misses + 1)`: 12 s. OpenSSH
    allows 10 sessions for a connection (sshd_config(5), MaxSessions): ours are the `sessions` and one for
    SFTP. Forwarded connections are not sessions; `forwards` are more than an engine has threads that each
    hold one.
    """

    login_seconds: float = 10.0
    keepalive_seconds: float = 4.0
    keepalive_misses: int = 2
    sessions: int = 8
    forwards: int = 192
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 5.0
    spread_seconds: float = 1.0
    encryption: tuple[str, ...] = field(
        default=(
            # AES-GCM costs a fraction of the others' time where the processor has instructions for it.
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
            "aes256-ctr",
            "aes128-ctr",
        )
    )


def host_key_algorithms(pinned: str | None) -> list[str]:
    """What to ask of the server: the pinned kind first, then every other.

    With the pinned kind alone, a server that has lost it would look like one that speaks no SSH, instead of
    one whose key has changed.
    """
    algorithm = host_key_of(pinned).algorithm if pinned else ""
    first = SIGNATURES.get(algorithm, (algorithm,))
    return sorted(HOST_KEY_ALGORITHMS, key=lambda one: one not in first)


def pause_before_attempt(
    failures: int, settings: SshSettings, jitter: float, *, has_broken: bool = False
) -> float:
    """Seconds between a failed attempt and the next. `jitter`, 0 to 1, takes away up to half of it.

    The first attempt comes at once; the first after a link `has_broken` within `spread_seconds`, as `jitter`
    says, because whatever broke one link has often broken many.
    """
    if failures == 0:
        return settings.spread_seconds * jitter if has_broken else 0.0
    longest: float = min(settings.first_pause_seconds * 2 ** (failures - 1), settings.longest_pause_seconds)
    return longest * (1 - jitter / 2)
