"""The files of a commit, written out by real Git."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import git_sizes
from adapters.git import GitMirrors
from domain.errors import SourceIncomplete, UnknownRevision
from tests.harness.processes import REPOSITORY_ROOT
from tests.harness.waiting import eventually
from tests.integration.adapters.git.git_calls import check_out, files, resolve
from tests.integration.adapters.git_servers import (
    ENVIRONMENT,
    Repository,
)

pytestmark = pytest.mark.integration


class TestCheckOut:
    """From a commit to a folder."""

    async def test_the_tree_is_what_a_clone_has_but_without_git(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        (repository.path / "link").symlink_to("../../outside")
        (repository.path / "run.sh").write_text("#!/bin/sh")
        (repository.path / "run.sh").chmod(0o755)
        commit = repository.commit(
            {
                ".gitattributes": "secret.txt export-ignore\nversion.txt export-subst\nlines.txt eol=crlf\n",
                "secret.txt": "kept",
                "version.txt": "$Format:%H$",
                "lines.txt": "one\n",
                "deep/er/file": "x",
            }
        )
        await resolve(mirrors, repository.url)
        previous = os.umask(0o077)
        try:
            tree = await check_out(mirrors, repository.url, commit, tmp_path / "trees" / "1")
        finally:
            os.umask(previous)
        assert not list(tree.rglob(".git"))
        assert (tree / "link").readlink() == Path("../../outside")
        assert (tree / "secret.txt").read_text() == "kept"
        assert (tree / "version.txt").read_text() == "$Format:%H$"
        assert (tree / "lines.txt").read_bytes() == b"one\r\n"
        modes = {str(path.relative_to(tree)): path.lstat().st_mode & 0o777 for path in tree.rglob("*")}
        assert modes["run.sh"] == 0o755
        assert modes["app.txt"] == 0o644
        assert modes["deep"] == modes["deep/er"] == tree.stat().st_mode & 0o777 == 0o755
        assert [path.name for path in tree.parent.iterdir()] == ["1"]

    async def test_times_follow_the_commit(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        first = await resolve(mirrors, repository.url)
        second = repository.commit({"other.txt": "x"})
        await resolve(mirrors, repository.url)
        times = []
        for name, commit in [("a", first), ("b", first), ("c", second)]:
            tree = await check_out(mirrors, repository.url, commit, tmp_path / name)
            times.append((tree / "app.txt").stat().st_mtime_ns)
        assert times[0] == times[1] != times[2]
        assert times[2] // 10**9 == int(repository.git("log", "-1", "--format=%ct"))

    async def test_a_complete_destination_is_kept_and_a_half_made_one_is_removed(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        commit = await resolve(mirrors, repository.url)
        abandoned = tmp_path / "tree.tmp-0123456789abcdef"
        (abandoned / "tree").mkdir(parents=True)
        (abandoned / "tree" / "app.txt").write_text("half")
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert not abandoned.exists()
        (tree / "mark").touch()
        await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert (tree / "mark").exists()

    async def test_several_at_once_for_one_destination_give_one_whole_tree(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        commit = repository.commit({f"file{number}": "x" for number in range(200)})
        other = GitMirrors(tmp_path / "mirrors")
        await asyncio.gather(
            *(
                check_out(one, repository.url, commit, tmp_path / "out" / "tree")
                for one in [mirrors, other] * 3
            )
        )
        assert len(files(tmp_path / "out" / "tree")) == 201
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["tree"]

    async def test_a_worker_killed_in_the_middle_leaves_nothing_that_the_next_does_not_mend(
        self, repository: Repository, tmp_path: Path
    ) -> None:
        commit = repository.commit({f"folder{number}/file": "x" * 1000 for number in range(3000)})
        program = (
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from adapters.git import GitMirrors\n"
            "from domain.git_references import parse_repository\n"
            "root, url, commit, destination = sys.argv[1:]\n"
            "asyncio.run(GitMirrors(Path(root)).check_out(parse_repository(url), commit, Path(destination),"
            " submodules=True, lfs=True, credential=None))\n"
        )
        out = tmp_path / "out"
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program,
            str(tmp_path / "mirrors"), repository.url, commit, str(out / "tree"),
            cwd=REPOSITORY_ROOT,
        )  # fmt: skip
        await eventually(lambda: any(out.glob("tree.tmp-*/tree/folder*")), interval_seconds=0.001)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        assert not (out / "tree").exists()
        mirrors = GitMirrors(tmp_path / "mirrors")
        tree = await check_out(mirrors, repository.url, commit, out / "tree")
        assert len(files(tree)) == 3001
        assert [path.name for path in out.iterdir()] == ["tree"]

    async def test_cancelling_leaves_nothing(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        commit = repository.commit({f"folder{number}/file": "x" for number in range(2000)})
        out = tmp_path / "out"
        task = asyncio.create_task(check_out(mirrors, repository.url, commit, out / "tree"))
        await eventually(lambda: any(out.glob("tree.tmp-*/tree/folder*")), interval_seconds=0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(out.iterdir()) == []

    async def test_a_commit_that_the_repository_lacks_is_unknown(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        with pytest.raises(UnknownRevision):
            await check_out(mirrors, repository.url, "0123456789" * 4, tmp_path / "tree")

    @pytest.mark.parametrize("change", ["rewritten", "deleted"])
    async def test_a_commit_that_its_branch_left_is_fetched_again_once_the_mirror_forgot_it(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path, change: str
    ) -> None:
        repository.git("switch", "--quiet", "--create", "topic")
        commit = repository.commit({"app.txt": "topic"})
        assert await resolve(mirrors, repository.url, "topic") == commit
        if change == "rewritten":
            repository.git("commit", "--quiet", "--amend", "--message=Rewritten")
        else:
            repository.git("switch", "--quiet", "main")
            repository.git("branch", "--quiet", "-D", "topic")
        repository.git("commit", "--quiet", "--allow-empty", "--message=Next")
        await resolve(mirrors, repository.url, repository.git("branch", "--show-current"))
        forget_what_nothing_leads_to(tmp_path / "mirrors")
        assert await resolve(mirrors, repository.url, "main", commit) == commit
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert files(tree) == {"app.txt": "topic"}

    async def test_a_commit_that_is_forgotten_here_and_there_is_unknown(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        commit = await resolve(mirrors, repository.url)
        repository.git("commit", "--quiet", "--amend", "--message=Rewritten")
        await resolve(mirrors, repository.url)
        forget_what_nothing_leads_to(tmp_path / "mirrors")
        repository.git("reflog", "expire", "--expire=now", "--all")
        repository.git("gc", "--quiet", "--prune=now")
        with pytest.raises(UnknownRevision, match=f"no branch, tag or commit '{commit}'"):
            await check_out(mirrors, repository.url, commit, tmp_path / "tree")

    @pytest.mark.parametrize("on_a_branch", [True, False])
    @pytest.mark.parametrize("part", ["", "^{tree}", ":app.txt"])
    async def test_what_a_damaged_mirror_lacks_comes_into_a_new_one(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path, part: str, on_a_branch: bool
    ) -> None:
        commit = repository.commit({"app.txt": "two"})
        if not on_a_branch:
            repository.git("reset", "--quiet", "--hard", "HEAD^")
        assert await resolve(mirrors, repository.url, commit=commit) == commit
        lost = repository.git("rev-parse", f"{commit}{part}")
        [path] = (tmp_path / "mirrors").glob(f"*.git/objects/{lost[:2]}/{lost[2:]}")
        path.unlink()
        trees = [tmp_path / "trees" / name for name in "abc"]
        await asyncio.gather(*(check_out(mirrors, repository.url, commit, tree) for tree in trees))
        assert [files(tree) for tree in trees] == [{"app.txt": "two"}] * 3


class TestHostileCommits:
    """A few objects that unpack to more than a machine has."""

    async def test_folders_within_folders_are_refused_before_anything_is_written(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # Nobody has the time to count a million in a test.
        allowance = git_sizes.Allowance(1 << 50, most_files=20_000)
        monkeypatch.setattr(git_sizes.Allowance, "of", lambda folder: allowance)
        commit = nested(repository, folders=10, deep=12)
        await resolve(mirrors, repository.url)
        with pytest.raises(SourceIncomplete, match="more than 20,000 files and folders"):
            await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert list(tmp_path.glob("tree*")) == []  # noqa: ASYNC240

    async def test_a_file_that_is_larger_than_the_disk_is_refused(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        commit = repository.commit({"zeros": "0" * 3_000_000}, "Large")
        await resolve(mirrors, repository.url)
        free = git_sizes.LEFT_FREE_BYTES + 2_000_000
        monkeypatch.setattr(git_sizes.Allowance, "of", lambda folder: git_sizes.Allowance(free))
        with pytest.raises(SourceIncomplete, match="larger than the 2 MB"):
            await check_out(mirrors, repository.url, commit, tmp_path / "tree")


def nested(repository: Repository, *, folders: int, deep: int) -> str:
    """A commit with so many folders, each of which has so many again, and so on: deep objects in all."""
    file = repository.git("hash-object", "-w", "app.txt").strip()
    entry = f"100644 blob {file}"
    for _ in range(deep):
        listing = "".join(f"{entry}\t{number}\n" for number in range(folders))
        made = subprocess.run(
            ["git", "mktree"], cwd=repository.path, input=listing, text=True, capture_output=True, check=True
        )
        entry = f"040000 tree {made.stdout.strip()}"
    commit = repository.git("commit-tree", "-m", "Nested", entry.split()[2]).strip()
    repository.git("update-ref", "refs/heads/main", commit)
    return commit


def forget_what_nothing_leads_to(root: Path) -> None:
    """As Git does by itself after two weeks."""
    for mirror in root.glob("*.git"):
        arguments = ["git", f"--git-dir={mirror}", "gc", "--quiet", "--prune=now"]
        subprocess.run(arguments, env=ENVIRONMENT, check=True)
