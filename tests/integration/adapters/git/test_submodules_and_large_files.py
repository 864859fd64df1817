"""What a repository draws in from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import git_exports
from adapters.git import GitMirrors
from adapters.git_submodules import Submodule, parse_submodules
from domain.errors import SourceIncomplete, SourceUnavailable
from tests.integration.adapters.git.git_calls import check_out, files
from tests.integration.adapters.git_servers import (
    Repository,
    WebServer,
    make_repository,
    publish,
)

pytestmark = pytest.mark.integration


class TestSubmodulesAndLargeFiles:
    """What belongs to a commit but is not in its tree."""

    async def test_nested_submodules_with_relative_addresses_are_written_too(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        inner, library = make_repository(tmp_path / "inner"), make_repository(tmp_path / "library")
        inner.commit({"inner.txt": "i"})
        library.commit({"library.txt": "l"})
        library.git("submodule", "--quiet", "add", "../inner", "nested/inner")
        library.commit({})
        repository.git("submodule", "--quiet", "add", "../library", "vendor/library")
        commit = repository.commit({})
        library.commit({"library.txt": "newer than what the repository names"})
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert (tree / "vendor/library/library.txt").read_text() == "l"
        assert (tree / "vendor/library/nested/inner/inner.txt").read_text() == "i"
        assert not list(tree.rglob(".git"))
        bare = await check_out(mirrors, repository.url, commit, tmp_path / "bare", submodules=False)
        assert not any((bare / "vendor/library").iterdir())

    async def test_a_submodule_that_is_not_there_is_named(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        library = make_repository(tmp_path / "library")
        library.commit({"x": "x"})
        repository.git("submodule", "--quiet", "add", "../library", "library")
        commit = repository.commit({})
        library.path.rename(tmp_path / "gone")
        with pytest.raises(SourceIncomplete, match="submodule at library cannot be fetched: There is no"):
            await check_out(mirrors, repository.url, commit, tmp_path / "out" / "tree")
        assert list((tmp_path / "out").iterdir()) == []

    async def test_none_is_left_out_where_the_mirror_is_made_anew_meanwhile(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        library = make_repository(tmp_path / "library")
        library.commit({"x": "x"})
        repository.git("submodule", "--quiet", "add", "../library", "library")
        commit = repository.commit({})

        def take_the_mirror_away(listing: str) -> list[Submodule]:
            [mirror] = (tmp_path / "mirrors").glob("*.git")
            mirror.rename(tmp_path / "away")
            return parse_submodules(listing)

        monkeypatch.setattr(git_exports, "parse_submodules", take_the_mirror_away)
        with pytest.raises(SourceUnavailable, match="submodules of"):
            await check_out(mirrors, repository.url, commit, tmp_path / "out" / "tree")
        monkeypatch.undo()
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "again" / "tree")
        assert (tree / "library/x").read_text() == "x"

    async def test_a_repository_from_elsewhere_cannot_read_folders_of_the_machine(
        self, mirrors: GitMirrors, repository: Repository, web: WebServer, tmp_path: Path
    ) -> None:
        library = make_repository(tmp_path / "library")
        library.commit({"x": "x"})
        repository.git("submodule", "--quiet", "add", library.url, "library")
        commit = repository.commit({})
        publish(repository, tmp_path / "web" / "app.git")
        with pytest.raises(SourceIncomplete, match="names a folder of the machine"):
            await check_out(mirrors, web.url("app.git"), commit, tmp_path / "tree")

    async def test_a_repository_that_contains_itself_comes_to_an_end(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        first = repository.git("rev-parse", "HEAD")
        (repository.path / ".gitmodules").write_text('[submodule "me"]\n\tpath = me\n\turl = ./\n')
        repository.git("add", ".gitmodules")
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{first},me")
        repository.git("commit", "--quiet", "--message=me")
        commit = repository.git("rev-parse", "HEAD")
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert files(tree / "me") == {"app.txt": "one"}

    async def test_large_files_are_fetched_when_used_and_only_then(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        repository.git("lfs", "install", "--local")
        repository.git("lfs", "track", "*.bin")
        commit = repository.commit({"data.bin": "large content"})
        pointer = repository.git("show", "HEAD:data.bin")
        assert pointer.startswith("version https://git-lfs")
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert (tree / "data.bin").read_text() == "large content"
        without = await check_out(mirrors, repository.url, commit, tmp_path / "without", lfs=False)
        assert (without / "data.bin").read_text().strip() == pointer

    async def test_a_large_file_that_was_never_pushed_is_reported(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        repository.git("lfs", "install", "--local")
        repository.git("lfs", "track", "*.bin")
        commit = repository.commit({"data.bin": "large content"})
        for path in (repository.path / ".git/lfs/objects").rglob("*"):
            if path.is_file():
                path.unlink()
        with pytest.raises(SourceIncomplete, match="Git LFS cannot be fetched"):
            await check_out(mirrors, repository.url, commit, tmp_path / "out" / "tree")
        assert list((tmp_path / "out").iterdir()) == []

    async def test_a_worker_without_git_lfs_says_what_to_install(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = repository.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        (bin_folder / "git").symlink_to("/usr/bin/git")
        monkeypatch.setenv("PATH", str(bin_folder))
        with pytest.raises(SourceIncomplete, match="apt-get install git-lfs"):
            await check_out(mirrors, repository.url, commit, tmp_path / "tree")
