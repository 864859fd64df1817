"""Real repositories, resolved and written out by real Git."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.git import GitCredential, GitMirrors
from domain.errors import RepositoryRefused, SourceIncomplete, SourceUnavailable, UnknownRevision
from domain.git_references import RepositoryAddress, parse_repository
from tests.harness.processes import REPOSITORY_ROOT
from tests.harness.waiting import eventually
from tests.integration.adapters.git_servers import (
    Repository,
    SshServer,
    WebServer,
    make_repository,
    new_key,
    publish,
    ssh_server,
    web_server,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = make_repository(tmp_path / "repository")
    made.commit({"app.txt": "one"}, "First\n\nWith a body, and ümlauts.")
    return made


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "mirrors")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SshServer]:
    async with ssh_server(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def web(tmp_path: Path, repository: Repository) -> Iterator[WebServer]:
    publish(repository, tmp_path / "web" / "app.git")
    with web_server(tmp_path / "web") as running:
        yield running


async def resolve(
    mirrors: GitMirrors,
    url: str | RepositoryAddress,
    branch: str = "main",
    commit: str = "HEAD",
    credential: GitCredential | None = None,
) -> str:
    address = url if isinstance(url, RepositoryAddress) else parse_repository(url)
    return (await mirrors.resolve(address, branch=branch, commit=commit, credential=credential)).commit


async def check_out(
    mirrors: GitMirrors,
    url: str,
    commit: str,
    destination: Path,
    credential: GitCredential | None = None,
    *,
    submodules: bool = True,
    lfs: bool = True,
) -> Path:
    await mirrors.check_out(
        parse_repository(url), commit, destination, submodules=submodules, lfs=lfs, credential=credential
    )
    return destination


def files(tree: Path) -> dict[str, str]:
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


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

    async def test_a_repository_of_another_user_is_readable(
        self, mirrors: GitMirrors, repository: Repository
    ) -> None:
        if os.getuid() != 0:
            pytest.skip("only root can give files away")
        for path in [repository.path, *repository.path.rglob("*")]:
            os.chown(path, 12345, 12345, follow_symlinks=False)
        assert len(await resolve(mirrors, repository.url)) == 40

    async def test_mirrors_that_nobody_used_are_removed_and_others_stay(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        commit = await resolve(mirrors, repository.url)
        assert await mirrors.collect_garbage(unused_for=timedelta(days=30)) == []
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert files(tree) == {"app.txt": "one"}
        assert len(await mirrors.collect_garbage(unused_for=timedelta(0))) == 1
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "again")
        assert files(tree) == {"app.txt": "one"}


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


class TestSsh:
    """Deploy keys, against a real sshd."""

    async def test_a_deploy_key_reads_the_repository_and_is_nowhere_afterwards(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer, tmp_path: Path
    ) -> None:
        key = GitCredential(private_key=SecretStr(server.private_key), id="key")
        url = server.url(repository.path)
        commit = await resolve(mirrors, url, credential=key)
        tree = await check_out(mirrors, url, commit, tmp_path / "tree", key)
        assert files(tree) == {"app.txt": "one"}
        secret = server.private_key.splitlines()[2]
        everything = [path for path in (tmp_path / "mirrors").rglob("*") if path.is_file()]
        assert everything
        assert not any(secret.encode() in path.read_bytes() for path in everything)

    async def test_a_key_with_windows_line_ends_works(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer
    ) -> None:
        text = server.private_key.strip().replace("\n", "\r\n")
        key = GitCredential(private_key=SecretStr(text))
        assert await resolve(mirrors, server.url(repository.path), credential=key)

    async def test_without_the_right_key_access_is_refused(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer, tmp_path: Path
    ) -> None:
        wrong = GitCredential(private_key=SecretStr(new_key(tmp_path / "wrong").read_text()))
        for credential in [None, wrong, GitCredential(private_key=SecretStr("no key at all"))]:
            with pytest.raises(RepositoryRefused, match=r"refused access to ssh://.*deploy key"):
                await resolve(mirrors, server.url(repository.path), credential=credential)

    async def test_a_missing_repository_is_told_from_a_refused_key(
        self, mirrors: GitMirrors, server: SshServer, tmp_path: Path
    ) -> None:
        key = GitCredential(private_key=SecretStr(server.private_key))
        with pytest.raises(RepositoryRefused, match="There is no repository at"):
            await resolve(mirrors, server.url(tmp_path / "nothing"), credential=key)

    async def test_a_host_key_is_pinned_at_first_contact_and_a_changed_one_refused(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        async with ssh_server(tmp_path / "honest") as honest:
            key = GitCredential(private_key=SecretStr(honest.private_key))
            await resolve(mirrors, honest.url(repository.path), credential=key)
        async with ssh_server(tmp_path / "impostor", honest.port) as impostor:
            with pytest.raises(RepositoryRefused, match=r"host key of 127\.0\.0\.1 is not the one"):
                await resolve(mirrors, impostor.url(repository.path), credential=key)

    async def test_given_host_keys_are_the_only_ones_accepted(
        self, mirrors: GitMirrors, repository: Repository, server: SshServer, tmp_path: Path
    ) -> None:
        name = f"[127.0.0.1]:{server.port} "
        other = (new_key(tmp_path / "other").with_suffix(".pub")).read_text()
        private_key = SecretStr(server.private_key)
        right = GitCredential(private_key=private_key, known_hosts=name + server.public_host_key)
        wrong = GitCredential(private_key=private_key, known_hosts=name + other)
        assert await resolve(mirrors, server.url(repository.path), credential=right)
        with pytest.raises(RepositoryRefused, match="host key"):
            await resolve(mirrors, server.url(repository.path), credential=wrong)


class TestWeb:
    """Passwords and tokens, and servers that are unwell."""

    async def test_a_password_opens_the_repository_and_stands_in_no_mirror(
        self, mirrors: GitMirrors, web: WebServer, tmp_path: Path
    ) -> None:
        web.users = {"robot": "t0ken-of-robot"}
        plain = web.url("app.git")
        embedded = plain.replace("http://", "http://robot:t0ken-of-robot@")
        credential = GitCredential(username="robot", password=SecretStr("t0ken-of-robot"))
        commit = await resolve(mirrors, plain, credential=credential)
        assert await resolve(mirrors, embedded) == commit
        assert files(await check_out(mirrors, embedded, commit, tmp_path / "tree")) == {"app.txt": "one"}
        for path in (tmp_path / "mirrors").rglob("*"):
            assert not path.is_file() or b"t0ken-of-robot" not in path.read_bytes()

    async def test_a_secret_never_stands_in_an_argument(
        self, mirrors: GitMirrors, web: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web.users = {"robot": "t0ken-of-robot"}
        seen: list[bytes] = []

        def look(_: str) -> None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(path.read_bytes())
                except (FileNotFoundError, ProcessLookupError):
                    continue

        web.answer = look
        await resolve(mirrors, web.url("app.git").replace("http://", "http://robot:t0ken-of-robot@"))
        assert any(b"ls-remote" in line for line in seen)
        assert not any(b"t0ken-of-robot" in line for line in seen)

    @pytest.mark.parametrize("password", ["wrong", None])
    async def test_a_wrong_or_missing_password_is_refused(
        self, mirrors: GitMirrors, web: WebServer, password: str | None
    ) -> None:
        web.users = {"robot": "t0ken"}
        credential = password and GitCredential(username="robot", password=SecretStr(password))
        with pytest.raises(RepositoryRefused, match=r"refused access to http://127\.0"):
            await resolve(mirrors, web.url("app.git"), credential=credential or None)

    async def test_a_missing_repository_is_refused(self, mirrors: GitMirrors, web: WebServer) -> None:
        with pytest.raises(RepositoryRefused, match="There is no repository at"):
            await resolve(mirrors, web.url("nothing.git"))

    async def test_a_redirect_to_another_server_never_gets_the_password(
        self, mirrors: GitMirrors, web: WebServer, tmp_path: Path
    ) -> None:
        web.users = {"robot": "t0ken"}
        with web_server(tmp_path / "web") as other:
            other.users = {"robot": "t0ken"}
            web.answer = lambda path: (302, f"http://127.0.0.1:{other.port}{path}")
            credential = GitCredential(username="robot", password=SecretStr("t0ken"))
            with pytest.raises(RepositoryRefused):
                await resolve(mirrors, web.url("app.git"), credential=credential)
            assert other.asked
            assert not any(authorization for _, authorization in other.asked)

    async def test_a_server_in_trouble_may_be_asked_again(self, mirrors: GitMirrors, web: WebServer) -> None:
        web.answer = lambda _: (503, "")
        with pytest.raises(SourceUnavailable, match="cannot be reached at the moment"):
            await resolve(mirrors, web.url("app.git"))
        web.answer = lambda _: None
        assert await resolve(mirrors, web.url("app.git"))

    @pytest.mark.parametrize(
        "url",
        ["http://127.0.0.1:1/a.git", "https://no-such-host.invalid/a.git", "ssh://git@127.0.0.1:1/a.git",
         "git@no-such-host.invalid:a.git", "git://127.0.0.1:1/a.git"],
    )  # fmt: skip
    async def test_an_unreachable_server_may_be_asked_again(self, mirrors: GitMirrors, url: str) -> None:
        with pytest.raises(SourceUnavailable, match="cannot be reached at the moment"):
            await resolve(mirrors, url)

    async def test_a_server_that_never_answers_is_given_up(self, tmp_path: Path) -> None:
        mirrors = GitMirrors(tmp_path / "mirrors", answer_limit=timedelta(seconds=0.5))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.git"
            with pytest.raises(SourceUnavailable, match=r"did not answer within 0\.5 s"):
                await resolve(mirrors, url)
