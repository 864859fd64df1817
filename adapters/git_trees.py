"""A folder with the files of one commit, made ready for a build."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from adapters.file_times import FileTime, digest_of

FOLDER_MODE: Final = 0o755
FILE_MODE: Final = 0o644
PROGRAM_MODE: Final = 0o755
LARGEST_ATTRIBUTES_FILE: Final = 1 << 20


def settle(tree: Path, time_ns: int, earlier: Mapping[str, FileTime]) -> dict[str, FileTime]:
    """Gives everything in the tree its mode, and the time since when it has its content; returns the times.

    Modes, because an image keeps them, and the umask of a worker must not decide whether its user can read
    a file. A file that has its content since an earlier tree keeps its time, all else gets `time_ns`; see
    `adapters.file_times`.
    """
    times = {}
    for path, kind in _everything(tree):
        if stat.S_ISDIR(kind):
            path.chmod(FOLDER_MODE)
        elif stat.S_ISREG(kind):
            path.chmod(PROGRAM_MODE if kind & stat.S_IXUSR else FILE_MODE)
        since = time_ns
        if digest := digest_of(path, kind):
            relative = path.relative_to(tree).as_posix()
            known = earlier.get(relative)
            if known is None or known.digest != digest:
                known = FileTime(digest, time_ns)
            times[relative] = known
            since = known.time_ns
        os.utime(path, ns=(since, since), follow_symlinks=False)
    return times


def uses_lfs(tree: Path) -> bool:
    """Whether any .gitattributes in the tree hands files to Git LFS."""
    for path, kind in _everything(tree):
        if path.name == ".gitattributes" and stat.S_ISREG(kind):
            with path.open("rb") as file:
                if b"filter=lfs" in file.read(LARGEST_ATTRIBUTES_FILE):
                    return True
    return False


def place_for_submodule(tree: Path, path: str) -> Path | None:
    """Where a submodule goes; None where that would be outside of the tree or not an empty folder."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        return None
    place = tree.joinpath(*parts)
    if any((tree.joinpath(*parts[:count])).is_symlink() for count in range(1, len(parts) + 1)):
        return None
    return place if place.is_dir() and not any(place.iterdir()) else None


def _everything(tree: Path) -> Iterator[tuple[Path, int]]:
    """Every path with its mode, content before its folder, without following symbolic links."""
    for folder, folders, files in os.walk(tree, topdown=False):
        for name in (*files, *folders):
            path = Path(folder, name)
            yield path, path.lstat().st_mode
    yield tree, tree.lstat().st_mode
