"""What each use of a server's SFTP session needs: whole files, folders, errors that say what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import PurePosixPath
from typing import Final

import asyncssh

from adapters.ssh.connection import SshConnection
from adapters.ssh.failures import told
from domain.errors import NotPossibleNow, SeawayError, TransientError

# A file of ours is small; what takes longer than this does not come to an end.
FILE_LIMIT_SECONDS: Final = 60.0
CLEAN_UP_SECONDS: Final = 5.0
# Beyond any folder of ours; a server that lies could go on for ever.
MOST_NAMES: Final = 10_000
READ_ONLY_FLAG: Final = 1  # ST_RDONLY of statvfs@openssh.com (OpenSSH's PROTOCOL)


async def write_whole(
    sftp: asyncssh.SFTPClient, temporary: PurePosixPath, path: PurePosixPath, content: bytes, mode: int
) -> None:
    """The file has content and mode afterwards, or is as it was. Both paths are in one file system."""
    try:
        # Closed to others until it has the mode that was asked for.
        private = asyncssh.SFTPAttrs(permissions=0o600)
        async with opened(sftp, temporary, "xb", private) as file:
            await file.write(content)
            with suppress(asyncssh.SFTPOpUnsupported):
                await file.fsync()
        await sftp.chmod(str(temporary), mode)
        await sftp.posix_rename(str(temporary), str(path))
    except BaseException:
        await _in_vain(sftp.remove(str(temporary)))
        raise


@asynccontextmanager
async def opened(
    sftp: asyncssh.SFTPClient, path: PurePosixPath, mode: str, attributes: asyncssh.SFTPAttrs | None = None
) -> AsyncIterator[asyncssh.SFTPClientFile]:
    """A file that is open for as long as the block lasts.

    asyncssh would wait for the server to close it, without end where the server has stopped to answer.
    """
    file = await sftp.open(str(path), mode, attributes or asyncssh.SFTPAttrs())
    try:
        yield file
    except BaseException:
        await _in_vain(file.close())
        raise
    await file.close()


async def _in_vain(ending: Awaitable[None]) -> None:
    """Ends what has failed, as far as a server does that is perhaps what failed."""
    with suppress(asyncssh.Error, OSError, TimeoutError):
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            await ending


async def make_folders(sftp: asyncssh.SFTPClient, folder: PurePosixPath, mode: int = 0o755) -> None:
    """The folder exists afterwards, with its parents; those that are new have the mode."""
    missing = []
    for one in (folder, *folder.parents):
        if await sftp.isdir(str(one)):
            break
        missing.append(str(one))
    for path in reversed(missing):
        try:
            await sftp.mkdir(path, asyncssh.SFTPAttrs(permissions=mode))
        except asyncssh.SFTPPermissionDenied:
            raise
        except asyncssh.SFTPError:
            if not await sftp.isdir(path):  # else somebody else has made it meanwhile
                raise


async def names_in(sftp: asyncssh.SFTPClient, folder: PurePosixPath) -> list[str]:
    """The names in a folder of ours, plain ones only. Raises NotPossibleNow for more than ours ever has."""
    names: list[str] = []
    async for entry in sftp.scandir(str(folder)):
        name = str(entry.filename)
        if name in (".", "..") or "/" in name or "\0" in name:
            continue
        names.append(name)
        if len(names) > MOST_NAMES:
            raise NotPossibleNow(f"The folder {folder} holds more than Seaway ever writes there. Empty it.")
    return names


@asynccontextmanager
async def files_of(
    connection: SshConnection, path: PurePosixPath, folder: PurePosixPath, size: int = 0
) -> AsyncIterator[asyncssh.SFTPClient]:
    """The server's SFTP session, with its errors as ours, for work on a file below a folder of the user's.

    `size` is what is about to be written, in bytes.

    Raises NotPossibleNow without the right to write, on a full disk and on one that is read-only.
    """
    try:
        async with asyncio.timeout(FILE_LIMIT_SECONDS), connection.sftp() as sftp:
            try:
                yield sftp
            except asyncssh.SFTPPermissionDenied as error:
                raise _not_permitted(connection, path, folder, error) from error
            except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
                raise
            except asyncssh.SFTPError as error:
                raise await _file_failure(connection, sftp, path, size, error) from error
    except TimeoutError as error:
        where = connection.target.address.endpoint
        raise TransientError(
            f"{path} on {where} took longer than {FILE_LIMIT_SECONDS:g} s to read or write."
        ) from error


def _not_permitted(
    connection: SshConnection, path: PurePosixPath, folder: PurePosixPath, error: Exception
) -> SeawayError:
    address = connection.target.address
    return NotPossibleNow(
        f"The user '{address.user}' may not write {path} on {address.endpoint}. Give it the folder: "
        f"sudo install -d -o {address.user} {folder}",
        detail=told(error),
    )


async def _file_failure(
    connection: SshConnection,
    sftp: asyncssh.SFTPClient,
    path: PurePosixPath,
    size: int,
    error: asyncssh.SFTPError,
) -> SeawayError:
    """SFTP 3 says no more than "Failure" of a disk that is full or read-only."""
    where = f"{path} on {connection.target.address.endpoint}"
    for folder in path.parents:
        with suppress(asyncssh.SFTPError):
            disk = await sftp.statvfs(str(folder))
            if disk.flags & READ_ONLY_FLAG:
                return NotPossibleNow(f"{where} cannot be written: its file system is read-only.")
            # What was written in vain has been removed again, and its space is free.
            if disk.bavail * disk.frsize <= size or (disk.files and disk.favail == 0):
                return NotPossibleNow(f"{where} cannot be written: the disk is full. Free some space there.")
            break
    return TransientError(f"{where} cannot be read or written. It was told: '{told(error.reason)}'.")
