"""The folder that Traefik watches. Files appear, change and go as a whole, by rename."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Protocol

SUFFIX = ".yml"


class RouteFolder(Protocol):
    """Files by name (without suffix) on the proxy's server."""

    @property
    def dynamic(self) -> str:
        """The absolute path of the watched folder, on the server."""
        ...

    async def prepare(self) -> str:
        """The folders exist afterwards; returns what differs when the watched one was made anew."""
        ...

    async def exists(self, folder: str) -> bool:
        """Whether this folder is on the server."""
        ...

    async def names(self) -> frozenset[str]:
        """Which files there are."""
        ...

    async def read(self, name: str) -> str | None:
        """The content, or None."""
        ...

    async def write(self, name: str, content: str) -> None:
        """The file has that content after a crash at any moment, or the one it had before."""
        ...

    async def remove(self, name: str) -> None:
        """The file is gone; absent is fine."""
        ...


class LocalRouteFolder:
    """On this machine: `staging` for unfinished files and `dynamic`, which is watched, in one file system."""

    def __init__(self, folder: Path) -> None:
        """`folder` is made when needed, for its owner only."""
        self._staging = folder / "staging"
        self._dynamic = folder / "dynamic"

    @property
    def dynamic(self) -> str:
        """The absolute path of the watched folder."""
        return str(self._dynamic.absolute())

    async def prepare(self) -> str:
        """Make the folders and drop unfinished files. A mount follows the inode, so that is the identity."""
        return await asyncio.to_thread(self._prepare)

    async def exists(self, folder: str) -> bool:
        """Whether this folder is on this machine."""
        return await asyncio.to_thread(Path(folder).is_dir)

    async def names(self) -> frozenset[str]:
        """Which files there are."""
        return await asyncio.to_thread(self._names)

    async def read(self, name: str) -> str | None:
        """The content, or None."""
        return await asyncio.to_thread(self._read, name)

    async def write(self, name: str, content: str) -> None:
        """Temporary file, fsync, rename, fsync of the folder."""
        await asyncio.to_thread(self._write, name, content)

    async def remove(self, name: str) -> None:
        """Unlink; absent is fine."""
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._dynamic / f"{name}{SUFFIX}"

    def _prepare(self) -> str:
        for folder in (self._staging, self._dynamic):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._staging.iterdir():
            leftover.unlink(missing_ok=True)
        return str(self._dynamic.stat().st_ino)

    def _names(self) -> frozenset[str]:
        return frozenset(path.name.removesuffix(SUFFIX) for path in self._dynamic.glob(f"*{SUFFIX}"))

    def _read(self, name: str) -> str | None:
        try:
            return self._path(name).read_text("utf-8")
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: str) -> None:
        unfinished = self._staging / f"{name}.{uuid.uuid4().hex}"
        try:
            with unfinished.open("x", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path(name))
        finally:
            unfinished.unlink(missing_ok=True)
        folder = os.open(self._dynamic, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
