"""Bare mirrors of repositories below one folder, which several workers may share."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from adapters import git_commands
from adapters.file_locks import exclusive, exclusive_if_free, owned_folder, remove_abandoned
from adapters.git_access import GitCredential, GitHome
from adapters.git_failures import MISSING_LOCALLY, NOT_OUR_COMMIT, failure_of
from adapters.processes import Completed, OnLine, run
from domain.errors import SeawayError, SourceUnavailable, UnknownRevision
from domain.git_references import RepositoryAddress, is_full_commit

logger = logging.getLogger(__name__)

# Lines; a long commit message or a list of submodules must come back whole.
LONGEST_ANSWER: Final = 100_000

# A repack of what is large takes hours, and is in vain if it is stopped. Git itself takes one of more than
# twelve hours for dead (git-gc(1)).
PACKING_LIMIT: Final = timedelta(hours=11)

COMMANDS_AT_ONCE: Final = 50
"""Each is a process of the worker, with its own memory; what more there are wait for their turn."""


@dataclass(frozen=True)
class Description:
    """What a mirror knows of a commit; kept in a file, so that no process is needed to ask again.

    `committed_at` counts seconds since 1970; `author` is `name <email>`.
    """

    commit: str
    committed_at: int
    author: str
    message: str


class Mirrors:
    """Finds, makes, fetches, mends, packs and removes mirrors, for which each has two locks.

    One is for whoever fetches into it, makes or removes it: these never run side by side, and wait for each
    other. The other is for whoever packs it, which goes on beside them and keeps nobody waiting.
    """

    def __init__(self, home: GitHome, transfer_limit: timedelta) -> None:
        """`transfer_limit` is for a single command, such as one fetch; packing has `PACKING_LIMIT`."""
        self.home = home
        self._transfer_limit = transfer_limit
        self._locks: dict[Path, asyncio.Lock] = {}
        self._places = asyncio.Semaphore(COMMANDS_AT_ONCE)

    def path(self, address: RepositoryAddress, credential: GitCredential | None) -> Path:
        """Where the mirror of this address, as this credential sees it, is or would be."""
        identity = f"{address.display}\0{credential.id if credential else ''}"
        return self.home.root / f"{hashlib.sha256(identity.encode()).hexdigest()}.git"

    async def git(
        self, arguments: Sequence[str], environment: Mapping[str, str], on_line: OnLine | None = None
    ) -> Completed:
        """Runs one Git command in an empty folder. Waiting for its turn does not count against its limit."""
        return await self._run(arguments, environment, self.home.empty, self._transfer_limit, on_line)

    async def _run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        limit: timedelta,
        on_line: OnLine | None = None,
    ) -> Completed:
        async with self._places:
            return await run(
                arguments,
                environment=environment,
                cwd=folder,
                timeout=limit,
                on_line=on_line,
                kept_lines=LONGEST_ANSWER,
            )

    async def obtain(
        self, address: RepositoryAddress, commit: str, credential: GitCredential | None
    ) -> Description:
        """Brings the mirror up to date and describes the commit, fetching it by its id if need be."""
        mirror = self.path(address, credential)
        async with self._locked(mirror):
            return await self._obtain(mirror, address, commit, credential)

    async def obtain_anew(
        self, address: RepositoryAddress, commit: str, credential: GitCredential | None
    ) -> Description:
        """As `obtain`, but by way of a new mirror where this one lacks parts of the commit.

        What a reference of the mirror leads to is never fetched again, whether it is there or not.
        """
        mirror = self.path(address, credential)
        async with self._locked(mirror):
            # Somebody else may have made it anew while this one waited.
            found = await self.git(git_commands.list_objects(mirror, commit), self.home.environment())
            if found.exit_code != 0:
                logger.warning("the mirror %s lacks parts of %s and is made anew", mirror.name, commit)
                await asyncio.to_thread(_remove, mirror)
            return await self._obtain(mirror, address, commit, credential)

    async def _obtain(
        self, mirror: Path, address: RepositoryAddress, commit: str, credential: GitCredential | None
    ) -> Description:
        with self.home.access(address, credential) as environment:
            await self._make(mirror, environment)
            await self._fetch(mirror, address, environment)
            description = await self._describe(mirror, commit, environment)
            if description is None and is_full_commit(commit):
                arguments = git_commands.fetch_commit(mirror, address, commit)
                completed = await self.git(arguments, environment)
                if completed.exit_code != 0 and not NOT_OUR_COMMIT.search(completed.output):
                    raise failure_of(address, completed.output)
                description = await self._describe(mirror, commit, environment)
        if description is None:
            raise unknown_revision(address, commit)
        return description

    async def _describe(
        self, mirror: Path, revision: str, environment: Mapping[str, str]
    ) -> Description | None:
        """What Git says of a commit, which is written down; None if the mirror lacks it.

        What was written down of it before is no answer: that stays where its branch was rewritten, and Git
        has forgotten the commit.
        """
        completed = await self.git(git_commands.describe(mirror, revision), environment)
        if completed.exit_code != 0:
            return None
        commit, committed_at, author, *message = f"{completed.output}\n\n".split("\n")
        if not is_full_commit(commit):
            return None  # its message is so long that its beginning is lost
        description = Description(commit, int(committed_at), author, "\n".join(message).strip())
        await asyncio.to_thread(_write, mirror, description)
        return description

    async def known(
        self, address: RepositoryAddress, commit: str, credential: GitCredential | None
    ) -> Description | None:
        """What was written down of a commit when it was fetched; no process is started.

        It is true for ever, but the mirror need not have the commit any more.
        """
        return await asyncio.to_thread(_read, self.path(address, credential), commit)

    async def collect_garbage(self, unused_for: timedelta) -> list[Path]:
        """Removes the mirrors that nobody used for so long, packs the others; returns the removed.

        Those that somebody is fetching into or packing are left for the next time, and what cannot be done
        with one is logged: others have their turn all the same.
        """
        removed = []
        for mirror in sorted(self.home.root.glob("*.git")):
            try:
                with exclusive_if_free(mirror.with_suffix(".packing")) as is_free:
                    if is_free and await self._removed_or_packed(mirror, unused_for):
                        removed.append(mirror)
            except (SeawayError, OSError) as error:
                logger.warning("the mirror %s is neither packed nor removed: %s", mirror.name, error)
        return removed

    async def _removed_or_packed(self, mirror: Path, unused_for: timedelta) -> bool:
        """To be called with the lock for packing. True if the mirror is removed."""
        async with self._locked_if_free(mirror) as is_free:
            if not is_free:
                return False
            if await asyncio.to_thread(_idle, mirror) > unused_for:
                await asyncio.to_thread(_remove, mirror)
                return True
            prefix = f"{mirror.name}.tmp-"
            await asyncio.to_thread(remove_abandoned, self.home.root, prefix)
            # Nobody else fetches or packs: these are of a killed Git, and would make every packing fail.
            await asyncio.to_thread(_remove_locks, mirror, "**")
            environment = self.home.environment()
            packed = await self.git(git_commands.pack_references(mirror), environment)
        if packed.exit_code == 0:
            # Fetches and exports go on meanwhile. What they bring is not touched, what they read stays until
            # it is in the new pack, and what nothing leads to stays for two weeks. Should a fetch find again
            # what is just being forgotten, an export notices, and the mirror is made anew.
            arguments = git_commands.collect_garbage()
            packed = await self._run(arguments, environment, mirror, PACKING_LIMIT)
        if packed.exit_code != 0:
            logger.warning("the mirror %s cannot be packed: %s", mirror.name, packed.output)
        return False

    async def _make(self, mirror: Path, environment: Mapping[str, str]) -> None:
        if await asyncio.to_thread((mirror / "HEAD").is_file):
            return
        prefix = f"{mirror.name}.tmp-"
        await asyncio.to_thread(remove_abandoned, self.home.root, prefix)
        with owned_folder(self.home.root, prefix) as workplace:
            made = await self.git(git_commands.initialize(workplace / "mirror"), environment)
            if made.exit_code != 0:
                raise SourceUnavailable("A mirror of the repository cannot be made.", detail=made.output)
            await asyncio.to_thread(_remove, mirror)
            (workplace / "mirror").rename(mirror)

    async def _fetch(self, mirror: Path, address: RepositoryAddress, environment: Mapping[str, str]) -> None:
        """Fetches; where a killed Git left lock files or a broken mirror, mends it and tries again."""
        arguments = git_commands.fetch(mirror, address)
        completed = await self.git(arguments, environment)
        if completed.exit_code != 0 and ".lock" in completed.output:
            # Not those below objects, which may be of a `git gc` that runs.
            await asyncio.to_thread(_remove_locks, mirror, ".", "refs/**")
            completed = await self.git(arguments, environment)
        if completed.exit_code != 0 and MISSING_LOCALLY.search(completed.output):
            await asyncio.to_thread(_remove, mirror)
            await self._make(mirror, environment)
            completed = await self.git(arguments, environment)
        if completed.exit_code != 0:
            raise failure_of(address, completed.output)

    @contextlib.asynccontextmanager
    async def _locked(self, mirror: Path) -> AsyncIterator[None]:
        # Tasks of this process queue in order; the file keeps other processes out.
        async with self._locks.setdefault(mirror, asyncio.Lock()), exclusive(mirror.with_suffix(".lock")):
            yield

    @contextlib.asynccontextmanager
    async def _locked_if_free(self, mirror: Path) -> AsyncIterator[bool]:
        """As `_locked`, but False, and not locked, where that would be to wait."""
        lock = self._locks.setdefault(mirror, asyncio.Lock())
        if lock.locked():
            yield False
            return
        async with lock:
            with exclusive_if_free(mirror.with_suffix(".lock")) as is_free:
                yield is_free


def unknown_revision(address: RepositoryAddress, revision: str) -> UnknownRevision:
    """The error for a name that means nothing in this repository."""
    return UnknownRevision(
        f"The repository {address.display} has no branch, tag or commit {revision!r}. "
        "Check its spelling, or push it first."
    )


def _remove_locks(mirror: Path, *folders: str) -> None:
    for folder in folders:
        for lock in mirror.glob(f"{folder}/*.lock"):
            lock.unlink(missing_ok=True)


def _remove(mirror: Path) -> None:
    # Half a mirror would look like a whole one: it leaves its place first, in one move. And what still packs
    # it goes along.
    with (
        owned_folder(mirror.parent, f"{mirror.name}.tmp-") as workplace,
        contextlib.suppress(FileNotFoundError),
    ):
        mirror.rename(workplace / "mirror")


def _description_path(mirror: Path, commit: str) -> Path:
    return mirror / "seaway" / f"{commit}.json"


def _read(mirror: Path, commit: str) -> Description | None:
    if not is_full_commit(commit):
        return None
    try:
        return Description(**json.loads(_description_path(mirror, commit).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # absent, or cut short by a power failure: Git is asked again


def _write(mirror: Path, description: Description) -> None:
    path = _description_path(mirror, description.commit)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(asdict(description)))
    temporary.replace(path)


def mark_used(mirror: Path) -> None:
    """Somebody needs what the mirror has, however old that is."""
    with contextlib.suppress(OSError):
        os.utime(mirror / "seaway")


def _idle(mirror: Path) -> timedelta:
    """How long ago a new commit was last written down, or files were; else how long ago it was made."""
    # Packing changes the folder of the mirror itself, and must not count as a use.
    marks = [mark for mark in (mirror / "seaway", mirror / "HEAD") if mark.exists()]
    newest = marks[0].stat().st_mtime if marks else 0.0
    return timedelta(seconds=time.time() - newest)
