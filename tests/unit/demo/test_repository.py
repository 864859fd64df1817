from __future__ import annotations

import subprocess
from pathlib import Path

from seaway.demo import repository


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_example_becomes_a_repository_that_can_be_cloned(tmp_path: Path) -> None:
    folder = tmp_path / "example"

    repository.prepare(folder)

    git(tmp_path, "clone", "--quiet", "--branch", repository.BRANCH, repository.address(folder), "clone")
    assert "Deployed by Seaway" in (tmp_path / "clone/index.html").read_text()
    assert (tmp_path / "clone/404.html").is_file()


def test_a_second_run_leaves_what_its_user_changed(tmp_path: Path) -> None:
    repository.prepare(tmp_path)
    (tmp_path / "index.html").write_text("mine")
    git(tmp_path, *repository.AUTHOR, "commit", "--all", "--message", "Mine")
    (tmp_path / "index.html").write_text("not yet committed")
    first = git(tmp_path, "rev-parse", "HEAD")

    repository.prepare(tmp_path)

    assert git(tmp_path, "rev-parse", "HEAD") == first
    assert (tmp_path / "index.html").read_text() == "not yet committed"
    assert repository.page(tmp_path) == "mine"


def test_a_run_that_was_cut_off_before_the_commit_is_completed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", f"--initial-branch={repository.BRANCH}")

    repository.prepare(tmp_path)

    assert "Deployed by Seaway" in repository.page(tmp_path)


def test_the_page_names_no_other_host(tmp_path: Path) -> None:
    repository.prepare(tmp_path)
    addresses = [
        line
        for name in git(tmp_path, "ls-files").splitlines()
        for line in (tmp_path / name).read_text().splitlines()
        if "http" in line and "http://www.w3.org/2000/svg" not in line
    ]

    assert addresses == []
