"""Submodules as a tree names them (gitmodules(5)): parsed and resolved without trusting any of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from domain.errors import InvalidInput, SourceIncomplete
from domain.git_references import RepositoryAddress, RepositoryScheme, parse_repository

SUBMODULE_MODE: Final = "160000"


@dataclass(frozen=True)
class Submodule:
    """One entry of .gitmodules."""

    path: str
    url: str


def parse_submodules(output: str) -> list[Submodule]:
    """The submodules in what `git_commands.list_submodules` prints, but for those never to update."""
    found: dict[str, dict[str, str]] = {}
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        name, _, setting = key.removeprefix("submodule.").rpartition(".")
        found.setdefault(name, {})[setting] = value
    return [
        Submodule(settings["path"].rstrip("/"), settings["url"])
        for settings in found.values()
        if settings.get("path") and settings.get("url") and settings.get("update") != "none"
    ]


def parse_commits(output: str) -> dict[str, str]:
    """Path to commit of the submodules in what `git_commands.list_entries` prints."""
    commits = {}
    for line in output.splitlines():
        entry, tab, path = line.partition("\t")
        mode, _, commit = entry.partition(" ")
        if tab and mode == SUBMODULE_MODE:
            commits[path] = commit.split()[-1]
    return commits


def submodule_address(parent: RepositoryAddress, submodule: Submodule) -> RepositoryAddress:
    """Where a submodule lives; a relative address is relative to the parent's (git-submodule(1)).

    Raises SourceIncomplete where it is no address, or a folder of this machine although the parent is none.
    """
    url = submodule.url
    if url.startswith(("./", "../")):
        url = _relative(parent, url)
    elif url.startswith("/"):
        url = f"file://{url}"
    try:
        address = parse_repository(url)
    except InvalidInput as error:
        raise SourceIncomplete(
            f"The address of the submodule at {submodule.path} cannot be used: {error.message}"
        ) from error
    if address.scheme is RepositoryScheme.FILE and parent.scheme is not RepositoryScheme.FILE:
        raise SourceIncomplete(
            f"The submodule at {submodule.path} names a folder of the machine ({address.display}), which a "
            "repository from elsewhere must not read. Give it the address of a Git server."
        )
    return address


def _relative(parent: RepositoryAddress, url: str) -> str:
    """The address that `url` means below `parent`; one that climbs above the host's root stays relative."""
    # The short form's colon ends the host as a slash does in a URL.
    boundary = re.match(r"[a-z]+://[^/]*/|[^/:]+:|\[[^/]*\]:", parent.display)
    root = boundary[0] if boundary else ""
    parts = parent.display.removeprefix(root).strip("/").split("/")
    while url.startswith(("./", "../")):
        if url.startswith("../") and not parts:
            return url
        parts = parts[:-1] if url.startswith("../") else parts
        url = url.partition("/")[2]
    return root + "/".join([*parts, url])
