"""What broken links left in a server's folder, where the server says that it is without end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest

from adapters.ssh.files import ABANDONED_SECONDS, MOST_ABANDONED, SftpRouteFolder
from adapters.ssh.sftp import MOST_NAMES
from domain.errors import NotPossibleNow

NOW = 1_000_000
WRITTEN = PurePosixPath("/data/dynamic/shop.yml")


class Folder:
    """Stands for an SFTP session; `names` are those in the folder, with their times."""

    def __init__(self, names: dict[str, int] | None = None) -> None:
        self.names = names
        self.read = 0
        self.removed: list[str] = []

    async def scandir(self, folder: str) -> AsyncIterator[Any]:
        while self.names is None:
            self.read += 1
            yield SimpleNamespace(filename=f"shop.{self.read}")
        for name in self.names:
            yield SimpleNamespace(filename=name)

    async def stat(self, path: str) -> Any:
        name = PurePosixPath(path).name
        if name == "shop.gone":
            raise asyncssh.SFTPNoSuchFile("Somebody else removed it.")
        return SimpleNamespace(mtime=NOW if path == str(WRITTEN) else (self.names or {})[name])

    async def remove(self, path: str) -> None:
        self.removed.append(PurePosixPath(path).name)


async def remove_abandoned(folder: Folder) -> None:
    routes = SftpRouteFolder(None, PurePosixPath("/data"))  # type: ignore[arg-type]
    await routes._remove_abandoned(folder, "shop", WRITTEN)  # type: ignore[arg-type]


async def test_only_old_files_of_the_same_name_are_removed() -> None:
    old = NOW - ABANDONED_SECONDS - 1
    folder = Folder({"shop.1": old, "shop.2": NOW, "other.1": old, "shop.gone": old})
    await remove_abandoned(folder)
    assert folder.removed == ["shop.1"]


async def test_a_folder_without_end_is_given_up() -> None:
    folder = Folder()
    with pytest.raises(NotPossibleNow, match="more than Seaway ever writes"):
        await remove_abandoned(folder)
    assert folder.read == MOST_NAMES + 1


async def test_many_old_files_are_removed_a_part_at_a_time() -> None:
    folder = Folder({f"shop.{number}": 1 for number in range(MOST_NAMES)})
    await remove_abandoned(folder)
    assert len(folder.removed) == MOST_ABANDONED
