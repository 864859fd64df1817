"""The example application as a real Git repository in the data folder."""

from __future__ import annotations

import shutil
import subprocess
from importlib import resources
from pathlib import Path

BRANCH = "main"
AUTHOR = ("-c", "user.name=Seaway", "-c", "user.email=demo@seaway.invalid")


def prepare(folder: Path) -> None:
    """Makes the repository in `folder`; one that has a commit is its user's, and is left alone."""
    if _has_commit(folder):
        return
    with resources.as_file(resources.files("seaway") / "example") as example:
        shutil.copytree(example, folder, dirs_exist_ok=True)
    _git(folder, "init", "--quiet", f"--initial-branch={BRANCH}")
    _git(folder, "add", "--all")
    _git(folder, *AUTHOR, "commit", "--quiet", "--message", "The example application")


def page(folder: Path) -> str:
    """The first page of the newest commit, as the application should serve it."""
    return _git(folder, "show", f"{BRANCH}:index.html")


def address(folder: Path) -> str:
    """The URL by which Seaway fetches it."""
    return folder.resolve().as_uri()


def _has_commit(folder: Path) -> bool:
    if not (folder / ".git").is_dir():
        return False
    question = ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{BRANCH}"]
    return subprocess.run(question, cwd=folder, capture_output=True, check=False, timeout=60).returncode == 0


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    ).stdout
