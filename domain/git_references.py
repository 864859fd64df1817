"""Git revisions: what a person may ask for, and which commit of a repository that means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from domain.errors import InvalidInput
from domain.repository_addresses import RepositoryAddress, RepositoryScheme, parse_repository

__all__ = [
    "HEAD",
    "RepositoryAddress",
    "RepositoryScheme",
    "choose_commit",
    "is_full_commit",
    "parse_ls_remote",
    "parse_repository",
    "validate_revision",
]

HEAD = "HEAD"
MAXIMUM_LENGTH = 255

_PEELED = "^{}"
_FULL_COMMIT = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_ABBREVIATED_COMMIT = re.compile(r"[0-9a-f]{7,63}")
# A warning of Git can end without a line break, so that the commit follows it on the same line.
_ADVERTISED = re.compile(
    r"(?<![0-9a-fA-F])(?P<commit>[0-9a-fA-F]{64}|[0-9a-fA-F]{40})[ ]*\t[ ]*(?P<reference>\S+)"
)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_SHELL = re.compile(r"[;|&$`<>\"'!{}]")


def validate_revision(text: str) -> str:
    """A branch, a tag or a commit, trimmed; empty means `HEAD`.

    The rules are those of git-check-ref-format (https://git-scm.com/docs/git-check-ref-format);
    characters that shells act on are refused too, because hooks of the owner may quote carelessly.
    Raises InvalidInput (field `git_commit_sha`).
    """
    text = text.strip(" \t\r\n")
    if not text:
        return HEAD
    components = text.split("/")
    wrong = (
        len(text) > MAXIMUM_LENGTH
        or text.startswith(("-", "/"))
        or text.endswith(("/", "."))
        or text == "@"
        or any(part.startswith(".") or part.endswith(".lock") for part in components)
        or not text.isprintable()
        or _FORBIDDEN.search(text)
        or _SHELL.search(text)
    )
    if wrong:
        raise InvalidInput(
            f"{text[:80]!r} cannot be the name of a branch, a tag or a commit.", field="git_commit_sha"
        )
    return text


def is_full_commit(text: str) -> bool:
    """Whether the text is a whole commit id, of SHA-1 or SHA-256, and can mean nothing else."""
    return _FULL_COMMIT.fullmatch(text) is not None


def parse_ls_remote(output: str) -> dict[str, str]:
    """What `git ls-remote` advertises: reference to commit, in lower case.

    Warnings before, between and on the lines are passed over.
    """
    references: dict[str, str] = {}
    for line in output.splitlines():
        if match := _ADVERTISED.search(line):
            references[match["reference"]] = match["commit"].lower()
    return references


def choose_commit(references: Mapping[str, str], branch: str, commit: str) -> tuple[str, str] | None:
    """The commit to deploy and the reference that leads to it, or None if the repository has no such.

    A `commit` other than `HEAD` decides; else the `branch`, else the repository's own `HEAD`. A name
    means the branch before the tag, and an annotated tag means the commit that it points to. The
    reference is one that can be fetched: it has no `^{}`, and it is the commit's own id where a full
    commit is asked for that no reference points to and the branch does not exist either.
    """
    commit, branch = commit or HEAD, branch or HEAD
    if is_full_commit(commit):
        commit = commit.lower()
        candidates = [*_candidates(branch), *sorted(references)]
        if (pointing := _first(candidates, references, commit)) is not None:
            return commit, pointing.removesuffix(_PEELED)
        return commit, (_first(_candidates(branch), references) or commit).removesuffix(_PEELED)
    wanted = branch if commit == HEAD else commit
    if (found := _first(_candidates(wanted), references)) is not None:
        return references[found], found.removesuffix(_PEELED)
    if _ABBREVIATED_COMMIT.fullmatch(wanted):
        matching = {known for known in references.values() if known.startswith(wanted)}
        if len(matching) == 1:
            return choose_commit(references, branch, matching.pop())
    return None


def _candidates(name: str) -> tuple[str, ...]:
    """The references that a name can mean, the strongest first."""
    if name == HEAD:
        return (HEAD,)
    if name.startswith("refs/"):
        return (f"{name}{_PEELED}", name)
    return (f"refs/heads/{name}", f"refs/tags/{name}{_PEELED}", f"refs/tags/{name}")


def _first(candidates: Iterable[str], references: Mapping[str, str], commit: str = "") -> str | None:
    """The first candidate that is advertised, and at this commit if one is given."""
    for candidate in candidates:
        if candidate in references and commit in ("", references[candidate]):
            return candidate
    return None
