"""Mirrors are packed and removed by real Git, while others use them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import git_mirrors, processes
from adapters.file_locks import exclusive
from adapters.git import GitMirrors
from tests.harness.waiting import eventually
from tests.integration.adapters.git.git_calls import check_out, files, resolve
from tests.integration.adapters.git_servers import ENVIRONMENT, Repository

pytestmark = pytest.mark.integration

UNUSED_FOR = timedelta(days=30)


class TestUpkeep:
    """What nobody needs goes, and nothing else does."""

    async def test_mirrors_that_nobody_used_are_removed_and_others_stay(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        commit = await resolve(mirrors, repository.url)
        assert await mirrors.collect_garbage(unused_for=timedelta(days=30)) == []
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert files(tree) == {"app.txt": "one"}
        assert len(await mirrors.collect_garbage(unused_for=timedelta(0))) == 1
        assert list((tmp_path / "mirrors").glob("*.git*")) == []
        tree = await check_out(mirrors, repository.url, commit, tmp_path / "again")
        assert files(tree) == {"app.txt": "one"}

    async def test_packing_is_no_use_of_a_mirror_and_writing_files_of_an_old_commit_is(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        mirror = await worn_mirror(mirrors, repository, tmp_path)
        commit = repository.git("rev-parse", "HEAD")
        long_ago = time.time() - timedelta(days=40).total_seconds()
        os.utime(mirror / "seaway", (long_ago, long_ago))
        await check_out(mirrors, repository.url, commit, tmp_path / "tree")
        assert await mirrors.collect_garbage(unused_for=timedelta(days=30)) == []
        assert len(packs(mirror)) == 1
        os.utime(mirror / "seaway", (long_ago, long_ago))
        assert await mirrors.collect_garbage(unused_for=timedelta(days=30)) == [mirror]

    async def test_a_mirror_that_somebody_fetches_into_is_neither_waited_for_nor_removed(
        self, mirrors: GitMirrors, repository: Repository, tmp_path: Path
    ) -> None:
        await resolve(mirrors, repository.url)
        [mirror] = (tmp_path / "mirrors").glob("*.git")
        async with asyncio.timeout(5), exclusive(mirror.with_suffix(".lock")):
            assert await mirrors.collect_garbage(unused_for=timedelta(0)) == []
        assert mirror.is_dir()

    async def test_what_cannot_be_done_with_one_mirror_does_not_keep_the_others(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await resolve(mirrors, repository.url)
        for name in ("0.git", "0.lock"):
            (tmp_path / "mirrors" / name).mkdir()
        assert len(await mirrors.collect_garbage(unused_for=timedelta(0))) == 1
        assert "0.git" in caplog.text

    async def test_what_a_killed_worker_left_goes_and_keeps_no_mirror_from_being_packed(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        mirror = await worn_mirror(mirrors, repository, tmp_path)
        for name in ("packed-refs.lock", "gc.pid.lock", "objects/info/commit-graph.lock"):
            (mirror / name).parent.mkdir(exist_ok=True)
            (mirror / name).touch()
        abandoned = mirror.with_name(f"{mirror.name}.tmp-0123456789abcdef")
        (abandoned / "mirror").mkdir(parents=True)
        await mirrors.collect_garbage(unused_for=UNUSED_FOR)
        assert len(packs(mirror)) == 1
        assert not abandoned.exists()
        assert caplog.text == ""


class TestBesidePacking:
    """Packing a large repository takes long, and nobody waits for it."""

    async def test_what_is_pushed_meanwhile_is_deployed_and_nothing_is_lost(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        mirror = await worn_mirror(mirrors, repository, tmp_path)
        repository.git("switch", "--quiet", "--detach")
        hidden = repository.commit({"app.txt": "hidden"})
        repository.git("switch", "--quiet", "main")
        async with packing(mirrors, tmp_path, monkeypatch):
            pushed = repository.commit({"app.txt": "pushed"})
            assert await resolve(mirrors, repository.url) == pushed
            other = GitMirrors(tmp_path / "mirrors")  # as another worker on the same machine
            assert await resolve(other, repository.url, commit=hidden) == hidden
            await check_out(mirrors, repository.url, pushed, tmp_path / "pushed")
        assert len(packs(mirror)) == 1
        git(mirror, "fsck", "--full", "--strict")
        await check_out(mirrors, repository.url, pushed, tmp_path / "again")
        await check_out(mirrors, repository.url, hidden, tmp_path / "hidden")
        for name, content in [("pushed", "pushed"), ("again", "pushed"), ("hidden", "hidden")]:
            assert files(tmp_path / name)["app.txt"] == content

    async def test_another_worker_neither_packs_nor_removes_it_meanwhile(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        mirror = await worn_mirror(mirrors, repository, tmp_path)
        async with packing(mirrors, tmp_path, monkeypatch) as begun:
            other = GitMirrors(tmp_path / "mirrors")
            assert await other.collect_garbage(unused_for=UNUSED_FOR) == []
            assert await other.collect_garbage(unused_for=timedelta(0)) == []
            assert begun.read_text() == "begun\n"
        assert len(packs(mirror)) == 1

    async def test_a_mirror_that_is_made_anew_meanwhile_is_not_touched(
        self,
        mirrors: GitMirrors,
        repository: Repository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        mirror = await worn_mirror(mirrors, repository, tmp_path)
        async with packing(mirrors, tmp_path, monkeypatch):
            (mirror / "HEAD").unlink()
            commit = repository.commit({"app.txt": "new"})
            assert await resolve(mirrors, repository.url) == commit
            before = packs(mirror)
        assert f"the mirror {mirror.name} cannot be packed" in caplog.text
        assert packs(mirror) == before
        git(mirror, "fsck", "--full", "--strict")
        assert sorted(path.name for path in tmp_path.glob("mirrors/*.git*")) == [mirror.name]  # noqa: ASYNC240

    async def test_packing_takes_longer_than_a_transfer_may(
        self, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = []

        async def noted(arguments: Any, **options: Any) -> Any:
            if "gc" in arguments:
                limits.append(options["timeout"])
            return await processes.run(arguments, **options)

        mirrors = GitMirrors(tmp_path / "mirrors", transfer_limit=timedelta(minutes=1))
        await resolve(mirrors, repository.url)
        monkeypatch.setattr(git_mirrors, "run", noted)
        await mirrors.collect_garbage(unused_for=UNUSED_FOR)
        assert limits == [timedelta(hours=11)]


async def worn_mirror(mirrors: GitMirrors, repository: Repository, tmp_path: Path) -> Path:
    """A mirror with so many packs that it is to be packed."""
    await resolve(mirrors, repository.url)
    [mirror] = (tmp_path / "mirrors").glob("*.git")
    for number in range(12):
        repository.commit({"app.txt": f"{number}", f"{number}.txt": "new"}, "Next")
        await resolve(mirrors, repository.url)
        git(mirror, "repack", "--quiet")
    assert len(packs(mirror)) > 10
    return mirror


def packs(mirror: Path) -> list[str]:
    return sorted(path.name for path in mirror.glob("objects/pack/*.pack"))


def git(mirror: Path, *arguments: str) -> None:
    subprocess.run(["git", f"--git-dir={mirror}", *arguments], env=ENVIRONMENT, check=True)


@contextlib.asynccontextmanager
async def packing(
    mirrors: GitMirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Path]:
    """Meanwhile a real `git gc` is in the middle of a repack; it has come to its end afterwards.

    Gives the file with a line for each repack that was begun.
    """
    programs, begun, release = tmp_path / "programs", tmp_path / "begun", tmp_path / "release"
    programs.mkdir()
    os.mkfifo(release)
    # What Git starts, it looks for in this folder first (git(1), GIT_EXEC_PATH).
    wrapper = programs / "git"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = pack-objects ]; then echo begun >> {begun}; read line < {release}; fi\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    wrapper.chmod(0o700)

    async def held(arguments: Any, **options: Any) -> Any:
        if "gc" in arguments:
            options["environment"] = {**options["environment"], "GIT_EXEC_PATH": str(programs)}
        return await processes.run(arguments, **options)

    monkeypatch.setattr(git_mirrors, "run", held)
    collecting = asyncio.create_task(mirrors.collect_garbage(unused_for=UNUSED_FOR))
    try:
        await eventually(begun.exists)
        async with asyncio.timeout(30):
            yield begun
        # Open for both, so that this waits for no reader.
        with os.fdopen(os.open(release, os.O_RDWR), "wb", buffering=0) as held_back:
            held_back.write(b"\n")
            assert await collecting == []
    finally:
        collecting.cancel()
        await asyncio.wait([collecting])
