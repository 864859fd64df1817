"""Files on a server, confined to Seaway's own folder there."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import Protocol

from domain.errors import InvalidInput


class HostFiles(Protocol):
    """Writes and removes files below one folder of a server; every method may be repeated."""

    async def write(self, relative: PurePosixPath, content: bytes, mode: int = 0o644) -> str:
        """Writes the file atomically and returns its absolute path on the server."""
        ...

    async def remove_tree(self, relative: PurePosixPath) -> None:
        """Removes a folder with all that is in it; absent is fine."""
        ...


class LocalHostFiles:
    """The server is this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def write(self, relative: PurePosixPath, content: bytes, mode: int = 0o644) -> str:
        """See `HostFiles`: temporary file, fsync, rename."""
        path = self._confined(relative)
        await asyncio.to_thread(self._make_folders, path.parent)
        await asyncio.to_thread(_write, path, content, mode)
        return str(path)

    async def remove_tree(self, relative: PurePosixPath) -> None:
        """See `HostFiles`."""
        await asyncio.to_thread(shutil.rmtree, self._confined(relative), ignore_errors=True)

    def _make_folders(self, folder: Path) -> None:
        """Makes the folder, which a container of any user may have mounted, out of reach of other users."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
            missing.mkdir(exist_ok=True)
            missing.chmod(0o755 if missing == folder else 0o700)

    def _confined(self, relative: PurePosixPath) -> Path:
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise InvalidInput(f"The path '{relative}' leaves Seaway's folder on the server.")
        return self._root.joinpath(*relative.parts)


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
