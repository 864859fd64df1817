"""A repository's address reads that repository and nothing else of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.git_access import GitHome
from domain.errors import InvalidInput, RepositoryRefused
from domain.git_references import parse_repository


@pytest.mark.parametrize("prefix", ["", "/", "//", "/proc/self/root"])
def test_a_mirror_of_another_repository_is_not_read(tmp_path: Path, prefix: str) -> None:
    home = GitHome(tmp_path / "mirrors")
    address = parse_repository(f"file://{prefix}{tmp_path}/mirrors/{'a' * 64}.git")
    with pytest.raises(RepositoryRefused), home.access(address, None):
        pass


def test_a_mirror_is_not_read_by_way_of_a_link(tmp_path: Path) -> None:
    home = GitHome(tmp_path / "mirrors")
    (tmp_path / "link").symlink_to(tmp_path / "mirrors")
    with (
        pytest.raises(RepositoryRefused),
        home.access(parse_repository(f"file://{tmp_path}/link/x.git"), None),
    ):
        pass


def test_a_repository_beside_the_mirrors_is_read(tmp_path: Path) -> None:
    home = GitHome(tmp_path / "mirrors")
    with home.access(parse_repository(f"file://{tmp_path}/mirrors-of-mine/x.git"), None) as environment:
        assert environment["GIT_ALLOW_PROTOCOL"] == "file"


@pytest.mark.parametrize(
    "user",
    ["-oProxyCommand%3Dtouch", "%2DoProxyCommand%3Dtouch", "a%2Fb", "a%0Ab", "a%20b", "git%40other.host%2F"],
)
def test_the_user_of_an_ssh_address_is_neither_an_option_nor_another_host(user: str) -> None:
    with pytest.raises(InvalidInput):
        parse_repository(f"ssh://{user}@git.example.com/a/b.git")


def test_ordinary_users_are_taken() -> None:
    for user in ("git", "deploy-bot", "a.b_c+d"):
        assert parse_repository(f"ssh://{user}@git.example.com/a/b.git").user == user
