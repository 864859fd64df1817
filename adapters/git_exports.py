"""Writes the files of a commit, with its submodules and large files, out of the mirrors."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from adapters import git_commands
from adapters.git_access import GitCredential
from adapters.git_failures import MISSING_LOCALLY, UNAVAILABLE, failure_of
from adapters.git_mirrors import Mirrors, mark_used
from adapters.git_sizes import Allowance
from adapters.git_submodules import Submodule, parse_commits, parse_submodules, submodule_address
from adapters.git_trees import place_for_submodule, uses_lfs
from adapters.processes import OnLine
from domain.errors import DeploymentError, SourceIncomplete, SourceUnavailable
from domain.git_references import RepositoryAddress

DEEPEST_SUBMODULE: Final = 10
LFS_MISSING: Final = (
    "The repository keeps files in Git LFS, but git-lfs is not installed where Seaway's worker runs. "
    "Install it there (Debian, Ubuntu: apt-get install git-lfs), or switch Git LFS off for this application."
)


@dataclass(frozen=True)
class Export:
    """One commit on its way to a folder, by way of a private index file."""

    address: RepositoryAddress
    commit: str
    credential: GitCredential | None
    tree: Path
    index: Path
    submodules: bool
    lfs: bool
    on_line: OnLine | None
    allowance: Allowance
    depth: int = 0


async def export(mirrors: Mirrors, wanted: Export) -> None:
    """Fills the empty folder `wanted.tree`.

    Raises what `Mirrors.obtain` raises, and SourceIncomplete for what belongs to the commit and is missing,
    and for more than `wanted.allowance`.
    """
    spent = wanted.allowance.spent
    output = await _write_files(mirrors, wanted)
    for obtain in (mirrors.obtain, mirrors.obtain_anew):
        if output is not None:
            wanted.allowance.spent = spent
            await obtain(wanted.address, wanted.commit, wanted.credential)
            await asyncio.to_thread(_empty, wanted)
            output = await _write_files(mirrors, wanted)
    if output is not None:
        raise SourceUnavailable(f"The mirror lacks parts of {wanted.commit[:12]}.", detail=output)
    if wanted.lfs and await asyncio.to_thread(uses_lfs, wanted.tree):
        await _write_large_files(mirrors, wanted)
    gitmodules = wanted.tree / ".gitmodules"
    if wanted.submodules and gitmodules.is_file() and not gitmodules.is_symlink():
        await _write_submodules(mirrors, wanted, gitmodules)


async def _write_files(mirrors: Mirrors, wanted: Export) -> str | None:
    """None once the files are there, or Git's complaint about what the mirror lacks."""
    mirror = mirrors.path(wanted.address, wanted.credential)
    environment = {
        **mirrors.home.environment(wanted.address.scheme),
        "GIT_INDEX_FILE": str(wanted.index),
    }
    await asyncio.to_thread(mark_used, mirror)
    # A commit that lacks something is listed as far as it goes; writing it tells what is missing.
    await mirrors.git(git_commands.list_sizes(mirror, wanted.commit), environment, wanted.allowance.take)
    arguments = git_commands.export(mirror, wanted.commit, wanted.tree)
    completed = await mirrors.git(arguments, environment, wanted.on_line)
    if completed.exit_code == 0:
        return None
    if not MISSING_LOCALLY.search(completed.output):
        message = f"The files of {wanted.commit[:12]} cannot be written on the worker."
        raise SourceUnavailable(message, detail=completed.output)
    return completed.output


async def _write_large_files(mirrors: Mirrors, wanted: Export) -> None:
    if shutil.which("git-lfs") is None:
        raise SourceIncomplete(LFS_MISSING)
    address, mirror = wanted.address, mirrors.path(wanted.address, wanted.credential)
    await asyncio.to_thread(_empty, wanted)
    with mirrors.home.access(address, wanted.credential) as environment:
        environment["GIT_INDEX_FILE"] = str(wanted.index)
        for arguments in (
            git_commands.fetch_lfs(mirror, address, wanted.commit),
            git_commands.export(mirror, wanted.commit, wanted.tree, with_lfs=True),
        ):
            completed = await mirrors.git(arguments, environment, wanted.on_line)
            if completed.exit_code != 0:
                raise _large_files_missing(address, completed.output)


def _large_files_missing(address: RepositoryAddress, output: str) -> Exception:
    if UNAVAILABLE.search(output):
        return failure_of(address, output)
    return SourceIncomplete(
        f"Files that {address.display} keeps in Git LFS cannot be fetched. "
        "Push them (git lfs push --all origin) and check that the credential may read them.",
        detail=output,
    )


async def _write_submodules(mirrors: Mirrors, wanted: Export, gitmodules: Path) -> None:
    if wanted.depth >= DEEPEST_SUBMODULE:
        raise SourceIncomplete(f"Submodules are nested deeper than {DEEPEST_SUBMODULE} levels.")
    environment = mirrors.home.environment(wanted.address.scheme)
    listing = await mirrors.git(git_commands.list_submodules(gitmodules), environment)
    named = parse_submodules(listing.output)
    if not named:
        return
    mirror = mirrors.path(wanted.address, wanted.credential)
    paths = [submodule.path for submodule in named]
    entries = await mirrors.git(git_commands.list_entries(mirror, wanted.commit, paths), environment)
    if entries.exit_code != 0:
        # The mirror was made anew meanwhile; not a reason to build without them.
        raise SourceUnavailable(
            f"The submodules of {wanted.commit[:12]} cannot be listed.", detail=entries.output
        )
    commits = parse_commits(entries.output)
    for submodule in named:
        # One that is named but not part of this commit is ignored, as Git does.
        if submodule.path in commits:
            await _write_submodule(mirrors, wanted, submodule, commits[submodule.path])


async def _write_submodule(mirrors: Mirrors, parent: Export, submodule: Submodule, commit: str) -> None:
    place = place_for_submodule(parent.tree, submodule.path)
    if place is None:
        raise SourceIncomplete(
            f"The submodule path {submodule.path!r} is not an empty folder of the repository."
        )
    address = submodule_address(parent.address, submodule)
    credential = parent.credential and parent.credential.for_submodule(parent.address, address)
    parent.index.unlink(missing_ok=True)
    inner = replace(
        parent, address=address, commit=commit, credential=credential, tree=place, depth=parent.depth + 1
    )
    try:
        await export(mirrors, inner)
    except DeploymentError as error:
        raise SourceIncomplete(
            f"The submodule at {submodule.path} cannot be fetched: {error.message}", detail=error.detail
        ) from error


def _empty(wanted: Export) -> None:
    shutil.rmtree(wanted.tree)
    wanted.tree.mkdir()
    wanted.index.unlink(missing_ok=True)
