"""Git repositories as Seaway reads them: what a name means now, and a plain tree of one commit.

Every Git process runs without the configuration, keys and hooks of the user that the worker runs as.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from adapters import git_commands
from adapters.file_locks import owned_folder, remove_abandoned
from adapters.file_times import FileTimes, time_of
from adapters.git_access import GitCredential, GitHome
from adapters.git_exports import Export, export
from adapters.git_failures import failure_of
from adapters.git_mirrors import COMMANDS_AT_ONCE, Mirrors, unknown_revision
from adapters.git_sizes import Allowance
from adapters.git_trees import settle
from adapters.processes import OnLine, run
from domain.errors import DeadlineExceeded, SourceUnavailable
from domain.git_references import (
    HEAD,
    RepositoryAddress,
    choose_commit,
    parse_ls_remote,
    validate_revision,
)

__all__ = ["GitCredential", "GitMirrors", "ResolvedRevision"]

ANSWER_LIMIT: Final = timedelta(seconds=60)
TRANSFER_LIMIT: Final = timedelta(minutes=30)
MOST_REFERENCES: Final = 200_000


@dataclass(frozen=True)
class ResolvedRevision:
    """A commit that exists, the reference that led to it, its message, and its author as `name <email>`."""

    commit: str
    ref: str
    message: str
    author: str


class GitMirrors:
    """Reads repositories by way of bare mirrors below `root`, which several workers may share."""

    def __init__(
        self,
        root: Path,
        *,
        answer_limit: timedelta = ANSWER_LIMIT,
        transfer_limit: timedelta = TRANSFER_LIMIT,
    ) -> None:
        """`answer_limit` is for questions to a Git server, `transfer_limit` for one fetch or export."""
        self._mirrors = Mirrors(GitHome(root), transfer_limit)
        self._answer_limit = answer_limit
        # Not those of the transfers: a server that sends slowly must not keep others from being asked.
        self._questions = asyncio.Semaphore(COMMANDS_AT_ONCE)

    async def resolve(
        self, address: RepositoryAddress, *, branch: str, commit: str, credential: GitCredential | None
    ) -> ResolvedRevision:
        """Finds the commit that branch and commit mean now, and brings it into the mirror.

        Raises UnknownRevision, RepositoryRefused, or SourceUnavailable where a retry may help.
        """
        branch, commit = validate_revision(branch), validate_revision(commit)
        references = await self._references(address, branch, commit, credential)
        chosen = choose_commit(references, branch, commit)
        if chosen is None and not git_commands.is_abbreviation(commit):
            raise unknown_revision(address, branch if commit == HEAD else commit)
        # An abbreviation that no reference begins with may be of an older commit, which the mirror knows.
        wanted, reference = chosen or (commit, (choose_commit(references, branch, HEAD) or ("", commit))[1])
        description = await self._mirrors.known(address, wanted, credential)
        description = description or await self._mirrors.obtain(address, wanted, credential)
        return ResolvedRevision(description.commit, reference, description.message, description.author)

    async def check_out(
        self,
        address: RepositoryAddress,
        commit: str,
        destination: Path,
        *,
        submodules: bool,
        lfs: bool,
        credential: GitCredential | None,
        on_line: OnLine | None = None,
        times: FileTimes | None = None,
    ) -> None:
        """Writes the files of a commit to `destination`, without .git; an existing one is complete and stays.

        It appears by a rename, so it is whole or absent; what a killed try left is removed first. Files that
        are as they were in the tree that `times` tells of keep their times; it tells of this one afterwards.
        Raises what `resolve` raises, and SourceIncomplete for submodules and large files that are missing.
        """
        if await asyncio.to_thread(destination.is_dir):
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{destination.name}.tmp-"
        await asyncio.to_thread(remove_abandoned, destination.parent, prefix)
        with owned_folder(destination.parent, prefix) as workplace:
            tree = workplace / "tree"
            tree.mkdir()
            index = workplace / "index"
            allowance = await asyncio.to_thread(Allowance.of, workplace)
            wanted = Export(address, commit, credential, tree, index, submodules, lfs, on_line, allowance)
            await export(self._mirrors, wanted)
            description = await self._mirrors.known(address, commit, credential)
            description = description or await self._mirrors.obtain(address, commit, credential)
            time_ns = time_of(description.commit, description.committed_at, submodules, lfs)
            await asyncio.to_thread(_settle, tree, time_ns, times)
            _publish(tree, destination)

    async def collect_garbage(self, *, unused_for: timedelta) -> list[Path]:
        """Removes the mirrors that nobody used for so long, and packs the others; returns the removed."""
        return await self._mirrors.collect_garbage(unused_for)

    async def _references(
        self, address: RepositoryAddress, branch: str, commit: str, credential: GitCredential | None
    ) -> dict[str, str]:
        with self._mirrors.home.access(address, credential) as environment:
            try:
                async with self._questions:
                    completed = await run(
                        git_commands.list_references(address, branch, commit),
                        environment=environment,
                        cwd=self._mirrors.home.empty,
                        timeout=self._answer_limit,
                        kept_lines=MOST_REFERENCES,
                    )
            except DeadlineExceeded as error:
                raise SourceUnavailable(
                    f"The Git server of {address.display} did not answer within "
                    f"{self._answer_limit.total_seconds():g} s."
                ) from error
        if completed.exit_code != 0:
            raise failure_of(address, completed.output)
        return parse_ls_remote(completed.output)


def _settle(tree: Path, time_ns: int, times: FileTimes | None) -> None:
    settled = settle(tree, time_ns, times.read() if times is not None else {})
    if times is not None:
        times.write(settled)


def _publish(tree: Path, destination: Path) -> None:
    try:
        tree.rename(destination)
    except OSError:
        if not destination.is_dir():  # else another worker was first, with the same files
            raise
