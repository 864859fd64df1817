"""The server's Docker socket, brought here as a file.

The listener is ours and not the library's, because it outlives a link: who connects after it broke waits for
the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import asyncssh

from adapters.file_locks import owned_folder, remove_abandoned
from adapters.ssh.connection import SshConnection
from adapters.ssh.failures import forwarding_forbidden, told, translated
from adapters.ssh.pipes import FarEnd, Pipe, open_unix
from domain.errors import EngineSilent, EngineUnavailable, NotPossibleNow, SeawayError

DOCKER_SOCKET: Final = "/var/run/docker.sock"
# Short, as is the name in it: the path of a unix socket has at most 107 bytes (unix(7)).
FOLDER_PREFIX: Final = "seaway-s-"
SOCKET_NAME: Final = "sock"
DIAGNOSIS_LIMIT: Final = timedelta(seconds=15)
ANSWER_SECONDS: Final = 10.0
PING: Final = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
# The group of the socket, those of this link's log-in, and those of a log-in now.
GROUPS: Final = 'stat -L -c %g -- "$1" && id -G && id -G -- "$2"'
GROUPS_PAUSE_SECONDS: Final = 60.0

Opened = TypeVar("Opened")


class DockerSocketForward:
    """The server's Docker socket as a unix socket here, from `start` to `close`.

    It is in a folder that only this user can enter. Each connection to it is one to the server's socket, over
    the one SSH connection; while there is no link, connections wait for one, and are closed when none comes.
    """

    def __init__(self, connection: SshConnection, remote_path: str = DOCKER_SOCKET) -> None:
        """`connection` stays the caller's."""
        self._connection = connection
        self._remote_path = remote_path
        self._folder: Path | None = None
        self._owned = contextlib.ExitStack()
        self._server: asyncio.Server | None = None
        self._pipes: set[Pipe] = set()
        self._looked_at: float | None = None

    @property
    def socket_path(self) -> str:
        """The local path, for `DockerEngine` and BuildKit."""
        if self._folder is None:
            raise NotPossibleNow("The Docker socket is not forwarded.")
        return str(self._folder / SOCKET_NAME)

    @staticmethod
    def remove_abandoned() -> None:
        """Removes the folders of processes that were killed."""
        remove_abandoned(Path(tempfile.gettempdir()), FOLDER_PREFIX)

    async def start(self) -> None:
        """The local socket is there afterwards; nothing is asked of the server yet."""
        self._folder = self._owned.enter_context(owned_folder(Path(tempfile.gettempdir()), FOLDER_PREFIX))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accept, self.socket_path)

    async def close(self) -> None:
        """The local socket and every connection to it are gone."""
        if self._server is not None:
            self._server.close()
        for pipe in tuple(self._pipes):
            pipe.abort()
        if self._folder is not None:
            self._folder = None
            self._owned.close()

    async def __aenter__(self) -> DockerSocketForward:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Returns when the engine answers at the socket, and says otherwise what to do.

        Raises EngineUnavailable where Docker is missing or stopped, EngineSilent where it accepts connections
        and says nothing for 10 s, NotPossibleNow where the user's rights or the SSH server's configuration
        forbid it.
        """
        async with self._connection.forwarded():
            try:
                reader, writer = await self._with_present_rights(
                    lambda: self._connection.open_channel(
                        lambda link: link.open_unix_connection(self._remote_path)
                    )
                )
            except asyncssh.ChannelOpenError as error:
                raise await self._diagnosis(error) from error
            try:
                with translated(self._connection.target.address):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        writer.write(PING)
                        said = await reader.read(1)
            except TimeoutError as error:
                raise self._silent(f"does not answer within {ANSWER_SECONDS:g} s") from error
            finally:
                writer.close()
            if not said:
                raise self._silent("closes them without an answer")

    def _silent(self, what: str) -> EngineSilent:
        where = self._connection.target.address.endpoint
        return EngineSilent(
            f"Docker on {where} accepts connections and {what}. Look at its log there (journalctl -u "
            "docker), and start it again: systemctl restart docker"
        )

    async def _diagnosis(self, error: asyncssh.ChannelOpenError) -> SeawayError:
        address = self._connection.target.address
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            return forwarding_forbidden(address, error.reason)
        # The server does not say why it could not connect, so it is looked at step by step.
        if not await self._holds("-S"):
            return EngineUnavailable(
                f"There is no Docker socket {self._remote_path} on {address.endpoint}: Docker is not "
                "installed there, or does not run."
            )
        if not await self._holds("-w"):
            return NotPossibleNow(
                f"The user '{address.user}' may not use Docker on {address.endpoint}. Add it to the group "
                f"docker there: sudo usermod -aG docker {address.user}"
            )
        return EngineUnavailable(
            f"Nothing listens at {self._remote_path} on {address.endpoint}: Docker does not run.",
            detail=told(error.reason),
        )

    async def _holds(self, test: str) -> bool:
        found = await self._connection.run(["test", test, self._remote_path], timeout=DIAGNOSIS_LIMIT)
        return found.exit_code == 0

    async def _open(self) -> FarEnd:
        return await self._with_present_rights(lambda: open_unix(self._connection, self._remote_path))

    async def _with_present_rights(self, opening: Callable[[], Awaitable[Opened]]) -> Opened:
        """What is opened at the socket, if need be on a new link: the user may have joined its group."""
        try:
            return await opening()
        except asyncssh.ChannelOpenError as error:
            is_forbidden = error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            if is_forbidden or not await self._has_joined() or not await self._connection.log_in_anew():
                raise
        return await opening()

    async def _has_joined(self) -> bool:
        """Whether a log-in now has the socket's group, and the link has not; looked at now and then."""
        now = asyncio.get_running_loop().time()
        if self._looked_at is not None and now - self._looked_at < GROUPS_PAUSE_SECONDS:
            return False
        self._looked_at = now
        asked = ["sh", "-c", GROUPS, "sh", self._remote_path, self._connection.target.address.user]
        found = await self._connection.run(asked, timeout=DIAGNOSIS_LIMIT)
        if found.exit_code != 0 or len(lines := found.stdout.splitlines()) != 3:
            return False
        # Any of them may be empty: what a server answers is its own affair.
        group, of_link, of_user = lines
        return group in of_user.split() and group not in of_link.split()

    def _accept(self) -> Pipe:
        return Pipe(self._open, self._connection.forwarded, self._pipes)
