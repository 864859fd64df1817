"""The one connection to a server: commands, files and forwarded connections share it, within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Final, TypeVar

import asyncssh

from adapters.cancellation import uninterrupted
from adapters.host_commands import Completed
from adapters.processes import OnLine
from adapters.ssh.commands import END_LIMIT_SECONDS, attend, command_line, end
from adapters.ssh.failures import link_lost, not_begun, told, translated
from adapters.ssh.first_contact import first_contact
from adapters.ssh.links import SshLink
from adapters.ssh.targets import ROOT, ServerAddress, SshSettings, SshTarget
from domain.errors import DeadlineExceeded, TransientError
from domain.terminals import Terminal

__all__ = [
    "Completed",
    "ServerAddress",
    "SshConnection",
    "SshSettings",
    "SshTarget",
    "first_contact",
]

SESSION_PAUSES_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
ANEW_PAUSE_SECONDS: Final = 60.0

Opened = TypeVar("Opened")
Opener = Callable[[asyncssh.SSHClientConnection], Awaitable[Opened]]


class SshConnection:
    """A server's SSH connection. It connects by itself when it is used; `close()` it when done.

    Every method raises ServerUnreachable when the server does not answer or the link breaks,
    AuthenticationRefused when it lets nobody in, HostKeyChanged when it is not the server it was.
    """

    def __init__(
        self, target: SshTarget, settings: SshSettings | None = None, link: SshLink | None = None
    ) -> None:
        """Nothing is opened before the first use. `link`, which leads to `target`, is ours from now on."""
        self._target = target
        self._settings = settings or SshSettings()
        self._link = link or SshLink(target, self._settings)
        self._sessions = asyncio.Semaphore(self._settings.sessions)
        self._forwards = asyncio.Semaphore(self._settings.forwards)
        self._sftp: tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient] | None = None
        self._sftp_start = asyncio.Lock()
        self._users = 0
        self._used_at = 0.0
        self._talks = 0
        """Those users that a forwarded connection is not, such as commands."""
        self._anew_at: float | None = None

    @property
    def target(self) -> SshTarget:
        """Where it leads."""
        return self._target

    @property
    def is_connected(self) -> bool:
        """Whether there is a link at this moment, as far as is known."""
        return self._link.is_connected

    @property
    def idle_seconds(self) -> float:
        """How long nobody has used it; 0 while somebody does."""
        return 0.0 if self._users else max(0.0, _now() - self._used_at)

    @property
    def link(self) -> SshLink:
        """What others may open tunnels over; it stays ours."""
        return self._link

    async def connect(self) -> None:
        """There is a link afterwards. Who uses the connection need not call this."""
        async with self._used():
            await self._link.get()

    async def disconnect(self) -> None:
        """Ends the link; the next use opens another."""
        await self._link.disconnect()

    async def log_in_anew(self) -> bool:
        """Ends the link so that the next use logs in, for rights that the user got since the last log-in.

        False, and nothing is done, while a command or files are under way, and within a minute after the
        last time: forwarded connections and servers behind this one lose their way as well.
        """
        if self._talks or (self._anew_at is not None and _now() - self._anew_at < ANEW_PAUSE_SECONDS):
            return False
        self._anew_at = _now()
        await self.disconnect()
        return True

    async def close(self) -> None:
        """Ends the link for good; who uses the connection now or later gets ServerUnreachable."""
        await self._link.close()

    async def run(
        self,
        arguments: Sequence[str],
        *,
        timeout: timedelta,  # noqa: ASYNC109 - it must also end the command, which a caller's timeout cannot
        input: bytes = b"",
        on_line: OnLine | None = None,
        sudo: bool = False,
    ) -> Completed:
        """Runs a command to its end; with `sudo` as root, where the user is not root.

        After `timeout`, the time to connect included, it raises DeadlineExceeded; ServerUnreachable if the
        command has not even begun. Whatever is raised, the command and what it started in its process group
        have ended before, which may take another 8 s; after the link broke, they end when the server notices
        it. The server needs `sh` and `head`.
        """
        sudo = sudo and self._target.address.user != ROOT
        line = command_line(arguments, input_bytes=len(input), sudo=sudo)
        begun = asyncio.Event()
        try:
            async with asyncio.timeout(timeout.total_seconds()) as limit, self._used(self._sessions):
                return await self._run(line, input, on_line, begun)
        except TimeoutError as error:
            if not limit.expired():
                raise
            if not begun.is_set():
                # No fault of the command: the same may work in a moment.
                raise not_begun(self._target.address, timeout.total_seconds()) from error
            raise DeadlineExceeded(
                f"{arguments[0]} on {self._target.address.endpoint} took longer than "
                f"{timeout.total_seconds():g} s and was stopped."
            ) from error

    async def open_channel(self, opener: Opener[Opened]) -> Opened:
        """Opens a channel. One that was not opened because the link broke is tried once more, on a new link.

        Raises the library's ChannelOpenError where the server refuses the channel.
        """
        link = await self._link.get()
        try:
            return await self._open_on(link, opener)
        except _LinkWasClosed:
            link = await self._link.get()
        try:
            return await self._open_on(link, opener)
        except _LinkWasClosed as error:
            raise link_lost(self._target.address) from error

    @asynccontextmanager
    async def forwarded(self) -> AsyncIterator[None]:
        """A place among the forwarded connections; waits while too many are open."""
        async with self._used(self._forwards):
            yield

    @asynccontextmanager
    async def session(
        self, line: str | None, *, terminal: Terminal | None = None
    ) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
        """A command, or the login shell for None, that somebody talks to. Leaving ends it.

        With a terminal, the server hangs it up; else it is for `line` to end when its input does.
        """
        async with self._used(self._sessions):
            process = await self._open_session(
                lambda link: link.create_process(
                    line,
                    encoding=None,
                    term_type=terminal.type if terminal else None,
                    term_size=(terminal.columns, terminal.rows) if terminal else (),
                )
            )
            try:
                with translated(self._target.address):
                    yield process
            finally:
                if terminal is not None:
                    process.close()
                else:
                    await uninterrupted(end(process))

    @asynccontextmanager
    async def sftp(self) -> AsyncIterator[asyncssh.SFTPClient]:
        """The connection's SFTP session, which all share. Raises ServerUnreachable when its link breaks."""
        with translated(self._target.address):
            async with self._used():
                try:
                    yield await self._sftp_client()
                except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
                    self._sftp = None  # its session may have ended alone, on a link that works
                    raise

    async def _sftp_client(self) -> asyncssh.SFTPClient:
        async with self._sftp_start:
            if self._sftp is None or self._sftp[0] is not await self._link.get():
                self._sftp = await self._open_session(_start_sftp)
            return self._sftp[1]

    async def _run(self, line: str, input: bytes, on_line: OnLine | None, begun: asyncio.Event) -> Completed:
        opening = asyncio.create_task(self._start(line))
        try:
            process = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await uninterrupted(_end_unwanted(opening))
            raise
        begun.set()
        try:
            with translated(self._target.address):
                completed = await attend(process, input, on_line)
        finally:
            await uninterrupted(end(process))
        if completed is None:
            raise link_lost(self._target.address)
        return completed

    async def _start(self, line: str) -> asyncssh.SSHClientProcess[bytes]:
        return await self._open_session(lambda link: link.create_process(line, encoding=None))

    async def _open_session(self, opener: Opener[Opened]) -> Opened:
        for pause in SESSION_PAUSES_SECONDS:
            try:
                return await self.open_channel(opener)
            except asyncssh.ChannelOpenError as error:
                # A server counts a session for a moment after it told us of its end. What was refused has not
                # begun, so it may be asked for again.
                refused = error
                await asyncio.sleep(pause)
        raise self._session_refused(refused) from refused

    async def _open_on(self, link: asyncssh.SSHClientConnection, opener: Opener[Opened]) -> Opened:
        with translated(self._target.address):
            try:
                return await opener(link)
            except asyncssh.ChannelOpenError as error:
                await asyncio.sleep(0)  # the library marks a broken link a moment later
                if error.code == asyncssh.OPEN_CONNECT_FAILED and link.is_closed():
                    raise _LinkWasClosed from error
                raise

    def _session_refused(self, error: asyncssh.ChannelOpenError) -> TransientError:
        return TransientError(
            f"The SSH server {self._target.address.endpoint} opens no further session. Seaway uses up to "
            f"{self._settings.sessions + 1} at once: raise MaxSessions in its sshd_config if it is lower.",
            detail=told(error.reason),
        )

    @asynccontextmanager
    async def _used(self, places: asyncio.Semaphore | None = None) -> AsyncIterator[None]:
        talks = int(places is not self._forwards)
        self._users += 1
        self._talks += talks
        try:
            async with places or nullcontext():
                yield
        finally:
            self._users -= 1
            self._talks -= talks
            self._used_at = _now()


class _LinkWasClosed(Exception):
    """The channel was never opened: whatever it was for has not begun."""


async def _start_sftp(
    link: asyncssh.SSHClientConnection,
) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
    return link, await link.start_sftp_client()


async def _end_unwanted(opening: asyncio.Task[asyncssh.SSHClientProcess[bytes]]) -> None:
    await asyncio.wait([opening], timeout=END_LIMIT_SECONDS)
    if not opening.done():
        opening.cancel()
    elif not opening.cancelled() and opening.exception() is None:
        await end(opening.result())


def _now() -> float:
    return asyncio.get_running_loop().time()
