"""Host keys: read before anyone trusts them, and compared with the pinned one ever after."""

from __future__ import annotations

import asyncio

import asyncssh

from adapters.ssh.failures import host_key_changed, login_failure, no_answer
from adapters.ssh.targets import (
    HostKey,
    ServerAddress,
    SshSettings,
    SshTarget,
    host_key_algorithms,
    host_key_of,
)
from domain.errors import HostKeyChanged, ServerUnreachable


class PinnedHostKey(asyncssh.SSHClient):
    """Accepts the pinned key and no other, and remembers what it was shown."""

    def __init__(self, target: SshTarget) -> None:
        """`target` has a pinned key."""
        self._target = target
        self.connected = False
        self.changed: HostKeyChanged | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The port is open."""
        self.connected = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether it is the pinned key. That the server owns it is proven by the key exchange itself."""
        shown = _host_key(key)
        pinned = host_key_of(self._target.host_key or "")
        if shown.text == pinned.text:
            return True
        self.changed = host_key_changed(self._target.address, pinned, shown)
        return False


async def first_contact(
    address: ServerAddress,
    *,
    tunnel: asyncssh.SSHClientConnection | None = None,
    settings: SshSettings | None = None,
) -> HostKey:
    """The key that the server shows, for a person to compare; nobody logs in.

    `tunnel` is the link to a jump host. Raises ServerUnreachable.
    """
    limits = settings or SshSettings()
    try:
        async with asyncio.timeout(limits.login_seconds):
            key = await asyncssh.get_server_host_key(
                address.host,
                address.port,
                tunnel=tunnel,
                server_host_key_algs=host_key_algorithms(None),
                config=None,
            )
    except TimeoutError as error:
        raise no_answer(address, limits.login_seconds, connected=False) from error
    except (OSError, asyncssh.Error) as error:
        raise login_failure(error, address) from error
    if key is None:
        raise ServerUnreachable(f"The server {address.endpoint} shows no host key.")
    return _host_key(key)


def _host_key(key: asyncssh.SSHKey) -> HostKey:
    return host_key_of(key.export_public_key("openssh").decode("ascii"))
