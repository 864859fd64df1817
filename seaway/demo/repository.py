"""The example application as a real Git repository in the data folder."""

from __future__ import annotations

import shutil
import subprocess
from importlib import resources
from pathlib import Path

BRANCH = "main"
AUTHOR = ("-c", "user.name=Seaway", "-c", "user.email=demo@seaway.invalid")


def prepare(folder: Path) -> bool:
    """Makes or renews the repository; says whether it has a new commit. `folder` is the work tree."""
    if not (folder / ".git").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _git(folder, "init", "--quiet", f"--initial-branch={BRANCH}")
    with resources.as_file(resources.files("seaway") / "example") as example:
        shutil.copytree(example, folder, dirs_exist_ok=True)
    _git(folder, "add", "--all")
    if not _git(folder, "status", "--porcelain"):
        return False
    _git(folder, *AUTHOR, "commit", "--quiet", "--message", "The example application")
    return True


def address(folder: Path) -> str:
    """The URL by which Seaway fetches it."""
    return folder.resolve().as_uri()


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    ).stdout
