"""What the API needs to know and to have done about servers. Others do the work: the API reaches none."""

from __future__ import annotations

from typing import Protocol

from pydantic import SecretStr

from domain.errors import NotPossibleNow
from domain.host_keys import HostKey
from store.tables import Server


class HostKeys(Protocol):
    """Asks servers for their host keys."""

    async def shown_by(self, server: Server) -> HostKey:
        """The key that the server shows now, through its jump server if it has one; nobody logs in to it.

        Raises ServerUnreachable, and for the jump server what logging in there raises.
        """
        ...


class KeyPair(Protocol):
    """A key pair; the private half has no passphrase, because Seaway encrypts it."""

    @property
    def private_key(self) -> SecretStr:
        """In OpenSSH's format."""
        ...

    @property
    def public_key(self) -> str:
        """One line of `authorized_keys`."""
        ...

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` writes it."""
        ...


class KeyPairs(Protocol):
    """Makes key pairs and reads those that people have. Both take a moment of computing."""

    async def generate(self) -> KeyPair:
        """A new Ed25519 key pair."""
        ...

    async def read(self, private_key: SecretStr, passphrase: SecretStr | None = None) -> KeyPair:
        """A key in any of the usual formats. Raises InvalidInput for `private_key` or `passphrase`."""
        ...


class ServerWork(Protocol):
    """The only way in which the API changes servers: their workflows."""

    async def provision(self, server: Server, *, requested_by: str) -> None:
        """Starts to make the server usable, or begins anew. Raises TransientError."""
        ...

    async def remove(
        self, server: Server, *, requested_by: str, with_resources: bool, forget: bool = False
    ) -> None:
        """Starts to take Seaway off the server, and then forgets it. Raises TransientError."""
        ...


class NoServers:
    """Stands where a process was given no way to servers: it refuses everything."""

    async def shown_by(self, server: Server) -> HostKey:
        """See `HostKeys`."""
        raise _not_here()

    async def generate(self) -> KeyPair:
        """See `KeyPairs`."""
        raise _not_here()

    async def read(self, private_key: SecretStr, passphrase: SecretStr | None = None) -> KeyPair:
        """See `KeyPairs`."""
        raise _not_here()

    async def provision(self, server: Server, *, requested_by: str) -> None:
        """See `ServerWork`."""
        raise _not_here()

    async def remove(
        self, server: Server, *, requested_by: str, with_resources: bool, forget: bool = False
    ) -> None:
        """See `ServerWork`."""
        raise _not_here()


def _not_here() -> NotPossibleNow:
    return NotPossibleNow("This process of Seaway was started without a way to servers.")
