"""The folder that test runs share, and locks between test processes (several workers of pytest-xdist)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def shared_folder() -> Path:
    """A folder of this user in the temporary folder, kept between runs; closed to other users."""
    folder = Path(tempfile.gettempdir()) / f"seaway-test-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise RuntimeError(f"{folder} belongs to somebody else; remove it")
    return folder


@contextlib.contextmanager
def exclusive(name: str, timeout_seconds: float = 300.0) -> Iterator[None]:
    """Holds the lock `name`, which is free again when its holder dies; TimeoutError after the limit."""
    deadline = time.monotonic() + timeout_seconds
    with (shared_folder() / f"{name}.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"another process holds {file.name}") from None
                time.sleep(0.1)
        yield
