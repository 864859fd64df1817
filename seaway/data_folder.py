"""The data folder: one Seaway at a time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Final

from domain.errors import StartUpError

TURN_SECONDS: Final = 60.0
TURN_PAUSE_SECONDS: Final = 0.1


def keep_private() -> None:
    """What this process and its children write from now on is for this user only (umask(2)).

    The data folder may be one that others can look into, and databases and logs hold what is private.
    What containers must read is given its mode by whoever writes it.
    """
    os.umask(0o077)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds the folder for this process; the lock goes with the process, however it ends.

    Raises StartUpError when another Seaway has it, or when it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "seaway.lock").open("a+")
    except OSError as error:
        raise StartUpError(
            f"The data folder {folder} cannot be written to ({error.strerror}). "
            "Choose another with --data-dir, or run as a user who may write there."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "?"
            raise StartUpError(
                f"The data folder {folder} is in use by another Seaway (process {holder}). "
                "Stop that one first, or choose another folder with --data-dir."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextlib.asynccontextmanager
async def in_turn(folder: Path) -> AsyncIterator[None]:
    """The processes that share the folder do one after the other what the block does.

    The lock goes with its process, however that ends. Raises StartUpError when no turn comes within a minute.
    """
    with (folder / "first-run.lock").open("a") as lock:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                # Only asking tells when another process is done.
                while not _locked(lock):  # noqa: ASYNC110
                    await asyncio.sleep(TURN_PAUSE_SECONDS)
        except TimeoutError as error:
            raise StartUpError(
                f"Another process of Seaway has been preparing {folder} for a minute. Look at its log."
            ) from error
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
