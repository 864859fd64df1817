"""Locks that the kernel frees when their holder dies (flock(2)), so a killed worker blocks nobody."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

POLL: Final = timedelta(milliseconds=50)


@contextlib.asynccontextmanager
async def exclusive(path: Path) -> AsyncIterator[None]:
    """Holds the lock file `path` against every other process and task; waits without a limit of its own."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor):  # noqa: ASYNC110 - another process gives no event
            await asyncio.sleep(POLL.total_seconds())
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def owned_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder `prefix…` in `parent`, removed at the end; its lock shows that it is in use."""
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        descriptor = _lock_folder(folder)
        if descriptor is not None:
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(parent: Path, prefix: str) -> list[Path]:
    """Removes the folders `prefix…` whose owner died before its end; returns them."""
    removed = []
    for folder in parent.glob(f"{_escaped(prefix)}*"):
        descriptor = None if folder.is_symlink() else _lock_folder(folder)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)
            removed.append(folder)
    return removed


def _lock_folder(folder: Path) -> int | None:
    """An open, locked descriptor of the folder; None if it is another's or has just been removed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    if _try_lock(descriptor) and folder.is_dir():
        return descriptor
    os.close(descriptor)
    return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _escaped(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)
