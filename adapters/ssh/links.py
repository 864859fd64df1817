"""The link to a server: logged in when somebody needs it, anew when it broke, by one attempt for all."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

import asyncssh

from adapters.ssh.addresses import open_socket
from adapters.ssh.failures import jump_host_failure, link_lost, login_failure, no_answer
from adapters.ssh.host_keys import PinnedHostKey
from adapters.ssh.keys import parse_private_key
from adapters.ssh.targets import SshSettings, SshTarget, host_key_algorithms, pause_before_attempt
from domain.errors import (
    AuthenticationRefused,
    HostKeyChanged,
    NotPossibleNow,
    SeawayError,
    ServerUnreachable,
)

CLOSE_LIMIT_SECONDS: Final = 5.0

# At its level INFO the library logs every command with its arguments.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


Ways = Callable[[SshTarget], "SshLink"]


class SshLink:
    """At most one log-in at a time. A link that does not answer is given up within 12 s."""

    def __init__(self, target: SshTarget, settings: SshSettings, ways: Ways | None = None) -> None:
        """Nothing is opened before the first `get`.

        At each log-in, `ways` gives the link to a jump host, which stays its owner's. Without, it is ours.
        """
        self._target = target
        self._settings = settings
        self._ways = ways or self._own_way
        self._own_jump: SshLink | None = None
        self._client: PinnedHostKey | None = None
        self._key: asyncssh.SSHKey | None = None
        self._fingerprint = ""
        self._current: asyncssh.SSHClientConnection | None = None
        self._attempt: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._closed = False

    @property
    def is_connected(self) -> bool:
        """Whether there is a link at this moment, as far as is known."""
        return self._current is not None and not self._current.is_closed()

    async def get(self) -> asyncssh.SSHClientConnection:
        """The link; all who ask while there is none share one attempt.

        After a failure the next attempt waits for a while, up to 5 s; an attempt itself takes up to 10 s for
        each server on the way. Raises ServerUnreachable, AuthenticationRefused and HostKeyChanged, and
        NotPossibleNow while no host key is pinned.
        """
        if self._closed:
            raise self._has_been_closed()
        if self._current is not None and not self._current.is_closed():
            return self._current
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._try())
            self._attempt.add_done_callback(self._attempt_ended)
        attempt = self._attempt
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            if attempt.cancelled():  # by `close()`, under those who wait
                raise self._has_been_closed() from None
            raise

    async def disconnect(self) -> None:
        """Ends the link; the next who needs one opens another."""
        link, self._current = self._current, None
        if link is not None:
            link.close()
            try:
                async with asyncio.timeout(CLOSE_LIMIT_SECONDS):
                    await link.wait_closed()
            except TimeoutError:
                link.abort()
        if self._own_jump is not None:
            await self._own_jump.disconnect()

    async def close(self) -> None:
        """Ends the link for good; who needs it now or later gets ServerUnreachable."""
        self._closed = True
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait([self._attempt])
        if self._own_jump is not None:
            await self._own_jump.close()
        await self.disconnect()

    async def _try(self) -> asyncssh.SSHClientConnection:
        await self._pause()
        try:
            self._current = await self._log_in()
        except SeawayError:
            self._failures += 1
            self._failed_at = asyncio.get_running_loop().time()
            raise
        self._failures = 0
        return self._current

    async def _pause(self) -> None:
        jitter = random.random()  # noqa: S311 - it spreads attempts, nothing is secret about it
        has_broken = self._current is not None
        pause = pause_before_attempt(self._failures, self._settings, jitter, has_broken=has_broken)
        since = self._client.lost_at if self._client and not self._failures else self._failed_at
        await asyncio.sleep(pause - (asyncio.get_running_loop().time() - since))

    def _own_way(self, jump: SshTarget) -> SshLink:
        if self._own_jump is None:
            self._own_jump = SshLink(jump, self._settings)
        return self._own_jump

    def _attempt_ended(self, attempt: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        self._attempt = None
        if not attempt.cancelled():
            attempt.exception()  # taken, in case nobody waits for it any more

    async def _log_in(self) -> asyncssh.SSHClientConnection:
        if self._target.host_key is None:
            raise NotPossibleNow(
                f"The host key of {self._target.address.endpoint} has not been accepted yet: read it and "
                "accept it."
            )
        jump = self._target.jump
        if jump is None:
            return await self._log_in_over(None)
        tunnel = await self._tunnel(jump)
        try:
            return await self._log_in_over(tunnel)
        except ServerUnreachable:
            if not tunnel.is_closed():
                raise
        # The way had broken, which shows only when it is used.
        return await self._log_in_over(await self._tunnel(jump))

    async def _tunnel(self, jump: SshTarget) -> asyncssh.SSHClientConnection:
        try:
            return await self._ways(jump).get()
        except (AuthenticationRefused, HostKeyChanged, ServerUnreachable) as error:
            raise jump_host_failure(self._target.address, error) from error

    async def _log_in_over(self, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
        target, seconds = self._target, self._settings.login_seconds
        key = await self._private_key()
        client = PinnedHostKey(target)
        try:
            async with asyncio.timeout(seconds):
                link = await self._connect(client, self._options(key, tunnel))
        except TimeoutError as error:
            raise no_answer(target.address, seconds, connected=client.connected) from error
        except (OSError, asyncssh.Error) as error:
            if tunnel is not None and target.jump:
                await asyncio.sleep(0)  # the library marks a broken link a moment later
                if tunnel.is_closed():
                    lost = link_lost(target.jump.address, str(error))
                    raise jump_host_failure(target.address, lost) from error
            failure = client.changed or login_failure(
                error,
                target.address,
                fingerprint=self._fingerprint,
                jump=target.jump.address if target.jump else None,
            )
            raise failure from error
        self._client = client
        return link

    async def _connect(self, client: PinnedHostKey, options: dict[str, Any]) -> asyncssh.SSHClientConnection:
        if options["tunnel"] is not None:
            link, _ = await asyncssh.create_connection(lambda: client, **options)
            return link
        # The library would wait for one address after the other.
        near = await open_socket(self._target.address.host, self._target.address.port)
        try:
            link, _ = await asyncssh.create_connection(lambda: client, sock=near, **options)
        except BaseException:
            near.close()
            raise
        return link

    def _options(self, key: asyncssh.SSHKey, tunnel: asyncssh.SSHClientConnection | None) -> dict[str, Any]:
        address, settings = self._target.address, self._settings
        return {
            "host": address.host,
            "port": address.port,
            "username": address.user,
            "tunnel": tunnel,
            "client_keys": [key],
            "preferred_auth": "publickey",
            # None known: every host key is asked about.
            "known_hosts": ([], [], []),
            "server_host_key_algs": host_key_algorithms(self._target.host_key),
            "x509_trusted_certs": None,
            "encryption_algs": list(settings.encryption),
            "compression_algs": "none",
            "keepalive_interval": settings.keepalive_seconds,
            "keepalive_count_max": settings.keepalive_misses,
            # The limit is ours, so that its message is.
            "login_timeout": 0,
            # Nothing of the user that the worker runs as: neither files, nor an agent.
            "config": None,
            "agent_path": None,
            "gss_host": None,
        }

    async def _private_key(self) -> asyncssh.SSHKey:
        if self._key is None:
            # In a thread, because a passphrase is made to cost time.
            parsed = await asyncio.to_thread(
                parse_private_key, self._target.private_key, self._target.passphrase, is_known=True
            )
            self._key = asyncssh.import_private_key(
                parsed.private_key.get_secret_value(), unsafe_skip_rsa_key_validation=True
            )
            self._fingerprint = parsed.fingerprint
        return self._key

    def _has_been_closed(self) -> SeawayError:
        return link_lost(self._target.address, "It has been closed here.")
