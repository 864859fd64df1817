"""When each file of a tree was last changed, as far as earlier trees of the same application tell.

BuildKit sends a file that has another size or time than at the last build, and takes one of the same path,
size and time for unchanged. So a file keeps its time for as long as it keeps its content, and gets a new one,
which no other content has at this path, with each change. That holds whatever is lost: a time stands for one
commit, and a file only ever gets that of a commit whose content it has.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

SECOND: Final = 10**9
SUFFIX: Final = ".times"
UNUSED_FOR: Final = timedelta(days=30)
# Half a million files; those of a larger tree all get a new time.
LARGEST_RECORD_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class FileTime:
    """A file's content, as a digest, and the time that stands for it: nanoseconds since 1970."""

    digest: str
    time_ns: int


def time_of(commit: str, committed_at: int, *choices: object) -> int:
    """The time, in nanoseconds, that stands for a commit: its second, and a fraction that follows its id.

    `choices` are what else the files depend on. Two commits of one second share a time once in 10⁹.
    """
    identity = hashlib.sha256("\0".join([commit, *map(str, choices)]).encode()).hexdigest()
    return committed_at * SECOND + int(identity, 16) % SECOND


def digest_of(path: Path, kind: int) -> str:
    """What tells the content of a file or symbolic link from every other; "" for anything else."""
    if stat.S_ISLNK(kind):
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    if not stat.S_ISREG(kind):
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FileTimes:
    """The times of one application's files, in a file of its own."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist."""
        self._path = path

    @classmethod
    def of(cls, folder: Path, application_id: str) -> FileTimes:
        """Those of an application, in the folder of all of them."""
        return cls(folder / f"{application_id}{SUFFIX}")

    def read(self) -> dict[str, FileTime]:
        """By path; empty where there is nothing that can be read."""
        try:
            if self._path.stat().st_size > LARGEST_RECORD_BYTES:
                return {}
            content = json.loads(self._path.read_text(encoding="ascii"))
            return {path: FileTime(str(digest), int(at)) for path, (digest, at) in content.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def write(self, times: Mapping[str, FileTime]) -> None:
        """Replaces what there was; when that fails, the next build sends more than it has to."""
        content = {path: (known.digest, known.time_ns) for path, known in times.items()}
        unfinished = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished.touch(mode=0o600, exist_ok=False)
            with unfinished.open("w", encoding="ascii") as file:
                json.dump(content, file, separators=(",", ":"))
            unfinished.replace(self._path)
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                unfinished.unlink()

    def remove(self) -> None:
        """There is nothing afterwards."""
        self._path.unlink(missing_ok=True)


def remove_unused(folder: Path, unused_for: timedelta = UNUSED_FOR) -> None:
    """Removes the times of applications that have not been built for so long, and what was never finished."""
    oldest = time.time() - unused_for.total_seconds()
    for path in _files_in(folder):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _files_in(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()
