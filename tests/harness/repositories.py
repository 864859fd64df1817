"""Real Git repositories: a bare one, as a forge keeps it, and a work tree that commits and pushes to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.git_over_http import GitHttpServer, serve_http
from tests.harness.git_over_ssh import GitSshServer, serve_ssh
from tests.harness.images import SAMPLE_APPLICATION_FILES, SAMPLE_APPLICATION_FOLDER

__all__ = ["GitHttpServer", "GitRepository", "GitSshServer", "serve_http", "serve_ssh"]

# Nothing of the user's own Git settings (signing, hooks, default branch) may reach the tests.
ISOLATION = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Author",
    "GIT_AUTHOR_EMAIL": "author@example.test",
    "GIT_COMMITTER_NAME": "Author",
    "GIT_COMMITTER_EMAIL": "author@example.test",
}
# What forges allow: fetching a commit by its id, and partial clones.
FORGE_SETTINGS = {"uploadpack.allowReachableSHA1InWant": "true", "uploadpack.allowFilter": "true"}
# Variables that a Git hook sets would send our commands to another repository.
INHERITED = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


class GitRepository:
    """A bare repository `{folder}/{name}.git` and a work tree `{folder}/{name}` that pushes each change.

    The methods block for some milliseconds; use `asyncio.to_thread` where a load runs in the same loop.
    """

    def __init__(self, folder: Path, name: str = "application", default_branch: str = "main") -> None:
        """Makes both, without any commit."""
        self.name = name
        self.bare = folder / f"{name}.git"
        self.work_tree = folder / name
        folder.mkdir(parents=True, exist_ok=True)
        _git(["init", "--quiet", "--bare", f"--initial-branch={default_branch}", str(self.bare)], folder)
        for key, value in FORGE_SETTINGS.items():
            _git(["config", key, value], self.bare)
        _git(["init", "--quiet", f"--initial-branch={default_branch}", str(self.work_tree)], folder)
        self.git("remote", "add", "origin", str(self.bare))

    @property
    def url(self) -> str:
        """The `file://` URL of the bare repository."""
        return self.bare.as_uri()

    @property
    def head(self) -> str:
        """The id of the commit that the work tree is at."""
        return self.git("rev-parse", "HEAD")

    @property
    def current_branch(self) -> str:
        """The branch that `commit` adds to."""
        return self.git("symbolic-ref", "--short", "HEAD")

    def commit(
        self, files: Mapping[str, str | bytes], message: str = "Change", remove: Sequence[str] = ()
    ) -> str:
        """Writes and removes files (paths relative to the root), commits and pushes; the new commit's id.

        A commit that changes nothing is made all the same.
        """
        for name, content in files.items():
            path = self.work_tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if remove:
            self.git("rm", "--quiet", "-r", "--", *remove)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{self.current_branch}")
        return self.head

    def branch(self, name: str) -> None:
        """Makes the branch at the present commit, pushes it, and lets `commit` add to it."""
        self.git("switch", "--quiet", "-C", name)
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{name}")

    def switch(self, name: str) -> None:
        """Lets `commit` add to another branch that exists."""
        self.git("switch", "--quiet", name)

    def delete_branch(self, name: str) -> None:
        """Removes a branch from the bare repository, and here too unless it is the current one."""
        self.git("push", "--quiet", "origin", f":refs/heads/{name}")
        if name != self.current_branch:
            self.git("branch", "--quiet", "-D", name)

    def tag(self, name: str, message: str = "") -> None:
        """Tags the present commit and pushes the tag; annotated when there is a message."""
        self.git("tag", *(["--annotate", f"--message={message}"] if message else []), name)
        self.git("push", "--quiet", "origin", f"refs/tags/{name}")

    def release(self, version: str, files: Mapping[str, str | bytes] | None = None) -> str:
        """Commits the sample application that answers with `version`, and other files; the commit's id."""
        sources = {name: (SAMPLE_APPLICATION_FOLDER / name).read_bytes() for name in SAMPLE_APPLICATION_FILES}
        return self.commit({**sources, "VERSION": f"{version}\n", **(files or {})}, f"Release {version}")

    def git(self, *arguments: str) -> str:
        """Runs Git in the work tree; its output. Raises AssertionError with what Git said."""
        return _git(arguments, self.work_tree)


def _git(arguments: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**INHERITED, **ISOLATION},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (
        f"git {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}"
    )
    return done.stdout.strip()
