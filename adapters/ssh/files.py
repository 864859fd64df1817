"""Files on a server by SFTP: they appear whole or not at all."""

from __future__ import annotations

import secrets
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final, cast

import asyncssh

from adapters.ssh.connection import SshConnection
from adapters.ssh.sftp import files_of, make_folders, names_in, opened, write_whole
from adapters.traefik.folder import SUFFIX
from domain.errors import InvalidInput, NotPossibleNow, TransientError

COMMAND_LIMIT: Final = timedelta(seconds=60)
ABANDONED_SECONDS: Final = 60
"""So long does nobody write a file of a few kilobytes."""
MOST_ABANDONED: Final = 100
"""As many go with one writing; the next takes more."""

LARGEST_ROUTES_BYTES: Final = 4 * 1024 * 1024
"""What a server gives us is held in memory; ours are some kilobytes."""


class SftpHostFiles:
    """See `adapters.host_files.HostFiles`.

    The user must be able to write below the root. Nothing goes by sudo, except the removal of what containers
    wrote there as other users.
    """

    def __init__(self, connection: SshConnection, root: PurePosixPath) -> None:
        """`root` is absolute; it is made when needed. `connection` stays the caller's."""
        self._connection = connection
        self._root = root

    async def write(self, relative: PurePosixPath, content: bytes, mode: int = 0o644) -> str:
        """See `HostFiles`: temporary file, fsync where the server can, rename."""
        path = self._confined(relative)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        async with files_of(self._connection, path, self._root, len(content)) as sftp:
            await make_folders(sftp, path.parent)
            await write_whole(sftp, temporary, path, content, mode)
        return str(path)

    async def remove_tree(self, relative: PurePosixPath) -> None:
        """See `HostFiles`."""
        path = str(self._confined(relative))
        # Not by SFTP, which needs a round trip for each file.
        removed = await self._connection.run(["rm", "-rf", "--", path], timeout=COMMAND_LIMIT)
        if removed.exit_code != 0:
            removed = await self._connection.run(["rm", "-rf", "--", path], timeout=COMMAND_LIMIT, sudo=True)
        if removed.exit_code != 0:
            raise TransientError(
                f"The folder {path} cannot be removed on {self._connection.target.address.endpoint}.",
                detail=removed.stderr,
            )

    def _confined(self, relative: PurePosixPath) -> PurePosixPath:
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise InvalidInput(f"The path '{relative}' leaves Seaway's folder on the server.")
        return self._root / relative


class SftpRouteFolder:
    """See `adapters.traefik.folder.RouteFolder`: `staging` and `dynamic` in one folder of the server."""

    def __init__(self, connection: SshConnection, folder: PurePosixPath) -> None:
        """`folder` is absolute; it is made when needed, for its owner only."""
        self._connection = connection
        self._folder = folder
        self._staging = folder / "staging"
        self._dynamic = folder / "dynamic"

    @property
    def dynamic(self) -> str:
        """The absolute path of the watched folder, on the server."""
        return str(self._dynamic)

    async def prepare(self) -> str:
        """Make the folders and drop unfinished files; a mount follows the inode, so that is the identity."""
        async with files_of(self._connection, self._dynamic / "any", self._folder) as sftp:
            for folder in (self._staging, self._dynamic):
                await make_folders(sftp, folder, 0o700)
            for name in await names_in(sftp, self._staging):
                with suppress(asyncssh.SFTPNoSuchFile):
                    await sftp.remove(str(self._staging / name))
        # SFTP does not know inodes.
        looked = await self._connection.run(["stat", "-c", "%i", self.dynamic], timeout=COMMAND_LIMIT)
        if looked.exit_code != 0:
            raise TransientError(f"The folder {self.dynamic} cannot be looked at.", detail=looked.stderr)
        return looked.stdout.strip()

    async def exists(self, folder: str) -> bool:
        """Whether this folder is on the server."""
        async with files_of(self._connection, PurePosixPath(folder), self._folder) as sftp:
            return await sftp.isdir(folder)

    async def names(self) -> frozenset[str]:
        """Which files there are."""
        async with files_of(self._connection, self._dynamic / "any", self._folder) as sftp:
            found = await names_in(sftp, self._dynamic)
        return frozenset(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX))

    async def read(self, name: str) -> str | None:
        """The content, or None. Raises NotPossibleNow for what is larger than any of ours."""
        path = self._path(name)
        async with files_of(self._connection, path, self._folder) as sftp:
            try:
                async with opened(sftp, path, "rb") as file:
                    content = cast(bytes, await file.read(LARGEST_ROUTES_BYTES + 1))
            except asyncssh.SFTPNoSuchFile:
                return None
        if len(content) > LARGEST_ROUTES_BYTES:
            raise NotPossibleNow(f"The file {path} is none that Seaway wrote: it is too large. Remove it.")
        return content.decode("utf-8", "replace")

    async def write(self, name: str, content: str) -> None:
        """Temporary file, fsync where the server can, rename. SFTP cannot fsync the folder itself."""
        path = self._path(name)
        unfinished = self._staging / f"{name}.{uuid.uuid4().hex}"
        async with files_of(self._connection, path, self._folder, len(content)) as sftp:
            await write_whole(sftp, unfinished, path, content.encode("utf-8"), 0o644)
            await self._remove_abandoned(sftp, name, path)

    async def _remove_abandoned(self, sftp: asyncssh.SFTPClient, name: str, written: PurePosixPath) -> None:
        """What links that broke have left of this file. Whoever is still writing one has begun lately."""
        names = await names_in(sftp, self._staging)
        unfinished = [str(self._staging / one) for one in names if one.startswith(f"{name}.")]
        if not unfinished:
            return
        now = (await sftp.stat(str(written))).mtime or 0
        for path in unfinished[:MOST_ABANDONED]:
            with suppress(asyncssh.SFTPNoSuchFile):
                if now - ((await sftp.stat(path)).mtime or now) > ABANDONED_SECONDS:
                    await sftp.remove(path)

    async def remove(self, name: str) -> None:
        """Unlink; absent is fine."""
        path = self._path(name)
        async with files_of(self._connection, path, self._folder) as sftp:
            with suppress(asyncssh.SFTPNoSuchFile):
                await sftp.remove(str(path))

    def _path(self, name: str) -> PurePosixPath:
        return self._dynamic / f"{name}{SUFFIX}"
