"""Host keys: what a server shows is compared with the pinned one at every connection."""

from __future__ import annotations

import asyncio

import asyncssh

from adapters.ssh.failures import host_key_changed
from adapters.ssh.targets import SshTarget
from domain.errors import HostKeyChanged
from domain.host_keys import HostKey, host_key_of


class PinnedHostKey(asyncssh.SSHClient):
    """Accepts the pinned key and no other, and remembers what it was shown and when the link broke."""

    def __init__(self, target: SshTarget) -> None:
        """`target` has a pinned key."""
        self._target = target
        self.connected = False
        self.changed: HostKeyChanged | None = None
        self.lost_at = 0.0

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The port is open."""
        self.connected = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone, whoever ended it."""
        self.lost_at = asyncio.get_running_loop().time()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether it is the pinned key. That the server owns it is proven by the key exchange itself."""
        shown = shown_key(key)
        pinned = host_key_of(self._target.host_key or "")
        if shown.text == pinned.text:
            return True
        self.changed = host_key_changed(self._target.address, pinned, shown)
        return False


def shown_key(key: asyncssh.SSHKey) -> HostKey:
    """A key of the library's as ours."""
    return host_key_of(key.export_public_key("openssh").decode("ascii"))
