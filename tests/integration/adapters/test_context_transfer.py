"""What a build sends to the engine: all of a repository once, and afterwards what has changed in it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import stat
import subprocess
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import docker
import pytest

from adapters.buildkit import BuildKit, BuildRequest
from adapters.file_locks import owned_place
from adapters.file_times import FileTimes
from adapters.git import GitMirrors
from domain.git_references import parse_repository
from tests.harness.engine import ensure_engine
from tests.integration.adapters.git_servers import ENVIRONMENT, Repository, make_repository

LIMIT = timedelta(seconds=120)
FILES, FILE_BYTES = 60, 100_000
COMMITS = 15


@dataclass
class CountingWay:
    """Carries connections to the engine, and counts what goes there."""

    engine_socket: str
    sent_bytes: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self.engine_socket)
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, far_writer, counts=True))
                ways.create_task(self._pump(far_reader, writer, counts=False))
        writer.close()
        far_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                self.sent_bytes += len(piece) if counts else 0
                writer.write(piece)
                await writer.drain()
            writer.write_eof()


class Application:
    """A repository that is built again and again, as a worker does it."""

    def __init__(self, folder: Path, way: CountingWay, socket: str) -> None:
        self.folder = folder
        self.repository = make_repository(folder / "repository")
        self.times = FileTimes.of(folder / "times", "shop")
        self.tag = f"seaway-test/context:{uuid.uuid4().hex}"
        self._name = uuid.uuid4().hex
        self._mirrors = GitMirrors(folder / "mirrors")
        self._way = way
        self._socket = socket

    async def build(self, commit: str) -> int:
        """Builds the commit and returns how many bytes went to the engine for it."""
        builds = self.folder / "builds"
        builds.mkdir(exist_ok=True)
        before = self._way.sent_bytes
        with owned_place(builds, "shop-") as place:
            tree = place / "site"
            await check_out(self._mirrors, self.repository, commit, tree, self.times)
            request = BuildRequest(
                context=tree,
                dockerfile=tree / "Dockerfile",
                tag=self.tag,
                target="",
                arguments={},
                secrets={},
                labels={},
                use_cache=True,
                pull=False,
                context_name=self._name,
            )
            await BuildKit().build(request, engine_socket=self._socket, on_line=lambda _: None, timeout=LIMIT)
        return self._way.sent_bytes - before


async def check_out(
    mirrors: GitMirrors, repository: Repository, commit: str, tree: Path, times: FileTimes
) -> None:
    address = parse_repository(repository.url)
    await mirrors.check_out(address, commit, tree, submodules=False, lfs=False, credential=None, times=times)


@pytest.fixture
async def application(tmp_path: Path, engine: docker.DockerClient) -> AsyncIterator[Application]:
    way = CountingWay(ensure_engine().removeprefix("unix://"))
    server = await asyncio.start_unix_server(way.carry, tmp_path / "engine.sock")
    made = Application(tmp_path, way, str(tmp_path / "engine.sock"))
    yield made
    server.close()
    with contextlib.suppress(docker.errors.ImageNotFound):
        await asyncio.to_thread(engine.images.remove, made.tag, force=True)


def file_in_image(engine: docker.DockerClient, tag: str, path: str) -> bytes:
    container = engine.containers.create(tag, ["/none"])
    try:
        pieces, _ = container.get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
            [member] = tar.getmembers()
            content = tar.extractfile(member)
            assert content is not None
            return content.read()
    finally:
        container.remove(force=True)


def write(repository: Repository, name: str, content: bytes) -> None:
    path = repository.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


async def test_after_a_change_of_one_file_only_this_file_is_sent(
    application: Application, engine: docker.DockerClient, record_property
):
    repository = application.repository
    for number in range(FILES):
        write(repository, f"assets/{number:03}", os.urandom(FILE_BYTES))
    first = await application.build(repository.commit({"Dockerfile": "FROM scratch\nCOPY . /\n"}))
    assert first > FILES * FILE_BYTES

    changed = os.urandom(FILE_BYTES)
    write(repository, "assets/007", changed)
    commit = repository.commit({})
    second = await application.build(commit)
    assert FILE_BYTES < second < 1_000_000
    assert await asyncio.to_thread(file_in_image, engine, application.tag, "/assets/007") == changed

    again = await application.build(commit)
    assert again < 100_000

    # What is written down of files may get lost: the build is right, and sends more.
    application.times.remove()
    newest = os.urandom(FILE_BYTES)
    write(repository, "assets/008", newest)
    assert await application.build(repository.commit({})) > FILES * FILE_BYTES
    assert await asyncio.to_thread(file_in_image, engine, application.tag, "/assets/007") == changed
    assert await asyncio.to_thread(file_in_image, engine, application.tag, "/assets/008") == newest
    record_property("sent", f"{first}, then {second}, then {again} bytes")


class Editor:
    """Changes a repository in all the ways that people do, by chance."""

    NAMES = ("a", "b", "B", "c/d", "c/e", "f/g/h", "ü", "two words")

    def __init__(self, repository: Repository, seed: int) -> None:
        self._repository = repository
        self._chance = random.Random(seed)

    def commit(self) -> str:
        for _ in range(self._chance.randint(1, 4)):
            self._edit(self._repository.path / self._chance.choice(self.NAMES))
        if self._chance.random() < 0.2:
            # A rewritten history: the branch is somewhere else afterwards.
            older = self._repository.git("rev-list", "--all").splitlines()
            self._repository.git("stash", "--include-untracked", "--quiet")
            self._repository.git("reset", "--quiet", "--hard", self._chance.choice(older or ["HEAD"]))
        return self._repository.commit({"counter": str(self._chance.random())})

    def _edit(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError):
            for parent in path.parents:
                if parent.is_symlink() or parent.is_file():
                    parent.unlink()
            self._clear(path)
            if (kind := self._chance.choice(("file", "same size", "link", "folder", "gone"))) == "gone":
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                path.symlink_to(self._chance.choice(("a", "c/d", "../nowhere")))
            elif kind == "folder":
                path.mkdir()
                (path / "inner").write_text(str(self._chance.randint(0, 3)))
            else:
                length = 6 if kind == "same size" else self._chance.randint(0, 40)
                path.write_text("".join(self._chance.choices("xyz\n", k=length)))
                path.chmod(self._chance.choice((0o644, 0o755)))

    @staticmethod
    def _clear(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            subprocess.run(["rm", "-rf", str(path)], check=True)
        else:
            path.unlink(missing_ok=True)


Seen = tuple[str, str]


def archived(repository: Repository, commit: str) -> dict[str, Seen]:
    """Kind and content by path, as Git itself says."""
    done = subprocess.run(
        ["git", "archive", "--format=tar", commit],
        cwd=repository.path, env=ENVIRONMENT, capture_output=True, check=True,
    )  # fmt: skip
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar:
            if member.issym():
                found[member.name] = ("link", member.linkname)
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                kind = "program" if member.mode & stat.S_IXUSR else "file"
                found[member.name] = (kind, content.read().decode())
    return found


def written(tree: Path) -> Iterator[tuple[str, Seen, tuple[int, int, int]]]:
    """Path, kind and content, and what BuildKit compares: mode, size, time."""
    for path in tree.rglob("*"):
        facts = path.lstat()
        name = path.relative_to(tree).as_posix()
        compared = (facts.st_mode, facts.st_size, facts.st_mtime_ns)
        if path.is_symlink():
            yield name, ("link", str(path.readlink())), compared
        elif path.is_file():
            kind = "program" if facts.st_mode & stat.S_IXUSR else "file"
            yield name, (kind, path.read_text()), compared


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_committed_the_tree_is_gits_and_no_change_looks_like_none(
    tmp_path: Path, seed: int
):
    repository = make_repository(tmp_path / "repository")
    repository.commit({"a": "1"})
    editor = Editor(repository, seed)
    mirrors = GitMirrors(tmp_path / "mirrors")
    times = FileTimes(tmp_path / "times")
    chance = random.Random(seed)
    commits: list[str] = []
    before: dict[str, tuple[Seen, tuple[int, int, int]]] = {}
    ever: dict[tuple[str, tuple[int, int, int]], Seen] = {}
    kept = 0
    for number in range(COMMITS):
        commits.append(editor.commit())
        # Mostly the newest one, and now and then one from before; what is written down gets lost as well.
        commit = commits[-1] if chance.random() < 0.7 else chance.choice(commits)
        lost = chance.random() < 0.1
        if lost:
            times.remove()
        tree = tmp_path / f"tree{number}"
        await check_out(mirrors, repository, commit, tree, times)
        now = {name: (seen, compared) for name, seen, compared in written(tree)}
        assert {name: seen for name, (seen, _) in now.items()} == archived(repository, commit)
        for name, (seen, compared) in now.items():
            assert ever.setdefault((name, compared), seen) == seen
            if not lost and name in before and before[name][0] == seen:
                assert before[name][1] == compared
                kept += 1
        before = now
    assert kept > COMMITS
