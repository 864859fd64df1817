"""What the API asks about keys, answered with SSH itself."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from adapters.ssh.first_contact import first_contact
from adapters.ssh.key_reading import read_private_key
from adapters.ssh.keys import ParsedKey, generate_key
from adapters.ssh.targets import ServerAddress
from domain.host_keys import HostKey
from seaway.servers import SeawayServers
from store.store import Store
from store.tables import Server

PASSPHRASES_AT_ONCE = 2
"""Each takes a process and a processor for as long as the key's own rounds say."""


class SshHostKeys:
    """See `api.server_access.HostKeys`."""

    def __init__(self, store: Store, servers: SeawayServers) -> None:
        self._store = store
        self._servers = servers

    async def shown_by(self, server: Server) -> HostKey:
        """See `HostKeys`."""
        jump = None
        if server.jump_server_id is not None:
            jump = await self._servers.target(await self._store.servers.get(server.jump_server_id))
        return await first_contact(ServerAddress(server.address, server.port, server.user), jump=jump)


class SshKeyPairs:
    """See `api.server_access.KeyPairs`."""

    def __init__(self) -> None:
        self._reading = asyncio.Semaphore(PASSPHRASES_AT_ONCE)

    async def generate(self) -> ParsedKey:
        """See `KeyPairs`."""
        return await asyncio.to_thread(generate_key)

    async def read(self, private_key: SecretStr, passphrase: SecretStr | None = None) -> ParsedKey:
        """See `KeyPairs`."""
        async with self._reading:
            return await read_private_key(private_key, passphrase)
