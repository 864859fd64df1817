from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NotPossibleNow
from domain.server_systems import (
    APT_FAMILIES,
    Rights,
    ServerSystem,
    data_folder_of,
    is_data_folder,
    lets_us_in,
    require_installable,
    require_rights,
    require_root,
    require_space,
    status_after,
    system_of,
)
from domain.servers import ServerStatus

FACTS = """\
user=maintainer
uid=1000
groups=maintainer docker
home=/home/maintainer
architecture=aarch64
processors=4
memory_kib=2048000
"""
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n# a comment\n'
MINT = 'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\n'
ALPINE = 'PRETTY_NAME="Alpine Linux v3.22"\nID=alpine\n'


def system(facts: str = FACTS, os_release: str = DEBIAN) -> ServerSystem:
    return system_of(facts, os_release)


def test_a_machine_is_read_from_what_it_prints() -> None:
    found = system()
    assert (found.name, set(found.families)) == ("Debian GNU/Linux 13 (trixie)", {"debian"})
    assert (found.architecture, found.processors, found.memory_bytes) == ("aarch64", 4, 2048000 * 1024)
    assert found.description == (
        "Debian GNU/Linux 13 (trixie), aarch64, 4 processors, 2.0 GiB, as maintainer in the group docker"
    )


@pytest.mark.parametrize(
    ("facts", "rights", "has_root"),
    [
        (FACTS.replace("uid=1000", "uid=0"), Rights.ROOT, True),
        (FACTS + "sudo=yes\n", Rights.SUDO, True),
        (FACTS, Rights.DOCKER_GROUP, False),
        (FACTS.replace(" docker", " dockers"), Rights.NONE, False),
        ("", Rights.NONE, False),
    ],
)
def test_rights_are_those_of_root_of_sudo_or_of_the_group(facts: str, rights: Rights, has_root: bool) -> None:
    found = system(facts)
    assert (found.rights, found.has_root) == (rights, has_root)


def test_a_user_without_rights_is_told_what_to_run() -> None:
    powerless = system(FACTS.replace(" docker", ""))
    with pytest.raises(NotPossibleNow, match="usermod -aG docker maintainer"):
        require_rights(powerless)
    with pytest.raises(NotPossibleNow, match=r"Docker is stopped\. The user 'maintainer' cannot mend that"):
        require_root(powerless, "Docker is stopped.")


@pytest.mark.parametrize("os_release", [DEBIAN, MINT, "ID=ubuntu"])
def test_an_engine_is_installed_on_debian_and_its_relatives(os_release: str) -> None:
    found = system(os_release=os_release)
    require_installable(found)
    assert found.families & APT_FAMILIES


@pytest.mark.parametrize("os_release", [ALPINE, "", "ID=fedora", 'ID="not closed'])
def test_elsewhere_the_message_says_what_to_do(os_release: str) -> None:
    with pytest.raises(NotPossibleNow, match=r"Install it as https://docs\.docker\.com"):
        require_installable(system(os_release=os_release))


def test_less_than_two_gibibytes_are_too_little() -> None:
    enough = 2 * 1024**3
    require_space({"/var": enough, "/srv": 2 * enough})
    with pytest.raises(NotPossibleNow, match=r"Only 2\.0 GiB are free in /var"):
        require_space({"/srv": enough, "/var": enough - 1})


def test_the_data_folder_is_where_the_user_may_write() -> None:
    root = system(FACTS.replace("uid=1000", "uid=0").replace("/home/maintainer", "/root"))
    assert data_folder_of(root, "seaway") == PurePosixPath("/var/lib/seaway/seaway")
    folder = data_folder_of(system(FACTS + "sudo=yes\n"), "seaway")
    assert folder == PurePosixPath("/home/maintainer/.local/share/seaway/seaway")
    for one in (folder, data_folder_of(root, "seaway")):
        assert is_data_folder(str(one), "seaway")


@pytest.mark.parametrize("home", ["", "/", "relative"])
def test_a_user_without_a_home_has_no_data_folder(home: str) -> None:
    with pytest.raises(NotPossibleNow, match="no home folder"):
        data_folder_of(system(FACTS.replace("/home/maintainer", home)), "seaway")


@pytest.mark.parametrize(
    "path", ["", "/", "/var/lib/seaway", "/home/seaway/other", "seaway/seaway", "/a/../seaway/seaway"]
)
def test_nothing_else_is_a_data_folder(path: str) -> None:
    assert not is_data_folder(path, "seaway")


@given(st.text(), st.text())
def test_nothing_that_a_machine_prints_is_an_error(facts: str, os_release: str) -> None:
    assert system_of(facts, os_release).description


@pytest.mark.parametrize(
    ("code", "status", "is_in"),
    [
        ("server_unreachable", ServerStatus.UNREACHABLE, False),
        ("host_key_changed", ServerStatus.HOST_KEY_CHANGED, False),
        ("authentication_refused", ServerStatus.NOT_USABLE, False),
        ("engine_unavailable", ServerStatus.NOT_USABLE, True),
        ("not_possible_now", ServerStatus.NOT_USABLE, True),
    ],
)
def test_a_failure_tells_how_the_server_stands(code: str, status: ServerStatus, is_in: bool) -> None:
    assert (status_after(code), lets_us_in(code)) == (status, is_in)


def test_a_strange_system_does_not_fill_the_pages_with_its_name() -> None:
    system = system_of(f"user={'u' * 10**6}", f"PRETTY_NAME={'n' * 10**6}")
    assert len(system.description) < 3000
