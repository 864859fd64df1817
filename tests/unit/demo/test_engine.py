from __future__ import annotations

import pytest

from domain.errors import StartUpError
from seaway.demo.engine import CLIENT_PACKAGES, Machine, packages_to_install, ways_to_start


def machine(*missing: str, is_root: bool = True, has_apt: bool = True, has_systemd: bool = False) -> Machine:
    return Machine(is_root, has_apt, has_systemd, frozenset(missing))


@pytest.mark.parametrize(
    ("missing", "engine_runs", "available", "packages"),
    [
        ((), False, CLIENT_PACKAGES, ()),
        (("dockerd", "docker", "git"), False, CLIENT_PACKAGES, ("git", "docker.io", *CLIENT_PACKAGES)),
        (("dockerd", "docker"), False, (), ("docker.io",)),
        (("dockerd",), True, CLIENT_PACKAGES, ()),
        (("dockerd", "docker"), True, CLIENT_PACKAGES, CLIENT_PACKAGES),
        (("dockerd", "docker"), True, (), ("docker.io",)),
        (("git",), True, CLIENT_PACKAGES, ("git",)),
    ],
)
def test_only_what_is_missing_is_installed(
    missing: tuple[str, ...], engine_runs: bool, available: tuple[str, ...], packages: tuple[str, ...]
) -> None:
    assert packages_to_install(machine(*missing), engine_runs=engine_runs, available=available) == packages


@pytest.mark.parametrize("allowed", [{"is_root": False}, {"has_apt": False}])
def test_who_may_not_install_is_told_what_to_type(allowed: dict[str, bool]) -> None:
    with pytest.raises(StartUpError, match=r"sudo apt-get install git docker\.io"):
        packages_to_install(machine("dockerd", "git", **allowed), engine_runs=False, available=())


def test_nothing_has_to_be_installed_by_an_ordinary_user_where_all_is_there() -> None:
    assert packages_to_install(machine(is_root=False), engine_runs=True, available=()) == ()


def test_the_service_is_started_as_the_machine_does_it_and_by_hand_only_after_that() -> None:
    assert ways_to_start(machine(has_systemd=True)) == (("systemctl", "start", "docker"), ("dockerd",))
    assert ways_to_start(machine(has_systemd=False)) == (("service", "docker", "start"), ("dockerd",))


def test_an_ordinary_user_is_told_how_to_start_the_engine() -> None:
    with pytest.raises(StartUpError, match="sudo systemctl start docker"):
        ways_to_start(machine(is_root=False))
