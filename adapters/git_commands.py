"""The argument lists of Git, and the configuration that every one of them runs under. Nothing runs here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.git_references import HEAD, RepositoryAddress, is_full_commit

BRANCHES_AND_TAGS: Final = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
# Commits that no branch or tag leads to are kept here, where neither pruning nor collecting reaches them.
KEPT: Final = "refs/seaway"
MINIMUM_ABBREVIATION: Final = 7

# It is a file, not a row of `-c`, because Git does not hand `-c` on to the `upload-pack` that it starts for
# a file:// repository, and `safe.directory` is obeyed nowhere else (git-config(1)).
CONFIGURATION: Final = """\
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	fsmonitor = false
	quotePath = false
[protocol "ext"]
	allow = never
[credential]
	helper =
[http]
	followRedirects = initial
	lowSpeedLimit = 1000
	lowSpeedTime = 30
[fetch]
	recurseSubmodules = false
[gc]
	auto = 0
[maintenance]
	auto = false
[uploadpack]
	allowAnySHA1InWant = true
[init]
	defaultBranch = main
[log]
	showSignature = false
"""


def initialize(mirror: Path) -> list[str]:
    """Makes an empty bare repository without sample hooks."""
    return ["git", "init", "--quiet", "--bare", "--template=", str(mirror)]


def list_references(address: RepositoryAddress, branch: str, commit: str) -> list[str]:
    """Asks for what the branch and the commit can mean, and for no more than that."""
    wanted = branch if commit in ("", HEAD) else commit
    return ["git", "ls-remote", "--quiet", "--", address.display, *_patterns(wanted or HEAD)]


def _patterns(wanted: str) -> list[str]:
    if wanted == HEAD:
        return [HEAD]
    if is_abbreviation(wanted) or is_full_commit(wanted):
        # Any branch or tag may point to it.
        return [HEAD, "refs/heads/*", "refs/tags/*"]
    if wanted.startswith("refs/"):
        return [wanted, f"{wanted}^{{}}"]
    return [f"refs/heads/{wanted}", f"refs/tags/{wanted}", f"refs/tags/{wanted}^{{}}"]


def is_abbreviation(text: str) -> bool:
    """Whether the text may be the beginning of a commit's id."""
    return (
        len(text) >= MINIMUM_ABBREVIATION
        and not is_full_commit(text)
        and all(character in "0123456789abcdef" for character in text.lower())
    )


def fetch(
    mirror: Path, address: RepositoryAddress, references: Sequence[str] = BRANCHES_AND_TAGS
) -> list[str]:
    """Brings the mirror up to date; what is gone there goes here too."""
    return [
        "git", f"--git-dir={mirror}", "fetch", "--quiet", "--prune", "--no-tags", "--force",
        "--no-write-fetch-head", "--", address.display, *references,
    ]  # fmt: skip


def fetch_commit(mirror: Path, address: RepositoryAddress, commit: str) -> list[str]:
    """Fetches one commit by its id, wherever it hangs."""
    return [
        "git", f"--git-dir={mirror}", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
        "--", address.display, f"{commit}:{KEPT}/{commit}",
    ]  # fmt: skip


def describe(mirror: Path, revision: str) -> list[str]:
    """Prints id, time (seconds since 1970), author and message of a commit, in this order."""
    return [
        "git", f"--git-dir={mirror}", "log", "-1", "--no-color", "--encoding=UTF-8",
        "--format=%H%n%ct%n%an <%ae>%n%B", f"{revision}^{{commit}}", "--",
    ]  # fmt: skip


def export(mirror: Path, commit: str, tree: Path, *, with_lfs: bool = False) -> list[str]:
    """Writes the commit's files to `tree`, by way of the index file that the environment names.

    `read-tree -u` and not `git archive`, because an archive leaves out what `export-ignore` names and
    rewrites what `export-subst` names, while a build must see what a clone would see.
    """
    lfs = (
        "-c", "filter.lfs.process=git-lfs filter-process",
        "-c", "filter.lfs.smudge=git-lfs smudge -- %f",
        "-c", "filter.lfs.required=true",
    )  # fmt: skip
    return [
        "git", f"--git-dir={mirror}", f"--work-tree={tree}", *(lfs if with_lfs else ()),
        "read-tree", "--reset", "-u", commit,
    ]  # fmt: skip


def list_sizes(mirror: Path, commit: str) -> list[str]:
    """Prints mode, kind, id and size of each file and folder of a commit, before a tab and its path."""
    return ["git", f"--git-dir={mirror}", "ls-tree", "-r", "-t", "--long", commit]


def list_objects(mirror: Path, commit: str) -> list[str]:
    """Looks for every file and folder of a commit, and fails where the mirror lacks one; prints none."""
    return ["git", f"--git-dir={mirror}", "rev-list", "--objects", "--no-walk", "--quiet", commit]


def fetch_lfs(mirror: Path, address: RepositoryAddress, commit: str) -> list[str]:
    """Fetches the large files of one commit into the mirror."""
    return [
        "git", f"--git-dir={mirror}", "-c", f"remote.origin.url={address.display}",
        "lfs", "fetch", "origin", commit,
    ]  # fmt: skip


def list_submodules(gitmodules: Path) -> list[str]:
    """Prints path, url and update rule of every submodule that the file names."""
    return [
        "git", "config", f"--file={gitmodules}", "--get-regexp", r"^submodule\..*\.(path|url|update)$",
    ]  # fmt: skip


def list_entries(mirror: Path, commit: str, paths: Sequence[str]) -> list[str]:
    """Prints mode, kind and id of these paths in a commit."""
    return ["git", "--literal-pathspecs", f"--git-dir={mirror}", "ls-tree", commit, "--", *paths]


def pack_references(mirror: Path) -> list[str]:
    """Writes all references to one file. It locks them, so no fetch may run beside it."""
    return ["git", f"--git-dir={mirror}", "pack-refs", "--all", "--prune"]


def collect_garbage() -> list[str]:
    """Packs a mirror where that is worth while, and forgets what nothing leads to since two weeks.

    Each fetch leaves a pack, or loose objects. Few of them do no harm, and are left alone at once.

    It is to run in the mirror's folder. A mirror that is removed meanwhile takes it along, and it cannot
    touch the one that takes its place. It leaves references alone, see `pack_references`.
    """
    limits = ("gc.auto=500", "gc.autoPackLimit=10", "gc.autoDetach=false", "gc.packRefs=false")
    options = [part for limit in limits for part in ("-c", limit)]
    return ["git", "--git-dir=.", *options, "gc", "--auto", "--quiet"]
