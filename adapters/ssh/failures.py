"""What the SSH library raises, as Seaway's errors: what happened, where, and what to do about it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import asyncssh

from adapters.ssh.targets import ServerAddress
from domain.errors import (
    AuthenticationRefused,
    HostKeyChanged,
    NotPossibleNow,
    SeawayError,
    ServerUnreachable,
)
from domain.host_keys import HostKey
from domain.redaction import printable
from domain.servers import JUMP_HOST

# What means that the link itself is gone; errors of one channel or one file are not among them.
LINK_LOST = (
    asyncssh.DisconnectError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    ConnectionError,
    BrokenPipeError,
)
LONGEST_TOLD = 300
"""Characters of what the other side says of why."""

NOT_ANSWERING = (
    "Check that it runs, that its SSH port is {port}, and that no firewall between here and there drops it."
)


def login_failure(
    error: Exception, address: ServerAddress, *, fingerprint: str = "", jump: ServerAddress | None = None
) -> SeawayError:
    """Why nobody could log in; `fingerprint` is that of the key that we offered."""
    if isinstance(error, SeawayError):
        return error
    if isinstance(error, asyncssh.PermissionDenied | asyncssh.IllegalUserName):
        return AuthenticationRefused(
            f"The server {address.endpoint} refuses the user '{address.user}' with the key {fingerprint}. "
            f"Add its public key to that user's ~/.ssh/authorized_keys there, or choose another key or user.",
            detail=told(error),
        )
    if isinstance(error, asyncssh.ChannelOpenError) and jump:
        return ServerUnreachable(
            f"The jump host {jump.endpoint} cannot connect to {address.endpoint}. Check the "
            "address, and that the jump host allows TCP forwarding.",
            detail=told(error.reason),
        )
    return ServerUnreachable(_unreachable(error, address), detail=told(error))


def _unreachable(error: Exception, address: ServerAddress) -> str:
    where = address.endpoint
    match error:
        case socket.gaierror():
            return (
                f"The name '{address.host}' resolves to no address. Check it for typing errors, and its DNS."
            )
        case ConnectionRefusedError():
            return (
                f"Nothing listens at {where}: connection refused. Check the port, and that sshd runs there."
            )
        case ConnectionResetError() | asyncssh.ConnectionLost():
            return (
                f"{where} closes the connection before anyone is logged in. Check that it is an SSH server's "
                "port; an SSH server may also limit log-ins (MaxStartups, fail2ban): look at its log."
            )
        case asyncssh.ProtocolError() | asyncssh.ProtocolNotSupported() | asyncssh.KeyExchangeFailed():
            return f"What answers at {where} does not speak SSH as Seaway does. Check the port."
        case OSError():
            return f"The server {where} cannot be reached: {error.strerror or error}. Check its address."
    # Anybody on the way can write this, before any key has been looked at.
    return f"The SSH connection to {where} failed. It was told: '{told(error)}'."


def told(error: object) -> str:
    """What the other side says of why, as far as it may stand in a message."""
    return printable(str(error), LONGEST_TOLD)


def no_answer(address: ServerAddress, seconds: float, *, connected: bool) -> ServerUnreachable:
    """For a log-in that took longer than its limit; `connected` when the port was open."""
    if connected:
        return ServerUnreachable(
            f"{address.endpoint} accepts connections, but nobody could log in within {seconds:g} s. Check "
            "that it is an SSH server's port, and how busy the server is."
        )
    return ServerUnreachable(
        f"The server {address.endpoint} does not answer within {seconds:g} s. "
        + NOT_ANSWERING.format(port=address.port)
    )


def not_begun(address: ServerAddress, seconds: float) -> ServerUnreachable:
    """For a command whose time was over before the server had taken it."""
    return ServerUnreachable(
        f"The server {address.endpoint} took no command within {seconds:g} s. "
        + NOT_ANSWERING.format(port=address.port)
    )


def link_lost(address: ServerAddress, reason: str = "") -> ServerUnreachable:
    """For work that was under way when the link broke."""
    return ServerUnreachable(f"The SSH connection to {address.endpoint} broke off.", detail=told(reason))


def host_key_changed(address: ServerAddress, pinned: HostKey, shown: HostKey) -> HostKeyChanged:
    """The alarm: somebody may be in between."""
    return HostKeyChanged(
        f"The server {address.endpoint} shows another host key than before: {shown.fingerprint} instead of "
        f"{pinned.fingerprint}. If it was installed anew, accept the key; else somebody may be in between.",
        pinned=pinned.fingerprint,
        shown=shown.fingerprint,
    )


def jump_host_failure(
    address: ServerAddress, error: HostKeyChanged | AuthenticationRefused | ServerUnreachable
) -> SeawayError:
    """The same failure for a server behind the one that it is about; it says which one is to be mended."""
    behind = address.endpoint
    said = f"{error.message} {JUMP_HOST} {behind}"
    match error:
        case HostKeyChanged():
            return HostKeyChanged(
                f"{said}: accept the key at the jump host, then validate {behind} again.",
                pinned=error.pinned,
                shown=error.shown,
                detail=error.detail,
            )
        case AuthenticationRefused():
            return AuthenticationRefused(
                f"{said}: do that at the jump host, then validate {behind} again.", detail=error.detail
            )
        case ServerUnreachable():
            return ServerUnreachable(f"{said}: look for the cause there.", detail=error.detail)


@contextmanager
def translated(address: ServerAddress) -> Iterator[None]:
    """Raises ServerUnreachable for whatever means that the link is gone."""
    try:
        yield
    except LINK_LOST as error:
        raise link_lost(address, str(error)) from error


def forwarding_forbidden(address: ServerAddress, reason: str) -> NotPossibleNow:
    """For an SSH server that is configured to forward nothing."""
    return NotPossibleNow(
        f"The SSH server {address.endpoint} forbids forwarding. Set AllowTcpForwarding and "
        "AllowStreamLocalForwarding to yes in its sshd_config, without DisableForwarding.",
        detail=told(reason),
    )
