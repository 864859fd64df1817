"""Submodules as a hostile repository may write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.git_submodules import Submodule, parse_commits, parse_submodules, submodule_address
from adapters.git_trees import place_for_submodule
from domain.errors import SourceIncomplete
from domain.git_references import parse_repository

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_names_with_dots_and_spaces_are_read_and_those_never_to_update_are_left_out() -> None:
    output = """\
submodule.lib.v1.path lib/v1
submodule.lib.v1.url ../lib.git
submodule.docs.path docs
submodule.docs.url https://example.com/docs.git
submodule.docs.update none
submodule.broken.path nowhere
"""
    assert parse_submodules(output) == [Submodule("lib/v1", "../lib.git")]


def test_only_entries_that_are_submodules_have_a_commit() -> None:
    output = f"160000 commit {COMMIT}\tlib\n040000 tree {COMMIT}\tsrc\n100644 blob {COMMIT}\ta file"
    assert parse_commits(output) == {"lib": COMMIT}


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://example.com/team/app.git", "../lib.git", "https://example.com/team/lib.git"),
        ("https://example.com/team/app.git", "../../other/lib.git", "https://example.com/other/lib.git"),
        ("https://example.com/team/app.git", "./lib.git", "https://example.com/team/app.git/lib.git"),
        ("https://me:x@example.com/team/app.git", "../lib.git", "https://example.com/team/lib.git"),
        ("git@example.com:team/app.git", "../lib.git", "git@example.com:team/lib.git"),
        ("git@example.com:app.git", "../lib.git", "git@example.com:lib.git"),
        (
            "ssh://git@example.com:2222/team/app.git",
            "../lib.git",
            "ssh://git@example.com:2222/team/lib.git",
        ),
        ("file:///srv/app.git", "../lib.git", "file:///srv/lib.git"),
        ("file:///srv/app.git", "/srv/lib.git", "file:///srv/lib.git"),
        ("https://example.com/app.git", "https://other.example/lib.git", "https://other.example/lib.git"),
    ],
)
def test_a_relative_address_is_relative_to_the_repository(parent: str, url: str, expected: str) -> None:
    assert submodule_address(parse_repository(parent), Submodule("lib", url)).display == expected


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::sh -c id", "-u./payload", "../../../../x"])
def test_an_address_that_reads_the_machine_or_runs_something_is_refused(url: str) -> None:
    with pytest.raises(SourceIncomplete, match="submodule at lib"):
        submodule_address(parse_repository("https://example.com/team/app.git"), Submodule("lib", url))


@pytest.mark.parametrize(
    "path", ["", "..", "../outside", "/etc", "lib/../..", ".git", "lib/.GIT/hooks", "link", "link/in", "full"]
)
def test_a_submodule_stays_inside_of_the_tree(tmp_path: Path, path: str) -> None:
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "full").mkdir()
    (tree / "full" / "file").touch()
    (tmp_path / "target" / "in").mkdir(parents=True)
    (tree / "link").symlink_to(tmp_path / "target")
    assert place_for_submodule(tree, path) is None
    assert place_for_submodule(tree, "lib") == tree / "lib"
