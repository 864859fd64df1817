"""Which commit is meant, asked of real Git."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapters import git_mirrors, processes
from adapters.git import GitMirrors
from domain.errors import RepositoryRefused, UnknownRevision
from domain.git_references import parse_repository
from tests.integration.adapters.git.git_calls import check_out, files, resolve
from tests.integration.adapters.git_servers import (
    Repository,
    make_repository,
)

pytestmark = pytest.mark.integration


class TestResolve:
    """From a name to a commit."""

    async def test_a_branch_gives_its_newest_commit_with_message_and_author(
        self, mirrors: GitMirrors, repository: Repository
    ) -> None:
        found = await mirrors.resolve(
            parse_repository(repository.url), branch="main", commit="HEAD", credential=None
        )
        assert found.commit == repository.git("rev-parse", "HEAD")
        assert found.ref == "refs/heads/main"
        assert found.message == "First\n\nWith a body, and ümlauts."
        assert found.author == "Ada Lovelace <ada@example.com>"

    async def test_every_way_to_name_a_commit_finds_it(
        self, mirrors: GitMirrors, repository: Repository
    ) -> None:
        first = repository.git("rev-parse", "HEAD")
        repository.git("tag", "--annotate", "v1", "--message=release")
        second = repository.commit({"app.txt": "two"})
        repository.git("branch", "feature/x")
        for branch, commit, expected in [
            ("main", "HEAD", second),
            ("HEAD", "HEAD", second),
            ("feature/x", "HEAD", second),
            ("v1", "HEAD", first),
            ("main", "v1", first),
            ("main", first, first),
            ("main", first[:10], first),
            ("main", second[:7], second),
        ]:
            assert await resolve(mirrors, repository.url, branch, commit) == expected

    async def test_a_new_push_is_seen_at_once_and_a_deleted_branch_is_gone(
        self, mirrors: GitMirrors, repository: Repository
    ) -> None:
        repository.git("branch", "topic")
        await resolve(mirrors, repository.url, "topic")
        repository.git("branch", "--delete", "topic")
        repository.git("branch", "topic/inner")
        second = repository.commit({"app.txt": "two"})
        assert await resolve(mirrors, repository.url) == second
        await resolve(mirrors, repository.url, "topic/inner")
        with pytest.raises(UnknownRevision, match="'topic'"):
            await resolve(mirrors, repository.url, "topic")

    async def test_a_rewritten_branch_is_followed_and_its_old_commit_still_found(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        first = repository.git("rev-parse", "HEAD")
        repository.git("commit", "--quiet", "--amend", "--message=Rewritten")
        rewritten = repository.git("rev-parse", "HEAD")
        assert await resolve(mirrors, repository.url) == rewritten
        assert await resolve(mirrors, repository.url, commit=first) == first
        tree = await check_out(mirrors, repository.url, first, tmp_path / "tree")
        assert files(tree) == {"app.txt": "one"}

    @pytest.mark.parametrize(
        ("branch", "commit", "named"),
        [
            ("nothing", "HEAD", "'nothing'"),
            ("main", "v9", "'v9'"),
            ("main", "0123456789" * 4, "'0123456789"),
            ("main", "abcdef0123", "'abcdef0123'"),
        ],
    )
    async def test_what_is_not_there_is_named(
        self, mirrors: GitMirrors, repository: Repository, branch: str, commit: str, named: str
    ) -> None:
        with pytest.raises(UnknownRevision, match=f"{repository.url} has no branch, tag or commit {named}"):
            await resolve(mirrors, repository.url, branch, commit)

    async def test_an_empty_repository_has_no_branch(self, mirrors: GitMirrors, tmp_path: Path) -> None:
        empty = make_repository(tmp_path / "empty")
        with pytest.raises(UnknownRevision, match="'main'"):
            await resolve(mirrors, empty.url)

    async def test_a_very_long_message_comes_whole(self, mirrors: GitMirrors, repository: Repository) -> None:
        message = "\n".join(f"line {number}" for number in range(2000))
        commit = repository.commit({}, message)
        found = await mirrors.resolve(
            parse_repository(repository.url), branch="main", commit="HEAD", credential=None
        )
        assert (found.commit, found.message) == (commit, message)

    async def test_a_missing_repository_is_refused(self, mirrors: GitMirrors, tmp_path: Path) -> None:
        with pytest.raises(RepositoryRefused, match=f"no repository at file://{tmp_path}/nothing"):
            await resolve(mirrors, f"file://{tmp_path}/nothing")

    @pytest.mark.parametrize("what", ["lock", "objects", "HEAD"])
    async def test_what_a_killed_git_left_in_the_mirror_is_mended(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path, what: str
    ) -> None:
        await resolve(mirrors, repository.url)
        [mirror] = (tmp_path / "mirrors").glob("*.git")
        if what == "lock":
            (mirror / "refs/heads/main.lock").touch()
        elif what == "objects":
            for path in (mirror / "objects").rglob("*"):
                if path.is_file():
                    path.unlink()
        else:
            (mirror / "HEAD").unlink()
        assert await resolve(mirrors, repository.url) == repository.git("rev-parse", "HEAD")
        second = repository.commit({"app.txt": "two"})
        assert await resolve(mirrors, repository.url) == second
        tree = await check_out(mirrors, repository.url, second, tmp_path / "tree")
        assert files(tree) == {"app.txt": "two"}

    async def test_many_at_once_share_one_mirror(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        other = GitMirrors(tmp_path / "mirrors")  # as another worker on the same machine
        commit = repository.git("rev-parse", "HEAD")
        found = await asyncio.gather(*(resolve(one, repository.url) for one in [mirrors, other] * 4))
        assert set(found) == {commit}
        assert len(list((tmp_path / "mirrors").glob("*.git"))) == 1

    async def test_of_many_repositories_only_so_many_are_fetched_at_once(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running, most, real = 0, 0, processes.run

        async def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return await real(*arguments, **options)
            finally:
                running -= 1

        monkeypatch.setattr(git_mirrors, "run", counted)
        monkeypatch.setattr(git_mirrors, "COMMANDS_AT_ONCE", 2)
        for number in range(6):
            shutil.copytree(repository.path, tmp_path / f"copy-{number}")
        mirrors = GitMirrors(tmp_path / "mirrors")
        copies = [f"file://{tmp_path}/copy-{number}" for number in range(6)]
        found = await asyncio.gather(*(resolve(mirrors, copy) for copy in copies))
        assert set(found) == {repository.git("rev-parse", "HEAD")}
        assert most == 2

    async def test_a_repository_of_another_user_is_readable(
        self, mirrors: GitMirrors, repository: Repository
    ) -> None:
        if os.getuid() != 0:
            pytest.skip("only root can give files away")
        for path in [repository.path, *repository.path.rglob("*")]:
            os.chown(path, 12345, 12345, follow_symlinks=False)
        assert len(await resolve(mirrors, repository.url)) == 40
