"""The server's Docker socket, brought here as a file.

The listener is ours and not the library's, because it outlives a link: who connects after it broke waits for
the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

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
                reader, writer = await self._connection.open_channel(
                    lambda link: link.open_unix_connection(self._remote_path)
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
        return await open_unix(self._connection, self._remote_path)

    def _accept(self) -> Pipe:
        return Pipe(self._open, self._connection.forwarded, self._pipes)
