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

from domain.errors import TransientError

POLL: Final = timedelta(milliseconds=50)
MOST_PLACES: Final = 1000


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
def exclusive_if_free(path: Path) -> Iterator[bool]:
    """Holds the lock file `path` as `exclusive` does; False, at once, where somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _try_lock(descriptor)
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


@contextlib.contextmanager
def owned_place(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder `prefix…` in `parent` with the name of last time, unless another still holds that; empty.

    Its content is removed at the end. The folder itself is not to be removed meanwhile.
    """
    for number in range(MOST_PLACES):
        folder = parent / f"{prefix}{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        descriptor = _lock_folder(folder)
        if descriptor is not None:
            break
    else:
        raise TransientError(f"None of the {MOST_PLACES} folders {parent / prefix}… can be used.")
    try:
        empty_folder(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def empty_folder(folder: Path) -> None:
    """Removes everything in the folder. Raises OSError for what cannot be removed."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()


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
    if _try_lock(descriptor) and _is_at(descriptor, folder):
        return descriptor
    os.close(descriptor)
    return None


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether the open folder still has this name, and not one that was made after it."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.lstat())
    except OSError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _escaped(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)
