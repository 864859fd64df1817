"""A server's host key, read before anyone trusts it."""

from __future__ import annotations

import asyncio
import socket

import asyncssh

from adapters.ssh.addresses import open_socket
from adapters.ssh.failures import jump_host_failure, login_failure, no_answer
from adapters.ssh.host_keys import shown_key
from adapters.ssh.links import SshLink
from adapters.ssh.targets import ServerAddress, SshSettings, SshTarget, host_key_algorithms
from domain.errors import AuthenticationRefused, HostKeyChanged, ServerUnreachable
from domain.host_keys import HostKey


async def first_contact(
    address: ServerAddress, *, jump: SshTarget | None = None, settings: SshSettings | None = None
) -> HostKey:
    """The key that the server shows, for a person to compare; nobody logs in to it.

    `jump` is the server on the way there, and is logged in to. Raises ServerUnreachable, and for the jump
    host what a connection raises.
    """
    limits = settings or SshSettings()
    gate = SshLink(jump, limits) if jump else None
    near = None
    try:
        tunnel = await gate.get() if gate else None
        async with asyncio.timeout(limits.login_seconds):
            near = await open_socket(address.host, address.port) if tunnel is None else None
            key = await _host_key_at(address, tunnel, near)
    except (AuthenticationRefused, HostKeyChanged, ServerUnreachable) as error:
        raise jump_host_failure(address, error) from error
    except TimeoutError as error:
        raise no_answer(address, limits.login_seconds, connected=near is not None) from error
    except (OSError, asyncssh.Error) as error:
        raise login_failure(error, address, jump=jump.address if jump else None) from error
    finally:
        if near is not None:
            near.close()
        if gate is not None:
            await gate.close()
    if key is None:
        raise ServerUnreachable(f"The server {address.endpoint} shows no host key.")
    return shown_key(key)


async def _host_key_at(
    address: ServerAddress, tunnel: asyncssh.SSHClientConnection | None, near: socket.socket | None
) -> asyncssh.SSHKey | None:
    return await asyncssh.get_server_host_key(
        address.host,
        address.port,
        tunnel=tunnel,
        sock=near,
        server_host_key_algs=host_key_algorithms(None),
        config=None,
    )
