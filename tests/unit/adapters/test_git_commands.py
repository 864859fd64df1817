"""The argument lists of Git, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import git_commands
from domain.git_references import parse_repository

ADDRESS = parse_repository("https://someone:s3cret@git.example.com/team/app.git")
MIRROR = Path("/mirrors/1.git")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("branch", "commit", "patterns"),
    [
        ("main", "HEAD", ["refs/heads/main", "refs/tags/main", "refs/tags/main^{}"]),
        ("main", "", ["refs/heads/main", "refs/tags/main", "refs/tags/main^{}"]),
        ("HEAD", "HEAD", ["HEAD"]),
        ("main", "v1.2", ["refs/heads/v1.2", "refs/tags/v1.2", "refs/tags/v1.2^{}"]),
        ("main", "refs/pull/7/head", ["refs/pull/7/head", "refs/pull/7/head^{}"]),
        ("main", COMMIT, ["HEAD", "refs/heads/*", "refs/tags/*"]),
        ("main", "0123abc", ["HEAD", "refs/heads/*", "refs/tags/*"]),
    ],
)
def test_a_server_is_asked_only_for_what_the_names_can_mean(
    branch: str, commit: str, patterns: list[str]
) -> None:
    assert git_commands.list_references(ADDRESS, branch, commit) == [
        "git", "ls-remote", "--quiet", "--", "https://git.example.com/team/app.git", *patterns,
    ]  # fmt: skip


def test_a_fetch_mirrors_branches_and_tags_and_prunes() -> None:
    assert git_commands.fetch(MIRROR, ADDRESS) == [
        "git", "--git-dir=/mirrors/1.git", "fetch", "--quiet", "--prune", "--no-tags", "--force",
        "--no-write-fetch-head", "--", "https://git.example.com/team/app.git",
        "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
    ]  # fmt: skip


def test_a_commit_fetched_by_its_id_is_kept_under_a_reference_of_our_own() -> None:
    assert git_commands.fetch_commit(MIRROR, ADDRESS, COMMIT) == [
        "git", "--git-dir=/mirrors/1.git", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
        "--", "https://git.example.com/team/app.git", f"{COMMIT}:refs/seaway/{COMMIT}",
    ]  # fmt: skip


def test_an_export_names_mirror_tree_and_commit() -> None:
    assert git_commands.export(MIRROR, COMMIT, Path("/trees/1")) == [
        "git", "--git-dir=/mirrors/1.git", "--work-tree=/trees/1", "read-tree", "--reset", "-u", COMMIT,
    ]  # fmt: skip


def test_only_an_export_with_large_files_runs_the_filter() -> None:
    assert git_commands.export(MIRROR, COMMIT, Path("/trees/1"), with_lfs=True) == [
        "git", "--git-dir=/mirrors/1.git", "--work-tree=/trees/1",
        "-c", "filter.lfs.process=git-lfs filter-process",
        "-c", "filter.lfs.smudge=git-lfs smudge -- %f",
        "-c", "filter.lfs.required=true",
        "read-tree", "--reset", "-u", COMMIT,
    ]  # fmt: skip


def test_large_files_are_fetched_from_the_address_without_its_credentials() -> None:
    assert git_commands.fetch_lfs(MIRROR, ADDRESS, COMMIT) == [
        "git", "--git-dir=/mirrors/1.git", "-c", "remote.origin.url=https://git.example.com/team/app.git",
        "lfs", "fetch", "origin", COMMIT,
    ]  # fmt: skip


def test_every_object_of_one_commit_is_looked_for_and_none_of_its_ancestors() -> None:
    assert git_commands.list_objects(MIRROR, COMMIT) == [
        "git", "--git-dir=/mirrors/1.git", "rev-list", "--objects", "--no-walk", "--quiet", COMMIT,
    ]  # fmt: skip


def test_paths_of_submodules_are_never_read_as_patterns_or_options() -> None:
    assert git_commands.list_entries(MIRROR, COMMIT, ["*", "-x"]) == [
        "git", "--literal-pathspecs", "--git-dir=/mirrors/1.git", "ls-tree", COMMIT, "--", "*", "-x",
    ]  # fmt: skip


def test_references_are_packed_apart_from_the_objects_beside_which_others_fetch() -> None:
    assert git_commands.pack_references(MIRROR) == [
        "git", "--git-dir=/mirrors/1.git", "pack-refs", "--all", "--prune",
    ]  # fmt: skip
    assert git_commands.collect_garbage() == [
        "git", "--git-dir=.", "-c", "gc.auto=500", "-c", "gc.autoPackLimit=10", "-c", "gc.autoDetach=false",
        "-c", "gc.packRefs=false", "gc", "--auto", "--quiet",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0123abc", True), ("012345", False), ("release", False), (COMMIT, False), ("0123abcg", False)],
)
def test_an_abbreviation_is_at_least_seven_hexadecimal_digits(text: str, expected: bool) -> None:
    assert git_commands.is_abbreviation(text) is expected
